//! Devices that are connected over TLS with pre-shared keys, by OpenSSL.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_server::credentials::{
    Credential, CredentialChanges, CredentialFilter, CredentialId, CredentialStore,
    CredentialStoreError, CredentialUpdate, LookUp, MemoryCredentials, NamePattern,
};
use lwm2m_server::{EndpointName, EventKind, Events, Listener, PeerIdentity, Server, ServerConfig};
use openssl::ssl::{Error, Ssl, SslContext, SslMethod, SslVersion};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::peer::Peer;
use super::tls::lives;
use crate::peer::{OBJECTS, event};
use crate::secure::{KEY, psk};
use crate::site::PATIENCE;

const TLS_1_2: &[&str] = &[
    "PSK-AES128-CCM8",
    "PSK-AES128-CCM",
    "PSK-AES128-GCM-SHA256",
    "PSK-AES256-GCM-SHA384",
    "PSK-CHACHA20-POLY1305",
    "ECDHE-PSK-CHACHA20-POLY1305",
];

const TLS_1_3: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_128_CCM_SHA256",
    "TLS_AES_128_CCM_8_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
];

/// Both versions.
const BOTH: [Option<SslVersion>; 2] = [Some(SslVersion::TLS1_2), Some(SslVersion::TLS1_3)];

/// Alerts, as OpenSSL gives them to who gets them (`SSL_R_…`).
const BAD_RECORD_MAC: i32 = 1020;
const HANDSHAKE_FAILURE: i32 = 1040;
const ILLEGAL_PARAMETER: i32 = 1047;
const UNKNOWN_PSK_IDENTITY: i32 = 1115;
const NO_APPLICATION_PROTOCOL: i32 = 1120;

pub(super) async fn server(
    store: Arc<dyn CredentialStore>,
    configure: impl FnOnce(&mut ServerConfig),
) -> Server {
    let mut config = ServerConfig::default();
    config.shards = 2;
    configure(&mut config);
    Server::builder()
        .config(config)
        .listen(Listener::coaps_tcp(([127, 0, 0, 1], 0).into()))
        .credentials(store)
        .start()
        .await
        .expect("the server starts")
}

pub(super) async fn store_of(credentials: Vec<Credential>) -> Arc<MemoryCredentials> {
    let store = Arc::new(MemoryCredentials::default());
    store.add(credentials).await.expect("taken");
    store
}

/// A server that knows `urn:a` and, by the identity `b`, `urn:b`.
async fn site() -> (Server, Arc<MemoryCredentials>) {
    let named = psk("b", b"b", KEY).endpoints([pattern("urn:b")]);
    let store = store_of(vec![psk("a", b"urn:a", KEY), named]).await;
    (server(store.clone(), |_| {}).await, store)
}

/// A server that knows the device `a`.
pub(crate) async fn server_of_one(configure: impl FnOnce(&mut ServerConfig)) -> Server {
    server(store_of(vec![psk("a", b"a", KEY)]).await, configure).await
}

fn pattern(text: &str) -> NamePattern {
    text.parse().expect("a pattern")
}

/// What a device is told.
struct Account {
    identity: &'static str,
    key: &'static [u8],
    /// As the newest version; none for whatever the library prefers.
    version: Option<SslVersion>,
    suites: String,
    alpn: Option<&'static [u8]>,
    server_name: Option<&'static str>,
}

impl Account {
    fn new(identity: &'static str, key: &'static [u8], version: Option<SslVersion>) -> Account {
        Account {
            identity,
            key,
            version,
            suites: "PSK:ECDHE-ECDSA-AES128-GCM-SHA256".to_owned(),
            alpn: Some(b"\x04coap"),
            server_name: None,
        }
    }

    fn ssl(&self) -> Ssl {
        let (identity, key) = (self.identity, self.key);
        let mut context = SslContext::builder(SslMethod::tls_client()).expect("OpenSSL");
        context.set_psk_client_callback(move |_, _, into, key_into| {
            into[..identity.len()].copy_from_slice(identity.as_bytes());
            into[identity.len()] = 0;
            key_into[..key.len()].copy_from_slice(key);
            Ok(key.len())
        });
        context.set_max_proto_version(self.version).expect("known");
        if let Some(alpn) = self.alpn {
            context.set_alpn_protos(alpn).expect("a list");
        }
        match self.suites.starts_with("TLS_") {
            true => context.set_ciphersuites(&self.suites),
            false => context.set_cipher_list(&format!("{}:@SECLEVEL=0", self.suites)),
        }
        .expect("known suites");
        let mut ssl = Ssl::new(&context.build()).expect("OpenSSL");
        if let Some(name) = self.server_name {
            ssl.set_hostname(name).expect("a name");
        }
        ssl
    }

    async fn connect(&self, server: &Server) -> Result<Peer<SslStream<TcpStream>>, Error> {
        let io = TcpStream::connect(server.local_addresses()[0]).await;
        let stream = SslStream::new(self.ssl(), io.expect("connected"));
        let mut stream = stream.expect("OpenSSL");
        let connected = timeout(PATIENCE, Pin::new(&mut stream).connect()).await;
        connected.expect("in time")?;
        Ok(Peer::over(stream))
    }

    /// The device with its capabilities exchanged.
    async fn connected(&self, server: &Server) -> Peer<SslStream<TcpStream>> {
        let mut device = self.connect(server).await.expect("a session");
        device.exchange_capabilities().await;
        device
    }

    /// The alert that ends the handshake.
    async fn alert(&self, server: &Server) -> i32 {
        let error = self.connect(server).await.err().expect("refused");
        let errors = error.ssl_error().expect("an alert");
        errors.errors()[0].reason_code()
    }
}

/// Why the next handshake is refused: the word and the sentence.
async fn refusal(events: &mut Events) -> (&'static str, String) {
    event(events, |event| match &event.kind {
        EventKind::Refused {
            operation: "handshake" | "session",
            reason,
            ..
        } => Some((reason.code, reason.message.to_string())),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_device_lives_its_life_in_every_suite() {
    let (server, _store) = site().await;
    for (version, suites) in BOTH.into_iter().zip([TLS_1_2, TLS_1_3]) {
        for suite in suites {
            let mut account = Account::new("urn:a", KEY, version);
            account.suites = (*suite).to_owned();
            let mut device = account.connected(&server).await;
            let ssl = device.io.ssl();
            assert_eq!(ssl.version2(), version);
            assert_eq!(
                ssl.current_cipher().expect("a suite").name(),
                *suite,
                "{version:?}"
            );
            let location = lives(&server, &mut device, "urn:a").await;
            let registration = server.registration("urn:a").await.expect("registered");
            assert_eq!(registration.identity.to_string(), "psk urn:a");
            let answer = device.ask(Code::DELETE, &location, b"").await;
            assert_eq!(answer.code, Code::DELETED);
        }
    }
}

#[tokio::test]
async fn an_endpoint_name_of_another_device_is_refused() {
    let (server, _store) = site().await;
    for version in BOTH {
        let mut mapped = Account::new("b", KEY, version).connected(&server).await;
        let foreign = "rd?ep=urn:a&lwm2m=1.1&lt=60";
        let answer = mapped.ask(Code::POST, foreign, OBJECTS).await;
        assert_eq!(answer.code, Code::BAD_REQUEST);
        let answer = mapped.ask(Code::POST, "rd?lwm2m=1.1&lt=60", OBJECTS).await;
        assert_eq!(answer.code, Code::CREATED);
        let registration = server.registration("urn:b").await.expect("registered");
        assert_eq!(registration.identity.to_string(), "psk b");
    }
}

#[tokio::test]
async fn a_handshake_that_fails_says_why_to_both_sides() {
    let (server, _store) = site().await;
    let mut events = server.events();
    let wrong = b"another key here";
    for (version, suites, alert) in [
        (BOTH[0], TLS_1_2, BAD_RECORD_MAC),
        (BOTH[1], TLS_1_3, ILLEGAL_PARAMETER),
    ] {
        for suite in suites {
            let mut account = Account::new("urn:a", wrong, version);
            account.suites = (*suite).to_owned();
            assert_eq!(account.alert(&server).await, alert, "{suite}");
            let (word, sentence) = refusal(&mut events).await;
            assert_eq!(word, "psk-wrong-key", "{suite}: {sentence}");
            assert!(sentence.contains("urn:a"), "{sentence}");
        }

        let account = Account::new("urn:z", KEY, version);
        assert_eq!(account.alert(&server).await, UNKNOWN_PSK_IDENTITY);
        let (word, sentence) = refusal(&mut events).await;
        assert_eq!(word, "psk-identity-unknown");
        assert!(sentence.contains("urn:z"), "{sentence}");

        let mut account = Account::new("urn:a", KEY, version);
        account.alpn = Some(b"\x02h2");
        assert_eq!(account.alert(&server).await, NO_APPLICATION_PROTOCOL);
        assert_eq!(refusal(&mut events).await.0, "tls-no-coap");
    }
    let mut account = Account::new("urn:a", KEY, BOTH[0]);
    account.suites = "PSK-AES128-CBC-SHA256".to_owned();
    assert_eq!(account.alert(&server).await, HANDSHAKE_FAILURE);
    let (word, sentence) = refusal(&mut events).await;
    assert_eq!(word, "tls-no-common-suite");
    let lists = ["the peer has 00ae", "we have ccac c0a8 00a8 c0a4"];
    assert!(
        lists.iter().all(|list| sentence.contains(list)),
        "{sentence}"
    );
}

#[tokio::test]
async fn who_must_not_learn_which_identities_exist_hears_of_a_wrong_key() {
    let store = store_of(vec![psk("a", b"urn:a", KEY)]).await;
    let server = server(store, |config| {
        config.dtls.unknown_psk_identity = lwm2m_dtls::UnknownPskIdentity::Conceal;
    })
    .await;
    let mut events = server.events();
    for (version, alert) in BOTH.into_iter().zip([BAD_RECORD_MAC, ILLEGAL_PARAMETER]) {
        let account = Account::new("urn:z", KEY, version);
        assert_eq!(account.alert(&server).await, alert);
        assert_eq!(refusal(&mut events).await.0, "psk-identity-unknown");
    }
}

#[tokio::test]
async fn a_device_that_changes_its_key_has_two() {
    const NEW: &[u8] = b"the key to come.";
    let store = store_of(vec![psk("old", b"urn:a", KEY), psk("new", b"urn:a", NEW)]).await;
    let server = server(store.clone(), |_| {}).await;
    let mut events = server.events();
    // TLS 1.3 shows at once which it is.
    for key in [KEY, NEW, KEY] {
        let account = Account::new("urn:a", key, BOTH[1]);
        let mut device = account.connected(&server).await;
        lives(&server, &mut device, "urn:a").await;
    }
    // In TLS 1.2 one handshake fails when the device begins to use the other key, and no more.
    let mut before = None;
    for key in [KEY, NEW, NEW, KEY, KEY] {
        let account = Account::new("urn:a", key, BOTH[0]);
        let mut device = match account.connect(&server).await {
            Ok(device) => device,
            Err(_) => {
                assert_ne!(before, Some(key));
                assert_eq!(refusal(&mut events).await.0, "psk-wrong-key");
                account.connect(&server).await.expect("with the other key")
            }
        };
        before = Some(key);
        device.exchange_capabilities().await;
        lives(&server, &mut device, "urn:a").await;
    }
    // The session stands on the key that has proved it.
    let mut device = Account::new("urn:a", NEW, BOTH[1]).connected(&server).await;
    device.register("ep=urn:a").await;
    let id = |text| CredentialId::new(text).expect("an id");
    store.remove(id("old")).await.expect("removed");
    let answer = device
        .ask(Code::POST, "rd?ep=urn:a&lwm2m=1.1", OBJECTS)
        .await;
    assert_eq!(answer.code, Code::CREATED);
    store.remove(id("new")).await.expect("removed");
    device.until_closed().await;
    assert_eq!(refusal(&mut events).await.0, "credential-removed");
    assert!(server.registration("urn:a").await.is_none());
}

#[tokio::test]
async fn two_tenants_may_have_devices_of_the_same_identity() {
    let mut mine = psk("mine", b"meter", KEY).endpoints([pattern("urn:mine")]);
    mine.server_name = Some("mine.example".to_owned());
    let mut theirs =
        psk("theirs", b"meter", b"their own, secret").endpoints([pattern("urn:theirs")]);
    theirs.server_name = Some("theirs.example".to_owned());
    let server = server(store_of(vec![mine, theirs]).await, |_| {}).await;
    for version in BOTH {
        for (name, key, endpoint) in [
            ("mine.example", KEY, "urn:mine"),
            ("theirs.example", b"their own, secret", "urn:theirs"),
        ] {
            let mut account = Account::new("meter", key, version);
            account.server_name = Some(name);
            let mut device = account.connected(&server).await;
            device.register(&format!("ep={endpoint}")).await;
        }
        let mut account = Account::new("meter", KEY, version);
        account.server_name = Some("theirs.example");
        account.connect(&server).await.err().expect("another's key");
    }
}

/// A store that answers questions about one identity when it is let.
struct Gated {
    inner: Arc<MemoryCredentials>,
    identity: &'static [u8],
    gate: Arc<Semaphore>,
}

impl CredentialStore for Gated {
    fn look_up(&self, identity: &PeerIdentity) -> LookUp<Vec<Arc<Credential>>> {
        let PeerIdentity::Psk(psk) = identity else {
            return self.inner.look_up(identity);
        };
        if *psk.identity != *self.identity {
            return self.inner.look_up(identity);
        }
        let (gate, inner) = (Arc::clone(&self.gate), Arc::clone(&self.inner));
        let identity = identity.clone();
        LookUp::Later(Box::pin(async move {
            gate.acquire().await.expect("open").forget();
            inner.look_up(&identity).await
        }))
    }

    fn covers(&self, endpoint: &EndpointName) -> bool {
        self.inner.covers(endpoint)
    }

    fn find(&self, id: &CredentialId) -> LookUp<Option<Arc<Credential>>> {
        self.inner.find(id)
    }

    fn list(&self, filter: CredentialFilter) -> LookUp<Vec<Arc<Credential>>> {
        self.inner.list(filter)
    }

    fn apply(&self, update: CredentialUpdate) -> LookUp<Result<(), CredentialStoreError>> {
        self.inner.apply(update)
    }

    fn changes(&self) -> CredentialChanges {
        self.inner.changes()
    }
}

#[tokio::test]
async fn while_one_handshake_waits_for_the_store_others_go_on() {
    for version in BOTH {
        let inner = store_of(vec![psk("a", b"urn:a", KEY), psk("slow", b"slow", KEY)]).await;
        let gate = Arc::new(Semaphore::new(0));
        let store = Arc::new(Gated {
            inner: inner.clone(),
            identity: b"slow",
            gate: gate.clone(),
        });
        // One shard, whose thread must not stand still.
        let server = server(store, |config| {
            config.shards = 1;
            config.tcp.capabilities_timeout = PATIENCE;
        })
        .await;
        let slow = Account::new("slow", KEY, version);
        let device = Account::new("urn:a", KEY, version);
        let waits = slow.connected(&server);
        let others = async {
            for _ in 0..3 {
                let mut device = device.connected(&server).await;
                lives(&server, &mut device, "urn:a").await;
            }
            // The key, and whether it is still there at the end.
            gate.add_permits(2);
        };
        let (mut slow, ()) = tokio::join!(waits, others);
        lives(&server, &mut slow, "slow").await;
    }
}

#[tokio::test]
async fn a_credential_that_is_removed_during_the_handshake_opens_nothing() {
    for version in BOTH {
        let inner = store_of(vec![psk("a", b"urn:a", KEY)]).await;
        let gate = Arc::new(Semaphore::new(0));
        let store = Arc::new(Gated {
            inner: inner.clone(),
            identity: b"urn:a",
            gate: gate.clone(),
        });
        let server = server(store, |config| {
            config.tcp.capabilities_timeout = PATIENCE;
        })
        .await;
        let mut events = server.events();
        gate.add_permits(1);
        let account = Account::new("urn:a", KEY, version);
        let mut device = account.connect(&server).await.expect("a session");
        let id = CredentialId::new("a").expect("an id");
        inner.remove(id).await.expect("removed");
        gate.add_permits(1);
        let (word, _) = refusal(&mut events).await;
        assert_eq!(word, "credential-removed");
        assert_eq!(device.until_closed().await, []);
    }
}

/// A device that says nothing more once the server has answered.
struct HalfOpen {
    io: TcpStream,
    answered: bool,
}

impl AsyncRead for HalfOpen {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.answered |= !buffer.filled().is_empty();
        read
    }
}

impl AsyncWrite for HalfOpen {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.answered {
            true => Poll::Ready(Ok(bytes.len())),
            false => Pin::new(&mut self.io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_peer_that_stops_in_the_middle_of_the_handshake_loses_its_connection() {
    let store = store_of(vec![psk("a", b"urn:a", KEY)]).await;
    let server = server(store, |config| {
        config.tcp.capabilities_timeout = Duration::from_millis(300);
    })
    .await;
    let mut events = server.events();
    for version in BOTH {
        let io = TcpStream::connect(server.local_addresses()[0]).await;
        let account = Account::new("urn:a", KEY, version);
        let half = HalfOpen {
            io: io.expect("connected"),
            answered: false,
        };
        let mut stream = SslStream::new(account.ssl(), half).expect("OpenSSL");
        let connected = timeout(PATIENCE, Pin::new(&mut stream).connect()).await;
        // TLS 1.3 is done for the client when its last flight is on its way.
        if connected.expect("the server closes").is_ok() {
            assert_eq!(Peer::over(stream).until_closed().await, []);
        }
        assert_eq!(refusal(&mut events).await.0, "tls-timeout");
    }
}
