package interop;

import org.eclipse.leshan.client.californium.endpoint.CaliforniumClientEndpointsProvider;
import org.eclipse.leshan.client.californium.endpoint.coap.CoapOscoreProtocolProvider;

/** {@link Device} under OSCORE, with the last release that has its transport among its artifacts. */
public final class OscoreDevice {
    private OscoreDevice() {
    }

    public static void main(String[] arguments) throws Exception {
        Device.run(arguments,
                options -> new CaliforniumClientEndpointsProvider.Builder(new CoapOscoreProtocolProvider()).build());
    }
}
