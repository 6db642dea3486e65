use super::*;

fn section(text: &str) -> DtlsSection {
    toml::from_str(text).expect("a section")
}

#[test]
fn files_are_those_beside_the_configuration() {
    let mut section = section(
        "server_certificate = \"server.pem\"\nserver_private_key = \"/secret/server.key\"\n\
         trust_store = \"ca\"\nclient_authentication = \"optional\"\n\
         [[certificate]]\nserver_certificate = \"b.pem\"\nserver_private_key = \"b.key\"\n",
    );
    section.start_from(Path::new("/etc/lwm2m"));
    let files = section.key_files().expect("good");
    let paths: Vec<String> = files
        .paths()
        .iter()
        .map(|p| p.display().to_string())
        .collect();
    assert_eq!(
        paths,
        [
            "/etc/lwm2m/server.pem",
            "/secret/server.key",
            "/etc/lwm2m/b.pem",
            "/etc/lwm2m/b.key",
            "/etc/lwm2m/ca"
        ]
    );
    let wanted = ClientAuthentication::Optional;
    assert_eq!(section.client_authentication(), wanted);
}

#[test]
fn clients_authenticate_unless_said_otherwise() {
    let section = section("");
    let wanted = ClientAuthentication::Required;
    assert_eq!(section.client_authentication(), wanted);
    assert_eq!(section.key_files().expect("good"), KeyFiles::default());
}

fn applied(text: &str) -> anyhow::Result<DtlsConfig> {
    let mut config = DtlsConfig::default();
    section(text).apply(&mut config)?;
    Ok(config)
}

#[test]
fn every_key_has_an_effect_of_its_own() {
    type Look = fn(&DtlsConfig) -> String;
    let of_limits: [(&str, Look); 14] = [
        ("mtu", |c| c.limits.mtu.to_string()),
        ("record_size_max", |c| c.limits.record_size_max.to_string()),
        ("handshakes_max", |c| c.limits.handshakes_max.to_string()),
        ("handshakes_per_address_per_second_max", |c| {
            c.limits.handshakes_per_address_per_second_max.to_string()
        }),
        ("sessions_max", |c| c.limits.sessions_max.to_string()),
        ("resumable_sessions_max", |c| {
            c.limits.resumable_sessions_max.to_string()
        }),
        ("handshake_message_max", |c| {
            c.limits.handshake_message_max.to_string()
        }),
        ("handshake_fragments_max", |c| {
            c.limits.handshake_fragments_max.to_string()
        }),
        ("reassembly_bytes_max", |c| {
            c.limits.reassembly_bytes_max.to_string()
        }),
        ("transcript_bytes_max", |c| {
            c.limits.transcript_bytes_max.to_string()
        }),
        ("early_bytes_max", |c| c.limits.early_bytes_max.to_string()),
        ("psk_identity_max", |c| {
            c.limits.psk_identity_max.to_string()
        }),
        ("chain_bytes_max", |c| {
            c.chain_limits.chain_bytes_max.to_string()
        }),
        ("unconfirmed_path_bytes", |c| {
            c.limits.unconfirmed_path_bytes.to_string()
        }),
    ];
    for (key, look) in of_limits {
        // Of several digits, a value within every range that no default has.
        let value = if key.contains("fragments") { 3 } else { 5003 };
        let config = applied(&format!("{key} = {value}\n")).expect(key);
        assert_eq!(look(&config), value.to_string(), "{key}");
        assert_ne!(config, DtlsConfig::default());
    }
    let of_others: [(&str, &str, Look); 13] = [
        ("backend = \"webrtc-dtls\"", "WebRtcDtls", |c| {
            format!("{:?}", c.backend)
        }),
        ("connection_id = false", "false", |c| c.cid.to_string()),
        ("extended_master_secret = \"required\"", "Required", |c| {
            format!("{:?}", c.extended_master_secret)
        }),
        ("unknown_psk_identity = \"conceal\"", "Conceal", |c| {
            format!("{:?}", c.unknown_psk_identity)
        }),
        (
            "suites = [\"TLS_PSK_WITH_AES_128_CCM_8\"]",
            "[PskCcm8]",
            |c| format!("{:?}", c.suites),
        ),
        ("retransmission_initial_s = 1.5", "1.5s", |c| {
            format!("{:?}", c.timing.retransmission_initial)
        }),
        ("retransmission_max_s = 61.0", "61s", |c| {
            format!("{:?}", c.timing.retransmission_max)
        }),
        ("handshake_timeout_s = 7.0", "7s", |c| {
            format!("{:?}", c.timing.handshake_timeout)
        }),
        ("bad_finished_grace_s = 7.0", "7s", |c| {
            format!("{:?}", c.timing.bad_finished_grace)
        }),
        ("last_flight_s = 7.0", "7s", |c| {
            format!("{:?}", c.timing.last_flight)
        }),
        ("cookie_lifetime_s = 7.0", "7s", |c| {
            format!("{:?}", c.timing.cookie_lifetime)
        }),
        ("session_idle_s = 7.0", "Some(7s)", |c| {
            format!("{:?}", c.limits.session_idle)
        }),
        ("certificates_max = 2", "2", |c| {
            c.chain_limits.certificates_max.to_string()
        }),
    ];
    for (text, wanted, look) in of_others {
        let config = applied(text).expect(text);
        assert_eq!(look(&config), wanted, "{text}");
        assert_ne!(look(&DtlsConfig::default()), wanted, "{text}");
    }
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    for (text, part) in [
        ("suites = []", "TLS_PSK_WITH_AES_128_CCM_8"),
        ("suites = [\"TLS_RSA\"]", "TLS_RSA is none of"),
        ("mtu = 127", "128 to 16384"),
        ("record_size_max = 63", "64 to 16384"),
        ("record_size_max = 16385", "64 to 16384"),
        ("handshakes_max = 0", "1 to 1048576"),
        ("sessions_max = 16777217", "1 to 16777216"),
        ("certificates_max = 65", "1 to 64"),
        ("retransmission_initial_s = 0.05", "0.1 to 3600"),
        ("retransmission_max_s = 8.0", "less than"),
        ("session_idle_s = 0.5", "1 to 31536000"),
    ] {
        let error = applied(text).expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    assert_eq!(applied("session_idle_s = 0.0").expect("never"), {
        DtlsConfig::default()
    });
}

#[test]
fn halves_of_a_pair_are_refused() {
    let refused = |text| section(text).key_files().expect_err("refused").to_string();
    let error = refused("server_certificate = \"server.pem\"\n");
    assert!(error.contains("server_private_key"), "{error}");
    let further = "[[certificate]]\nserver_certificate = \"b.pem\"\nserver_private_key = \"b\"";
    let error = refused(further);
    assert!(error.contains("[[dtls.certificate]]"), "{error}");
    assert!(
        section("server_private_key = \"only.key\"\n")
            .key_files()
            .is_ok()
    );
}
