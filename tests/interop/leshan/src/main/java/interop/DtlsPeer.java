package interop;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.PublicKey;
import java.util.Map;
import java.util.concurrent.TimeUnit;

import org.eclipse.californium.elements.AddressEndpointContext;
import org.eclipse.californium.elements.EndpointContext;
import org.eclipse.californium.elements.MessageCallback;
import org.eclipse.californium.elements.RawData;
import org.eclipse.californium.elements.auth.RawPublicKeyIdentity;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.elements.util.SslContextUtil;
import org.eclipse.californium.elements.util.SslContextUtil.Credentials;
import org.eclipse.californium.elements.util.StringUtil;
import org.eclipse.californium.scandium.DTLSConnector;
import org.eclipse.californium.scandium.config.DtlsConfig;
import org.eclipse.californium.scandium.config.DtlsConfig.DtlsRole;
import org.eclipse.californium.scandium.config.DtlsConnectorConfig;
import org.eclipse.californium.scandium.dtls.AlertMessage;
import org.eclipse.californium.scandium.dtls.CertificateType;
import org.eclipse.californium.scandium.dtls.DTLSContext;
import org.eclipse.californium.scandium.dtls.Handshaker;
import org.eclipse.californium.scandium.dtls.SessionListener;
import org.eclipse.californium.scandium.dtls.pskstore.SinglePskStore;
import org.eclipse.californium.scandium.dtls.x509.SingleCertificateProvider;
import org.eclipse.californium.scandium.dtls.x509.StaticCertificateVerifier;

/**
 * A DTLS client made of Scandium, Californium's DTLS: raw datagrams, no CoAP. Says what happens on
 * standard output ("up full SUITE" or "up resumed SUITE", "received HEX", "failed ..."), and takes
 * commands on standard input:
 *
 * <pre>
 * send HEX       one application record; makes a session when there is none
 * resume         the next send resumes the session
 * forget         the next send makes a new session
 * stop           ends
 * </pre>
 *
 * Arguments: host, port, then KEY=VALUE: mode (psk, rpk, x509), identity, key (of psk, in hex),
 * credentials (PEM of private and public key, or with the certificate), trust (PEM), subject (the
 * name of the server is checked), suite, cid (none, or the length of the own one, which may be 0).
 */
public final class DtlsPeer {
    private DtlsPeer() {
    }

    public static void main(String[] arguments) throws Exception {
        InetSocketAddress server = new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1]));
        Map<String, String> options = Device.options(arguments, 2);
        DTLSConnector connector = new DTLSConnector(configuration(options));
        connector.setRawDataReceiver(data -> say("received " + StringUtil.byteArray2Hex(data.getBytes()).toLowerCase()));
        connector.setAlertHandler((peer, alert) -> say("alert " + words(alert)));
        connector.start();

        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.trim().split(" ");
            switch (words[0]) {
            case "send" -> connector.send(RawData.outbound(StringUtil.hex2ByteArray(words[1]),
                    new AddressEndpointContext(server), new Narrator(), false));
            case "resume" -> connector.forceResumeAllSessions();
            case "forget" -> connector.clearConnectionState();
            case "stop" -> {
                connector.destroy();
                return;
            }
            default -> say("unknown " + line);
            }
        }
        connector.destroy();
    }

    private static DtlsConnectorConfig configuration(Map<String, String> options) throws Exception {
        Configuration configuration = new Configuration();
        configuration.set(DtlsConfig.DTLS_ROLE, DtlsRole.CLIENT_ONLY);
        configure(configuration, options);
        DtlsConnectorConfig.Builder builder = DtlsConnectorConfig.builder(configuration);
        builder.setAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
        builder.setSessionListener(new Sessions());
        switch (options.get("mode")) {
        case "psk" -> builder.setPskStore(
                new SinglePskStore(options.get("identity"), StringUtil.hex2ByteArray(options.get("key"))));
        case "rpk" -> rpk(builder, options);
        case "x509" -> x509(builder, options);
        default -> throw new IllegalArgumentException("mode: psk, rpk or x509");
        }
        return builder.build();
    }

    /** What does not belong to the credentials. */
    static void configure(Configuration configuration, Map<String, String> options) {
        configuration.set(DtlsConfig.DTLS_RECOMMENDED_CIPHER_SUITES_ONLY, false);
        configuration.set(DtlsConfig.DTLS_RETRANSMISSION_TIMEOUT, 2, TimeUnit.SECONDS);
        configuration.set(DtlsConfig.DTLS_MAX_RETRANSMISSIONS, 2);
        configuration.set(DtlsConfig.DTLS_VERIFY_SERVER_CERTIFICATES_SUBJECT, options.containsKey("subject"));
        if (options.containsKey("suite")) {
            configuration.setAsListFromText(DtlsConfig.DTLS_CIPHER_SUITES, options.get("suite"));
        }
        String cid = options.getOrDefault("cid", "none");
        if (!cid.equals("none")) {
            configuration.set(DtlsConfig.DTLS_CONNECTION_ID_LENGTH, Integer.valueOf(cid));
        }
    }

    static void rpk(DtlsConnectorConfig.Builder builder, Map<String, String> options) throws Exception {
        Credentials own = SslContextUtil.loadCredentials(options.get("credentials"));
        PublicKey server = SslContextUtil.loadPublicKey(options.get("trust"), null, null);
        builder.setCertificateIdentityProvider(
                new SingleCertificateProvider(own.getPrivateKey(), own.getPublicKey()));
        builder.setCertificateVerifier(StaticCertificateVerifier.builder()
                .setTrustedRPKs(new RawPublicKeyIdentity(server)).build());
    }

    static void x509(DtlsConnectorConfig.Builder builder, Map<String, String> options)
            throws java.io.IOException, GeneralSecurityException {
        if (options.containsKey("credentials")) {
            Credentials own = SslContextUtil.loadCredentials(options.get("credentials"));
            builder.setCertificateIdentityProvider(new SingleCertificateProvider(own.getPrivateKey(),
                    own.getCertificateChain(), CertificateType.X_509));
        }
        builder.setCertificateVerifier(StaticCertificateVerifier.builder()
                .setTrustedCertificates(SslContextUtil.loadTrustedCertificates(options.get("trust"))).build());
    }

    private static String words(AlertMessage alert) {
        return alert.getLevel() + " " + alert.getDescription();
    }

    private static synchronized void say(String fact) {
        System.out.println(fact);
        System.out.flush();
    }

    /** What becomes of a record to be sent. */
    private static final class Narrator implements MessageCallback {
        @Override
        public void onConnecting() {
        }

        @Override
        public void onDtlsRetransmission(int flight) {
        }

        @Override
        public void onContextEstablished(EndpointContext context) {
        }

        @Override
        public void onSent() {
        }

        @Override
        public void onError(Throwable error) {
            say("failed " + error.getMessage());
        }
    }

    private static final class Sessions implements SessionListener {
        @Override
        public void handshakeStarted(Handshaker handshaker) {
        }

        @Override
        public void contextEstablished(Handshaker handshaker, DTLSContext context) {
        }

        @Override
        public void handshakeCompleted(Handshaker handshaker) {
            DTLSContext context = handshaker.getDtlsContext();
            say("up " + (handshaker.isFullHandshake() ? "full " : "resumed ")
                    + handshaker.getSession().getCipherSuite() + " cid " + context.getWriteConnectionId());
        }

        @Override
        public void handshakeFailed(Handshaker handshaker, Throwable error) {
            say("broken " + error.getMessage());
        }

        @Override
        public void handshakeFlightRetransmitted(Handshaker handshaker, int flight) {
        }
    }
}
