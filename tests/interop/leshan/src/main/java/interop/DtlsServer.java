package interop;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Map;

import org.eclipse.californium.elements.RawData;
import org.eclipse.californium.elements.config.CertificateAuthenticationMode;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.elements.util.StringUtil;
import org.eclipse.californium.scandium.DTLSConnector;
import org.eclipse.californium.scandium.config.DtlsConfig;
import org.eclipse.californium.scandium.config.DtlsConfig.DtlsRole;
import org.eclipse.californium.scandium.config.DtlsConnectorConfig;
import org.eclipse.californium.scandium.dtls.pskstore.MultiPskStore;

/**
 * A DTLS server made of Scandium that sends back what it hears, with Connection IDs for clients
 * that ask for them. Ends with its standard input.
 *
 * <p>Arguments: port, then KEY=VALUE as {@link DtlsPeer} takes them; trust is what clients are
 * checked by.
 */
public final class DtlsServer {
    private static final int CONNECTION_ID_BYTES = 6;

    private DtlsServer() {
    }

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        Map<String, String> options = Device.options(arguments, 1);
        Configuration configuration = new Configuration();
        configuration.set(DtlsConfig.DTLS_ROLE, DtlsRole.SERVER_ONLY);
        configuration.set(DtlsConfig.DTLS_CLIENT_AUTHENTICATION_MODE, CertificateAuthenticationMode.NEEDED);
        configuration.set(DtlsConfig.DTLS_CONNECTION_ID_LENGTH, CONNECTION_ID_BYTES);
        DtlsPeer.configure(configuration, options);
        DtlsConnectorConfig.Builder builder = DtlsConnectorConfig.builder(configuration);
        builder.setAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
        switch (options.get("mode")) {
        case "psk" -> {
            MultiPskStore store = new MultiPskStore();
            store.setKey(options.get("identity"), StringUtil.hex2ByteArray(options.get("key")));
            builder.setPskStore(store);
        }
        case "rpk" -> DtlsPeer.rpk(builder, options);
        case "x509" -> DtlsPeer.x509(builder, options);
        default -> throw new IllegalArgumentException("mode: psk, rpk or x509");
        }
        DTLSConnector connector = new DTLSConnector(builder.build());
        connector.setRawDataReceiver(heard -> connector.send(
                RawData.outbound(heard.getBytes(), heard.getEndpointContext(), null, false)));
        connector.start();
        while (System.in.read() >= 0) {
            // Commands are for clients.
        }
        connector.destroy();
    }
}
