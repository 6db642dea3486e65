package interop;

import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

import org.eclipse.californium.core.coap.Request;
import org.eclipse.californium.core.network.CoapEndpoint;
import org.eclipse.californium.core.network.interceptors.MessageInterceptor;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.leshan.client.LeshanClient;
import org.eclipse.leshan.client.endpoint.LwM2mClientEndpointsProvider;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.transport.californium.client.endpoint.CaliforniumClientEndpoint;
import org.eclipse.leshan.transport.californium.client.endpoint.CaliforniumClientEndpointsProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coap.CoapClientProtocolProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coaps.CoapsClientProtocolProvider;

/** {@link Device} over UDP and DTLS. */
public final class LeshanDevice implements Device.Transport {
    private final Set<CoapEndpoint> watched = ConcurrentHashMap.newKeySet();

    private LeshanDevice() {
    }

    public static void main(String[] arguments) throws Exception {
        Device.run(arguments, new LeshanDevice());
    }

    @Override
    public LwM2mClientEndpointsProvider of(Map<String, String> options) {
        CaliforniumClientEndpointsProvider.Builder endpoints = new CaliforniumClientEndpointsProvider.Builder(
                new CoapClientProtocolProvider(), new CoapsClientProtocolProvider());
        Configuration configuration = endpoints.createDefaultConfiguration();
        DtlsPeer.configure(configuration, options);
        endpoints.setConfiguration(configuration);
        return endpoints.build();
    }

    /** As in "observe begins GET 3/0/0"; a composite has no path. */
    @Override
    public void watch(LeshanClient client, LwM2mServer server) {
        if (client.getEndpoint(server) instanceof CaliforniumClientEndpoint endpoint
                && watched.add(endpoint.getCoapEndpoint())) {
            endpoint.getCoapEndpoint().addInterceptor(new MessageInterceptor() {
                @Override
                public void receiveRequest(Request request) {
                    if (request.getOptions().hasObserve()) {
                        String what = request.getOptions().getObserve() == 0 ? "begins" : "ends";
                        Device.say("observe " + what + " " + request.getCode() + " "
                                + request.getOptions().getUriPathString());
                    }
                }
            });
        }
    }
}
