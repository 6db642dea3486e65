package interop;

import java.util.Map;

import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.leshan.client.endpoint.LwM2mClientEndpointsProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.CaliforniumClientEndpointsProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coap.CoapClientProtocolProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coaps.CoapsClientProtocolProvider;

/** {@link Device} over UDP and DTLS. */
public final class LeshanDevice {
    private LeshanDevice() {
    }

    public static void main(String[] arguments) throws Exception {
        Device.run(arguments, LeshanDevice::transport);
    }

    private static LwM2mClientEndpointsProvider transport(Map<String, String> options) {
        CaliforniumClientEndpointsProvider.Builder endpoints = new CaliforniumClientEndpointsProvider.Builder(
                new CoapClientProtocolProvider(), new CoapsClientProtocolProvider());
        Configuration configuration = endpoints.createDefaultConfiguration();
        DtlsPeer.configure(configuration, options);
        endpoints.setConfiguration(configuration);
        return endpoints.build();
    }
}
