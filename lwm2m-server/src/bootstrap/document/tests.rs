//! Documents that are read, and what is said of those that are not.

use lwm2m_registry::Registry;

use super::*;
use crate::bootstrap::BootstrapOperation;

fn read(text: &str) -> Result<Vec<DevicePlan>, BootstrapDocumentError> {
    let documents = BootstrapDocument::read_all(text)?;
    let written = BootstrapDocument::write_all(&documents).expect("it is TOML");
    assert_eq!(
        BootstrapDocument::read_all(&written).as_ref(),
        Ok(&documents)
    );
    DevicePlan::read_all(&documents, FilePath::new("/nowhere"), &Registry::embedded())
}

fn lines(plan: &BootstrapPlan) -> Vec<String> {
    plan.operations
        .iter()
        .map(|operation| format!("{} {}", operation.name(), operation.path()))
        .collect()
}

#[test]
fn a_document_becomes_plans() {
    let text = r#"
        [[device]]
        endpoint       = "urn:a-*"
        content_format = "tlv"
        on_failure     = "stop"
        verify         = true
        write          = { "/3/0/14" = "+01:00", "/2/0/0" = 3, "/2/0/1" = 0, "/2/0/2/101" = 31, "/2/0/3" = 101 }
        [[device.server]]
        short_server_id = 101
        uri             = "coaps://[2001:db8::1]:5685"
        lifetime        = 60
        psk_identity    = "a"
        psk_key         = "000102030405060708090a0b0c0d0e0f"
        [[device.server]]
        short_server_id = 102
        uri             = "coap+tcp://[2001:db8::1]"

        [[device]]
        endpoint = "*"
        discover = false
        delete   = []
    "#;
    let devices = read(text).expect("a good document");
    let plan = devices[0]
        .plan(None, &[])
        .expect("no credential is asked for");
    assert_eq!(
        lines(&plan),
        [
            "discover /",
            "delete /0",
            "delete /1",
            "write /0/0",
            "write /1/0",
            "write /0/1",
            "write /1/1",
            "write /2/0",
            "write /3/0",
            "read /1"
        ]
    );
    assert_eq!(plan.content_format, Some(ContentFormat::Tlv));
    assert_eq!(plan.on_failure, FailurePolicy::Stop);
    let values = |at: usize| match &plan.operations[at] {
        BootstrapOperation::Write { records, .. } => {
            let value = |r: &Record<'static>| format!("{}={}", r.path, r.value.to_text());
            records.iter().map(value).collect::<Vec<_>>()
        }
        other => panic!("a write, and not {other:?}"),
    };
    assert_eq!(
        values(4),
        ["/1/0/0=101", "/1/0/1=60", "/1/0/6=true", "/1/0/7=U"]
    );
    assert_eq!(values(6)[3], "/1/1/7=T");
    assert_eq!(
        values(7),
        ["/2/0/0=3", "/2/0/1=0", "/2/0/2/101=31", "/2/0/3=101"]
    );
    assert_eq!(
        lines(&devices[1].plan(None, &[]).expect("nothing is missing")),
        [""; 0]
    );
}

#[test]
fn an_account_takes_the_credential_that_the_device_does_not_bootstrap_with() {
    use crate::credentials::CredentialId;
    use crate::identity::{Authenticated, PeerIdentity};
    let text = r#"
        [[device]]
        endpoint = "a"
        [[device.server]]
        short_server_id = 1
        uri             = "coaps://[::1]"
        credential      = "psk"
    "#;
    let device = &read(text).expect("a good document")[0];
    assert!(device.wants_credentials());
    assert_eq!(device.plan(None, &[]), None);
    let credential = |id: &str| {
        let proof = Proof::Psk {
            identity: id.as_bytes().into(),
            key: SecretKey::new(b"sixteen bytes ok").expect("a key"),
        };
        Arc::new(Credential::new(
            CredentialId::new(id).expect("an id"),
            proof,
        ))
    };
    let both = [credential("bootstrap"), credential("own")];
    let request = BootstrapRequest {
        endpoint: crate::EndpointName::new("a").expect("a name"),
        scheme: "coaps",
        peer: ([127, 0, 0, 1], 1).into(),
        identity: PeerIdentity::psk(b"bootstrap", None),
        authenticated: Some(Arc::new(Authenticated {
            identity: PeerIdentity::psk(b"bootstrap", None),
            credentials: vec![both[0].clone()],
        })),
        preferred_format: None,
        parameters: Vec::new(),
    };
    let identity = |credentials: &[Arc<Credential>]| {
        let plan = device.plan(Some(&request), credentials).expect("a plan");
        let identity = plan.records().find(|r| r.path == Path::resource(0, 0, 3));
        identity.map(|record| record.value.clone())
    };
    assert_eq!(identity(&both), Some(Value::from(b"own".to_vec())));
    assert_eq!(
        identity(&both[..1]),
        Some(Value::from(b"bootstrap".to_vec()))
    );
}

#[test]
fn what_is_wrong_is_named_and_no_key_is_shown() {
    let server = |lines: &str| {
        format!("[[device]]\nendpoint = \"a\"\n[[device.server]]\nshort_server_id = 1\n{lines}")
    };
    let device = |lines: &str| format!("[[device]]\nendpoint = \"a\"\n{lines}");
    let key = "00112233445566778899aabbccddeeff";
    for (text, place, word) in [
        (
            "[[device]]\n".to_owned(),
            "line 1",
            "missing field `endpoint`",
        ),
        (device("colour = 1"), "line 3", "unknown field `colour`"),
        (
            device("delete = [\"/3/0/1\"]"),
            "device 1 (a)",
            "delete: /3/0/1",
        ),
        (
            device("write = { \"/3/0\" = 1 }"),
            "device 1 (a)",
            "write: /3/0 is no resource",
        ),
        (
            device("write = { \"/1/0/1\" = true }"),
            "device 1 (a)",
            "another type",
        ),
        (
            device("content_format = \"text\""),
            "device 1 (a)",
            "senml-json",
        ),
        (
            server("uri = \"http://a\""),
            "device 1 (a), server 1",
            "uri: use coap://",
        ),
        (
            server("uri = \"coaps://a\""),
            "device 1 (a), server 1",
            "no key for it",
        ),
        (
            server(&format!(
                "uri = \"coap://a\"\npsk_identity = \"a\"\npsk_key = \"{key}\""
            )),
            "device 1 (a), server 1",
            "it is not secure",
        ),
        (
            server(&format!("uri = \"coaps://a\"\npsk_key = \"{key}\"")),
            "device 1 (a), server 1",
            "goes with psk_identity",
        ),
        (
            server(&format!(
                "uri = \"coaps://a\"\npsk_identity = \"a\"\npsk_key = \"{key}0\""
            )),
            "device 1 (a), server 1",
            "hexadecimal",
        ),
        (
            server(&format!(
                "uri = \"coaps://a\"\npsk_identity = \"a\"\npsk_key = [\"{key}\"]"
            )),
            "line 7",
            "written as text",
        ),
        (
            server(&format!(
                "uri = \"coaps://a\"\npsk_identity = \"a\"\npsk_key = \"{key}"
            )),
            "line 7",
            "",
        ),
        (
            server("uri = \"coaps://a\"\nprivate_key = \"a.pem\""),
            "device 1 (a), server 1",
            "/nowhere/a.pem",
        ),
    ] {
        let error = read(&text).expect_err(&text);
        assert_eq!(error.place, place, "{error}");
        assert!(error.message.contains(word), "{error}");
        assert!(!error.to_string().contains(&key[..8]), "{error}");
    }
}
