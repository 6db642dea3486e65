package interop;

import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.security.PublicKey;
import java.security.cert.Certificate;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

import org.eclipse.californium.elements.util.SslContextUtil;
import org.eclipse.californium.elements.util.SslContextUtil.Credentials;
import org.eclipse.californium.elements.util.StringUtil;
import org.eclipse.leshan.client.LeshanClient;
import org.eclipse.leshan.client.LeshanClientBuilder;
import org.eclipse.leshan.client.endpoint.LwM2mClientEndpointsProvider;
import org.eclipse.leshan.client.engine.DefaultRegistrationEngineFactory;
import org.eclipse.leshan.client.object.Oscore;
import org.eclipse.leshan.client.object.Security;
import org.eclipse.leshan.client.object.Server;
import org.eclipse.leshan.client.observer.LwM2mClientObserverAdapter;
import org.eclipse.leshan.client.resource.ObjectsInitializer;
import org.eclipse.leshan.client.resource.SimpleInstanceEnabler;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.ResponseCode;
import org.eclipse.leshan.core.model.LwM2mModel;
import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.StaticModel;
import org.eclipse.leshan.core.node.LwM2mSingleResource;
import org.eclipse.leshan.core.oscore.OscoreSetting;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.core.request.BootstrapRequest;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.DeregisterRequest;
import org.eclipse.leshan.core.request.RegisterRequest;
import org.eclipse.leshan.core.request.UpdateRequest;
import org.eclipse.leshan.core.request.argument.Arguments;
import org.eclipse.leshan.core.response.ExecuteResponse;
import org.eclipse.leshan.core.response.SendResponse;
import org.eclipse.leshan.core.util.datatype.ULong;

/**
 * A device made of the Leshan client libraries. Says what happens to it on standard output, one
 * word first ("registered LOCATION"), and takes commands on standard input:
 *
 * <pre>
 * set VALUE      a new value of /3303/0/5700
 * send           a Send of /3303/0/5700
 * update         an Update of the registration
 * stop           de-registers and ends
 * </pre>
 *
 * Arguments: server URI, endpoint, lifetime in seconds, "queue" or "awake", an object definition;
 * then KEY=VALUE: bootstrap=yes when the server is a bootstrap server, which gives the account; for DTLS
 * as DtlsPeer takes them; for OSCORE mode=oscore, sender and recipient (both
 * text), secret and salt (both in hex).
 *
 * <p>The releases of Leshan have different transports, of which each is a program of its own.
 */
public final class Device {
    /** What carries messages. */
    @FunctionalInterface
    public interface Transport {
        LwM2mClientEndpointsProvider of(Map<String, String> options) throws Exception;

        /** Says which observations a server begins and ends, where the release lets us see that. */
        default void watch(LeshanClient client, LwM2mServer server) {
        }
    }

    private static final int TEMPERATURE = 3303;
    private static final int SENSOR_VALUE = 5700;
    private static final int OSCORE_INSTANCE = 0;
    /** Certificate Usage of object 0: the certificate is the anchor that the server's chain ends at. */
    private static final ULong TRUST_ANCHOR = ULong.valueOf(2);

    private Device() {
    }

    static void run(String[] arguments, Transport transport) throws Exception {
        String server = arguments[0];
        String endpoint = arguments[1];
        long lifetime = Long.parseLong(arguments[2]);
        boolean queueMode = arguments[3].equals("queue");
        Map<String, String> options = options(arguments, 5);

        Temperature temperature = new Temperature();
        LeshanClient client = client(server, endpoint, lifetime, queueMode, arguments[4], options,
                temperature, transport);
        client.addObserver(new LwM2mClientObserverAdapter() {
            @Override
            public void onRegistrationSuccess(LwM2mServer account, RegisterRequest request, String location) {
                transport.watch(client, account);
            }
        });
        client.addObserver(new Narrator());
        client.start();

        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = commands.readLine(); line != null; line = commands.readLine()) {
            String[] words = line.trim().split(" ");
            switch (words[0]) {
            case "set" -> temperature.measure(Double.parseDouble(words[1]));
            case "send" -> send(client);
            case "update" -> client.triggerRegistrationUpdate();
            case "stop" -> {
                client.destroy(true);
                return;
            }
            default -> say("unknown " + line);
            }
        }
        client.destroy(true);
    }

    private static LeshanClient client(String server, String endpoint, long lifetime, boolean queueMode,
            String definition, Map<String, String> options, Temperature temperature, Transport transport) throws Exception {
        List<ObjectModel> models = new ArrayList<>(ObjectLoader.loadDefault());
        try (InputStream xml = new FileInputStream(definition)) {
            models.addAll(ObjectLoader.loadDdfFile(xml, definition));
        }
        LwM2mModel model = new StaticModel(models);

        ObjectsInitializer objects = new ObjectsInitializer(model);
        boolean bootstraps = "yes".equals(options.get("bootstrap"));
        objects.setInstancesForObject(0, bootstraps ? bootstrap(server, options) : security(server, options));
        if ("oscore".equals(options.get("mode"))) {
            objects.setInstancesForObject(21, oscore(options));
        }
        if (bootstraps) {
            objects.setClassForObject(1, Server.class);
        } else {
            objects.setInstancesForObject(1,
                    new Server(123, lifetime, EnumSet.of(BindingMode.U), false, BindingMode.U));
        }
        objects.setInstancesForObject(3, new Appliance());
        objects.setInstancesForObject(6, new SimpleInstanceEnabler(0, 0, 43.5723, 1, 153.2176, 2, 140.0));
        objects.setInstancesForObject(TEMPERATURE, temperature);

        DefaultRegistrationEngineFactory engine = new DefaultRegistrationEngineFactory();
        engine.setQueueMode(queueMode);

        LeshanClientBuilder builder = new LeshanClientBuilder(endpoint);
        builder.setObjects(objects.createAll());
        builder.setRegistrationEngineFactory(engine);
        builder.setEndpointsProviders(transport.of(options));
        return builder.build();
    }

    /** Object 0. */
    private static Security security(String server, Map<String, String> options) throws Exception {
        switch (options.getOrDefault("mode", "nosec")) {
        case "psk":
            return Security.psk(server, 123, options.get("identity").getBytes(StandardCharsets.UTF_8),
                    StringUtil.hex2ByteArray(options.get("key")));
        case "rpk": {
            Credentials own = SslContextUtil.loadCredentials(options.get("credentials"));
            PublicKey trusted = SslContextUtil.loadPublicKey(options.get("trust"), null, null);
            return Security.rpk(server, 123, own.getPublicKey().getEncoded(), own.getPrivateKey().getEncoded(),
                    trusted.getEncoded());
        }
        case "x509": {
            Credentials own = SslContextUtil.loadCredentials(options.get("credentials"));
            Certificate[] trusted = SslContextUtil.loadTrustedCertificates(options.get("trust"));
            return Security.x509(server, 123, own.getCertificateChain()[0].getEncoded(),
                    own.getPrivateKey().getEncoded(), trusted[0].getEncoded(), TRUST_ANCHOR);
        }
        case "oscore":
            return Security.oscoreOnly(server, 123, OSCORE_INSTANCE);
        default:
            return Security.noSec(server, 123);
        }
    }

    /** Object 0 with the account of a bootstrap server. */
    private static Security bootstrap(String server, Map<String, String> options) throws Exception {
        switch (options.getOrDefault("mode", "nosec")) {
        case "psk":
            return Security.pskBootstrap(server, options.get("identity").getBytes(StandardCharsets.UTF_8),
                    StringUtil.hex2ByteArray(options.get("key")));
        case "rpk": {
            Credentials own = SslContextUtil.loadCredentials(options.get("credentials"));
            PublicKey trusted = SslContextUtil.loadPublicKey(options.get("trust"), null, null);
            return Security.rpkBootstrap(server, own.getPublicKey().getEncoded(), own.getPrivateKey().getEncoded(),
                    trusted.getEncoded());
        }
        case "x509": {
            Credentials own = SslContextUtil.loadCredentials(options.get("credentials"));
            Certificate[] trusted = SslContextUtil.loadTrustedCertificates(options.get("trust"));
            return Security.x509Bootstrap(server, own.getCertificateChain()[0].getEncoded(),
                    own.getPrivateKey().getEncoded(), trusted[0].getEncoded(), TRUST_ANCHOR);
        }
        case "oscore":
            return Security.oscoreOnlyBootstrap(server, OSCORE_INSTANCE);
        default:
            return Security.noSecBootstrap(server);
        }
    }

    /** Object 21. */
    private static Oscore oscore(Map<String, String> options) {
        return new Oscore(OSCORE_INSTANCE,
                new OscoreSetting(options.get("sender").getBytes(StandardCharsets.UTF_8),
                        options.get("recipient").getBytes(StandardCharsets.UTF_8),
                        StringUtil.hex2ByteArray(options.get("secret")), OscoreSetting.DEFAULT_AEAD_ALGORITHM,
                        OscoreSetting.DEFAULT_HKDF_ALGORITHM, StringUtil.hex2ByteArray(options.get("salt"))));
    }

    /** KEY=VALUE from an index on. */
    static Map<String, String> options(String[] arguments, int start) {
        Map<String, String> options = new HashMap<>();
        for (int index = start; index < arguments.length; index++) {
            String[] pair = arguments[index].split("=", 2);
            options.put(pair[0], pair[1]);
        }
        return options;
    }

    private static void send(LeshanClient client) throws InterruptedException {
        for (LwM2mServer server : client.getRegisteredServers().values()) {
            SendResponse response = client.getSendService().sendData(server, ContentFormat.SENML_CBOR,
                    List.of("/" + TEMPERATURE + "/0/" + SENSOR_VALUE), 5000);
            say("sent " + (response == null ? "timeout" : response.getCode()));
        }
    }

    static synchronized void say(String fact) {
        System.out.println(fact);
        System.out.flush();
    }

    /** Object 3. */
    public static final class Appliance extends SimpleInstanceEnabler {
        public Appliance() {
            super(0, values());
        }

        private static Map<Integer, Object> values() {
            Map<Integer, Object> values = new HashMap<>();
            values.put(0, "Leshan");
            values.put(1, "Interop device");
            values.put(2, "LI-0001");
            values.put(3, "2.0");
            values.put(9, 87L);
            values.put(14, "+01:00");
            values.put(15, "Europe/Paris");
            values.put(16, "U");
            return values;
        }

        @Override
        public ExecuteResponse execute(LwM2mServer server, int resource, Arguments arguments) {
            say("executed " + resource);
            return ExecuteResponse.success();
        }
    }

    /** Object 3303. */
    public static final class Temperature extends SimpleInstanceEnabler {
        public Temperature() {
            // Without an id: the server creates further instances.
            initialValues = Map.of(SENSOR_VALUE, 21.5, 5701, "Cel", 5601, 20.0, 5602, 23.0, 5603, -20.0, 5604,
                    60.0);
        }

        void measure(double value) {
            resources.put(SENSOR_VALUE, LwM2mSingleResource.newFloatResource(SENSOR_VALUE, value));
            fireResourceChange(SENSOR_VALUE);
        }
    }

    private static final class Narrator extends LwM2mClientObserverAdapter {
        @Override
        public void onBootstrapSuccess(LwM2mServer server, BootstrapRequest request) {
            say("bootstrapped");
        }

        @Override
        public void onBootstrapFailure(LwM2mServer server, BootstrapRequest request, ResponseCode code,
                String message, Exception cause) {
            say("refused bootstrap " + code + " " + message);
        }

        @Override
        public void onRegistrationSuccess(LwM2mServer server, RegisterRequest request, String location) {
            say("registered " + location);
        }

        @Override
        public void onRegistrationFailure(LwM2mServer server, RegisterRequest request, ResponseCode code,
                String message, Exception cause) {
            say("refused " + code + " " + message);
        }

        @Override
        public void onRegistrationTimeout(LwM2mServer server, RegisterRequest request) {
            say("timeout register");
        }

        @Override
        public void onUpdateSuccess(LwM2mServer server, UpdateRequest request) {
            say("updated");
        }

        @Override
        public void onUpdateFailure(LwM2mServer server, UpdateRequest request, ResponseCode code,
                String message, Exception cause) {
            say("refused update " + code);
        }

        @Override
        public void onDeregistrationSuccess(LwM2mServer server, DeregisterRequest request) {
            say("deregistered");
        }

        @Override
        public void onUnexpectedError(Throwable error) {
            say("error " + error);
        }
    }
}
