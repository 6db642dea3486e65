/*
 * Mbed TLS as a DTLS 1.2 client, whose input is sent and whose output is what was received, or as a
 * server that sends back what it hears.
 *
 * Arguments: client or server, the port on 127.0.0.1, then KEY=VALUE: psk=IDENTITY:HEX; or key=FILE,
 * certificate=FILE and trust=FILE (PEM); name=NAME of the server; suite=CCM_8|CCM|GCM; cid=LENGTH, of
 * the own Connection ID, which may be 0. "resume" makes a client connect twice: what goes in is sent
 * in the second session. On standard error it says "up full" or "up resumed", or why not.
 */
#include <stddef.h>
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mbedtls/ctr_drbg.h"
#include "mbedtls/entropy.h"
#include "mbedtls/ssl.h"
#include "mbedtls/ssl_cache.h"
#include "mbedtls/ssl_ciphersuites.h"
#include "mbedtls/ssl_cookie.h"
#include "mbedtls/ssl_ticket.h"
#include "mbedtls/timing.h"

enum { BREATH_MS = 50, DATAGRAM_MAX = 16384, TICKET_LIFETIME_S = 3600, CID_MAX = 32 };

struct options {
    int is_client, port, resume, cid;
    unsigned char psk[64];
    size_t psk_length;
    char identity[128];
    const char *key, *certificate, *trust, *name, *suite;
};

/* A socket, and where its datagrams go: to whoever sent the last one. */
struct way {
    int socket;
    struct sockaddr_in peer;
};

static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context drbg;
static mbedtls_ssl_config conf;
static mbedtls_ssl_context ssl;
static mbedtls_x509_crt own, trust;
static mbedtls_pk_context key;
static mbedtls_ssl_cookie_ctx cookies;
static mbedtls_ssl_cache_context cache;
static mbedtls_ssl_ticket_context tickets;
static mbedtls_timing_delay_context timer;

static void check(int result, const char *what)
{
    if (result != 0) {
        fprintf(stderr, "%s: -0x%04x\n", what, (unsigned) -result);
        exit(1);
    }
}

static int way_send(void *context, const unsigned char *data, size_t length)
{
    struct way *way = context;
    sendto(way->socket, data, length, 0, (struct sockaddr *) &way->peer, sizeof way->peer);
    return (int) length;
}

static int way_receive(void *context, unsigned char *data, size_t length)
{
    struct way *way = context;
    socklen_t size = sizeof way->peer;
    ssize_t got = recvfrom(way->socket, data, length, MSG_DONTWAIT, (struct sockaddr *) &way->peer, &size);
    return got < 0 ? MBEDTLS_ERR_SSL_WANT_READ : (int) got;
}

static void await(int socket, int input)
{
    struct pollfd both[2] = { { socket, POLLIN, 0 }, { input, POLLIN, 0 } };
    poll(both, 2, BREATH_MS);
}

static void take(struct options *options, const char *argument)
{
    static const struct { const char *word; size_t at; } texts[] = {
        { "key=", offsetof(struct options, key) },
        { "certificate=", offsetof(struct options, certificate) },
        { "trust=", offsetof(struct options, trust) },
        { "name=", offsetof(struct options, name) },
        { "suite=", offsetof(struct options, suite) },
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t length = strlen(texts[i].word);
        if (strncmp(argument, texts[i].word, length) == 0) {
            *(const char **) ((char *) options + texts[i].at) = argument + length;
            return;
        }
    }
    if (sscanf(argument, "cid=%d", &options->cid) == 1) {
        return;
    }
    if (strcmp(argument, "resume") == 0) {
        options->resume = 1;
        return;
    }
    const char *hex = strchr(argument, ':');
    if (strncmp(argument, "psk=", 4) != 0 || hex == NULL) {
        fprintf(stderr, "'%s' is no argument\n", argument);
        exit(1);
    }
    snprintf(options->identity, sizeof options->identity, "%.*s", (int) (hex - argument - 4), argument + 4);
    unsigned octet;
    for (hex++; sscanf(hex, "%2x", &octet) == 1 && options->psk_length < sizeof options->psk; hex += 2) {
        options->psk[options->psk_length++] = (unsigned char) octet;
    }
}

static int suite_of(const struct options *options)
{
    int psk = options->psk_length > 0;
    if (strcmp(options->suite, "CCM_8") == 0) {
        return psk ? MBEDTLS_TLS_PSK_WITH_AES_128_CCM_8 : MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8;
    }
    if (strcmp(options->suite, "CCM") == 0) {
        return psk ? MBEDTLS_TLS_PSK_WITH_AES_128_CCM : MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CCM;
    }
    return psk ? MBEDTLS_TLS_PSK_WITH_AES_128_GCM_SHA256 : MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
}

static void configure(const struct options *options)
{
    static int suites[2];
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&drbg);
    check(mbedtls_ctr_drbg_seed(&drbg, mbedtls_entropy_func, &entropy, NULL, 0), "seed");
    mbedtls_ssl_config_init(&conf);
    check(mbedtls_ssl_config_defaults(&conf, options->is_client ? MBEDTLS_SSL_IS_CLIENT : MBEDTLS_SSL_IS_SERVER,
                                      MBEDTLS_SSL_TRANSPORT_DATAGRAM, MBEDTLS_SSL_PRESET_DEFAULT), "defaults");
    mbedtls_ssl_conf_rng(&conf, mbedtls_ctr_drbg_random, &drbg);
    if (options->suite != NULL) {
        suites[0] = suite_of(options);
        mbedtls_ssl_conf_ciphersuites(&conf, suites);
    }
    mbedtls_x509_crt_init(&own);
    mbedtls_x509_crt_init(&trust);
    mbedtls_pk_init(&key);
    mbedtls_ssl_conf_authmode(&conf, MBEDTLS_SSL_VERIFY_REQUIRED);
    if (options->psk_length > 0) {
        check(mbedtls_ssl_conf_psk(&conf, options->psk, options->psk_length,
                                   (const unsigned char *) options->identity, strlen(options->identity)), "psk");
    }
    if (options->certificate != NULL) {
        check(mbedtls_x509_crt_parse_file(&own, options->certificate), "certificate");
        check(mbedtls_pk_parse_keyfile(&key, options->key, NULL, mbedtls_ctr_drbg_random, &drbg), "key");
        check(mbedtls_ssl_conf_own_cert(&conf, &own, &key), "own certificate");
    }
    if (options->trust != NULL) {
        check(mbedtls_x509_crt_parse_file(&trust, options->trust), "trust");
        mbedtls_ssl_conf_ca_chain(&conf, &trust, NULL);
    }
    if (options->cid >= 0) {
        check(mbedtls_ssl_conf_cid(&conf, (size_t) options->cid, MBEDTLS_SSL_UNEXPECTED_CID_IGNORE), "cid");
    }
    if (!options->is_client) {
        mbedtls_ssl_cookie_init(&cookies);
        check(mbedtls_ssl_cookie_setup(&cookies, mbedtls_ctr_drbg_random, &drbg), "cookies");
        mbedtls_ssl_conf_dtls_cookies(&conf, mbedtls_ssl_cookie_write, mbedtls_ssl_cookie_check, &cookies);
        mbedtls_ssl_cache_init(&cache);
        mbedtls_ssl_conf_session_cache(&conf, &cache, mbedtls_ssl_cache_get, mbedtls_ssl_cache_set);
        mbedtls_ssl_ticket_init(&tickets);
        check(mbedtls_ssl_ticket_setup(&tickets, mbedtls_ctr_drbg_random, &drbg, MBEDTLS_CIPHER_AES_128_GCM,
                                       TICKET_LIFETIME_S), "tickets");
        mbedtls_ssl_conf_session_tickets_cb(&conf, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse, &tickets);
    }
    mbedtls_ssl_init(&ssl);
    check(mbedtls_ssl_setup(&ssl, &conf), "setup");
    if (options->is_client && options->name != NULL) {
        check(mbedtls_ssl_set_hostname(&ssl, options->name), "name");
    }
    mbedtls_ssl_set_timer_cb(&ssl, &timer, mbedtls_timing_set_delay, mbedtls_timing_get_delay);
}

/* Runs the handshake: 0, or what went wrong. */
static int shake(const struct options *options, struct way *way)
{
    unsigned char cid[CID_MAX];
    if (options->cid >= 0) {
        check(mbedtls_ctr_drbg_random(&drbg, cid, sizeof cid), "random");
        check(mbedtls_ssl_set_cid(&ssl, MBEDTLS_SSL_CID_ENABLED, cid, (size_t) options->cid), "cid");
    }
    mbedtls_ssl_set_bio(&ssl, way, way_send, way_receive, NULL);
    if (!options->is_client) {
        check(mbedtls_ssl_set_client_transport_id(&ssl, (unsigned char *) &way->peer, sizeof way->peer), "address");
    }
    int result;
    while ((result = mbedtls_ssl_handshake(&ssl)) == MBEDTLS_ERR_SSL_WANT_READ) {
        await(way->socket, -1);
    }
    if (result != 0) {
        fprintf(stderr, "refused -0x%04x\n", (unsigned) -result);
        return result;
    }
    fprintf(stderr, "up %s\n", mbedtls_ssl_get_ciphersuite(&ssl));
    return 0;
}

/* Takes what is there: what was read, 0 for nothing, or below 0 at the end. */
static int take_datagram(unsigned char *data)
{
    int length = mbedtls_ssl_read(&ssl, data, DATAGRAM_MAX);
    if (length == MBEDTLS_ERR_SSL_WANT_READ) {
        return 0;
    }
    return length == 0 ? -1 : length;
}

static void client(const struct options *options, struct way *way)
{
    static unsigned char data[DATAGRAM_MAX];
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    if (shake(options, way) != 0) {
        exit(1);
    }
    if (options->resume) {
        check(mbedtls_ssl_get_session(&ssl, &session), "session");
        mbedtls_ssl_close_notify(&ssl);
        check(mbedtls_ssl_session_reset(&ssl), "reset");
        check(mbedtls_ssl_set_session(&ssl, &session), "session");
        if (shake(options, way) != 0) {
            exit(1);
        }
    }
    for (;;) {
        struct pollfd input = { STDIN_FILENO, POLLIN, 0 };
        await(way->socket, STDIN_FILENO);
        if (poll(&input, 1, 0) > 0) {
            ssize_t length = read(STDIN_FILENO, data, sizeof data);
            if (length <= 0) {
                break;
            }
            mbedtls_ssl_write(&ssl, data, (size_t) length);
        }
        int heard = take_datagram(data);
        if (heard < 0) {
            break;
        }
        fwrite(data, 1, (size_t) heard, stdout);
        fflush(stdout);
    }
    mbedtls_ssl_close_notify(&ssl);
}

static void server(const struct options *options, struct way *way)
{
    static unsigned char data[DATAGRAM_MAX];
    for (;;) {
        socklen_t size = sizeof way->peer;
        /* The first datagram stays: its sender is whom the cookie is for. */
        recvfrom(way->socket, data, sizeof data, MSG_PEEK, (struct sockaddr *) &way->peer, &size);
        check(mbedtls_ssl_session_reset(&ssl), "reset");
        int result = shake(options, way);
        while (result == 0) {
            await(way->socket, -1);
            int heard = take_datagram(data);
            if (heard > 0) {
                mbedtls_ssl_write(&ssl, data, (size_t) heard);
            }
            result = heard < 0;
        }
    }
}

int main(int count, char **arguments)
{
    struct options options = { .cid = -1 };
    if (count < 3) {
        return 1;
    }
    options.is_client = strcmp(arguments[1], "client") == 0;
    options.port = atoi(arguments[2]);
    for (int i = 3; i < count; i++) {
        take(&options, arguments[i]);
    }
    configure(&options);
    struct way way = { .socket = socket(AF_INET, SOCK_DGRAM, 0) };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((unsigned short) options.port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (options.is_client) {
        way.peer = address;
        client(&options, &way);
    } else {
        check(bind(way.socket, (struct sockaddr *) &address, sizeof address), "bind");
        server(&options, &way);
    }
    return 0;
}
