use super::*;

fn settings(text: &str) -> anyhow::Result<Settings> {
    toml::from_str::<Config>(text)?.settings()
}

#[test]
fn security_is_on_by_default() {
    let settings = settings("").unwrap();
    let address = "0.0.0.0:5685".parse().unwrap();
    let bootstrap = "0.0.0.0:5686".parse().unwrap();
    let bootstrap = Listener::coaps(bootstrap).bootstrap();
    assert_eq!(settings.listeners, [Listener::coaps(address), bootstrap]);
}

#[test]
fn devices_bootstrap_at_a_port_of_their_own_and_where_a_listener_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lwm2m-server.toml");
    let listener = |uri: &str, role: &str| {
        format!("[[listener]]\nuri = \"coap+tcp://{uri}\"\nrole = \"{role}\"\n")
    };
    let text = [
        listener("[::1]:1", "bootstrap"),
        listener("[::1]:2", "both"),
        listener("[::1]:3", "server"),
    ];
    let listeners = |head: &str| {
        std::fs::write(&path, [head, &text.concat()].concat()).unwrap();
        Config::load(&path).unwrap().settings().unwrap().listeners
    };
    let any = |port| ([0, 0, 0, 0], port).into();
    let tcp = |text: &str| Listener::coap_tcp(text.parse().unwrap());
    let named = [
        tcp("[::1]:1").bootstrap(),
        tcp("[::1]:2").also_bootstrap(),
        tcp("[::1]:3"),
    ];
    for (head, port) in [
        ("", 5686),
        ("[server]\nbind_port = 7000\n", 5686),
        ("[server]\nbind_port = 0\n", 0),
        ("[server]\nbootstrap_port = 7\n", 7),
    ] {
        let listeners = listeners(head);
        assert_eq!(listeners[1..4], named, "{head}");
        let own = Listener::coaps(any(port)).bootstrap();
        assert_eq!(listeners[4..], [own], "{head}");
    }
    let listeners = listeners("[bootstrap]\nlisten = false\n");
    assert_eq!(listeners[0], Listener::coaps(any(5685)));
    assert_eq!(listeners[1..], named);
    for text in [
        "[bootstrap]\nfile = \"\"",
        "[bootstrap]\nstep_timeout_s = 0",
        "[bootstrap]\nsession_timeout_s = 3601",
        "[[listener]]\nuri = \"coap://[::1]:1\"\nrole = \"none\"",
    ] {
        assert!(settings(text).is_err(), "{text}");
    }
}

#[test]
fn reads_every_section() {
    let text = "[server]\nbind_address = \"127.0.0.1\"\nbind_port = 5683\n\
                security_mode = \"nosec\"\nlifetime = 60\nshards = 3\n\
                [[listener]]\nuri = \"coap://[::1]:5783\"\n\
                [coap]\nack_timeout_s = 10.0\nmax_retransmit = 2\ntoken_max = 8\n\
                [http]\nbind = \"127.0.0.1:9090\"\n[models]\ndirectory = \"/objects\"\n[limits]\nregistrations_max = 7\n";
    let settings = settings(text).unwrap();
    assert_eq!(
        settings.listeners,
        [
            Listener::coap("127.0.0.1:5683".parse().unwrap()),
            Listener::coap("[::1]:5783".parse().unwrap()),
            Listener::coap("127.0.0.1:5686".parse().unwrap()).bootstrap()
        ]
    );
    assert_eq!(settings.http.port(), 9090);
    assert_eq!(settings.models.path(), Path::new("/objects"));
    assert_eq!(settings.server.lifetime_s, 60);
    assert_eq!(settings.server.shards, 3);
    assert_eq!(
        settings.server.coap.transmission.ack_timeout,
        Duration::from_secs(10)
    );
    assert_eq!(settings.server.coap.token_max, 8);
    assert_eq!(settings.server.limits.registrations_max, 7);
}

#[test]
fn limits_of_extensions_are_read_and_held_to_their_range() {
    let text = "[limits]\nparked_requests_max = 5\nhook_timeout_s = 7\ndevice_hooks_max = 9\n\
                transforms_per_device_max = 3\ndevice_hook_timeout_s = 11";
    let limits = settings(text).unwrap().server.limits;
    assert_eq!(limits.parked_requests_max, 5);
    assert_eq!(limits.hook_timeout, Duration::from_secs(7));
    assert_eq!(limits.device_hooks_max, 9);
    assert_eq!(limits.transforms_per_device_max, 3);
    assert_eq!(limits.device_hook_timeout, Duration::from_secs(11));
    for (text, told) in [
        (
            "transforms_max = 0",
            "[limits] transforms_max = 0: use at least 1",
        ),
        (
            "hook_timeout_s = 0",
            "[limits] hook_timeout_s = 0: use 1 to 3600",
        ),
        ("device_hook_timeout_s = 3601", "use 1 to 3600"),
    ] {
        let error = settings(&format!("[limits]\n{text}")).err().expect(text);
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn the_reference_has_every_key_with_its_default() {
    let defaults = settings("").unwrap();
    let reference = settings(REFERENCE).unwrap();
    assert_eq!(reference.server, defaults.server);
    assert_eq!(reference.listeners, defaults.listeners);
    assert_eq!(reference.http, defaults.http);
    assert_eq!(reference.models, defaults.models);
    assert_eq!(reference.credentials, defaults.credentials);
    assert_eq!(reference.bootstrap, defaults.bootstrap);
    assert_eq!(reference.oscore, defaults.oscore);
    assert_eq!(reference.plugins, defaults.plugins);
    assert_eq!(reference.observe.strategies, defaults.observe.strategies);
    assert_eq!(reference.observe.file, defaults.observe.file);
    assert_eq!(
        reference.observe.poll_interval,
        defaults.observe.poll_interval
    );
    assert_eq!(reference.http_limits, defaults.http_limits);
    let keys = [
        include_str!("dtls.rs"),
        include_str!("observe.rs"),
        include_str!("oscore.rs"),
        include_str!("tcp.rs"),
        include_str!("bootstrap.rs"),
        include_str!("credentials.rs"),
        include_str!("../config.rs"),
    ]
    .concat();
    let fields = keys
        .lines()
        .take_while(|line| !line.starts_with("impl Config"));
    let fields = fields.filter_map(|line| line.trim().strip_suffix(',')?.split_once(": "));
    for (key, _) in fields.filter(|(key, _)| !key.contains(['(', ' '])) {
        let sections = [
            "server",
            "dtls",
            "listener",
            "coap",
            "tcp",
            "http",
            "models",
            "credentials",
            "bootstrap",
            "oscore",
            "observe",
            "plugins",
            "limits",
        ];
        let section = sections.contains(&key);
        assert!(
            section || REFERENCE.contains(key),
            "{key} is not in reference.toml"
        );
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let error = toml::from_str::<Config>("[server]\nlifetme = 3\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("lifetme") && error.contains("line 2"),
        "{error}"
    );
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    for (text, part) in [
        (
            "[server]\nsecurity_mode = \"nosec\"\nshards = 0\n",
            "1 to 256",
        ),
        (
            "[server]\nsecurity_mode = \"nosec\"\n[coap]\nack_timeout_s = 0.0\n",
            "0.1 to 600",
        ),
        (
            "[server]\nsecurity_mode = \"nosec\"\n[models]\npoll_interval_s = 0\n",
            "1 to 86400",
        ),
        (
            "[server]\nsecurity_mode = \"nosec\"\n[coap]\nmax_retransmit = 11\n",
            "0 to 10",
        ),
        (
            "[server]\nsecurity_mode = \"nosec\"\n[coap]\nack_random_factor = 0.5\n",
            "1 to 10",
        ),
        (
            "[server]\nsecurity_mode = \"nosec\"\n[coap]\ntoken_max = 65\n",
            "8 to 64",
        ),
        ("[[listener]]\nuri = \"mqtt://0.0.0.0:1883\"\n", "coaps://"),
        ("[[listener]]\nuri = \"coap://here\"\n", "ADDRESS:PORT"),
    ] {
        let error = settings(text).err().expect(text);
        assert!(error.to_string().contains(part), "{text}: {error}");
    }
}
