//! The words are those that scripts have.

use std::sync::Arc;

use lwm2m_core::{Path, Record, Value};
use lwm2m_server::bootstrap::BootstrapRequest;
use lwm2m_server::hooks::{Batch, CredentialRequest, FirmwareEvent, Update};
use lwm2m_server::{EndpointName, PeerIdentity, Registration};
use rhai::{Dynamic, Scope};

use super::*;
use crate::config::PluginLimits;

#[test]
fn every_property_that_is_told_is_there() {
    let engine = crate::script::engine::engine(&PluginLimits::default());
    let name = EndpointName::new("a").expect("a name");
    let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let mut registration = Registration::new(name.clone(), peer);
    let links = lwm2m_core::ObjectList::parse(b"</3/0>;ver=1.1").expect("links");
    registration.objects = Arc::new(links);
    let record = Record::new(Path::resource(3, 0, 9), Value::Integer(1));
    let batch = Batch::new(name.clone(), vec![record.clone()]);
    let values = [
        ("Registration", Dynamic::from(Arc::new(registration))),
        ("Identity", Dynamic::from(PeerIdentity::psk(b"a", None))),
        ("Update", Dynamic::from(Arc::new(Update::default()))),
        (
            "CredentialRequest",
            Dynamic::from(Arc::new(CredentialRequest::new(PeerIdentity::Anonymous))),
        ),
        ("Batch", Dynamic::from(Arc::new(batch))),
        ("Measurement", Dynamic::from(record)),
        (
            "FirmwareEvent",
            Dynamic::from(Arc::new(FirmwareEvent::Started)),
        ),
        (
            "BootstrapRequest",
            Dynamic::from(Arc::new(BootstrapRequest::new(name, peer))),
        ),
    ];
    for (kind, value) in values {
        let known = PROPERTIES.iter().find(|(known, _)| *known == kind);
        let (_, properties) = known.expect("it is listed");
        let mut scope = Scope::new();
        scope.push("value", value);
        for property in *properties {
            let got = engine.eval_with_scope::<Dynamic>(&mut scope, &format!("value.{property}"));
            assert!(got.is_ok(), "{kind}.{property}: {got:?}");
        }
        let none = engine.eval_with_scope::<Dynamic>(&mut scope, "value.nothing_like_it");
        let error = none.expect_err("there is none").to_string();
        let told = explained(&error);
        assert!(told.contains(&format!("in {kind}; there are")), "{told}");
    }
}

#[test]
fn errors_say_what_may_have_been_meant() {
    for (message, told) in [
        (
            "Unknown property 'endpont' - a getter is not registered for type 'Registration'",
            "there is no endpont in Registration; did you mean endpoint?",
        ),
        (
            "Function not found: log_inf (&str | ImmutableString | String)",
            "Function not found: log_inf (&str | ImmutableString | String); did you mean \
             log_info?",
        ),
        (
            "Function not found: reject (&str | ImmutableString | String)",
            "Function not found: reject (&str | ImmutableString | String); it is called as \
             reject(code, why)",
        ),
        (
            "Function not found: helper ()",
            "Function not found: helper ()",
        ),
        ("Division by zero", "Division by zero"),
    ] {
        assert_eq!(explained(message), told);
    }
}

#[test]
fn what_is_doubtful_is_told_with_its_place() {
    let script = "
        // kv_get(\"a\") in a comment, /* and
        fn on_register(r) { /* log_inf(1)
            kv_delete(2) */ kv_set(\"plugin\", \"log_inf(\\\" kv_cas(\", 1);
            kv_set(\"plugin\", `kv_keys(`, 2); log_inf(3); r.has_objct(3); helpr();
            device_read(r.endpoint, \"/3/0/0\"); anotate (#{}); set(1); log_inf(4);
            [1].lenght(); parse_itn(\"1\"); helpr(1); reject(1); ask(\"transform\", #{});
        }
        fn on_gone(r, why) {
            Fn(\"helprr\").call(1); [1].map(\"to_uper\"); \"helpr\".call(); Fn(\"kv_get\").call(\"a\", \"b\");
        }
        fn helpr() { emit_event(\"a\", 1); emit_evnt(\"a\", 1) }
        fn emit_evnt(a, b) {}";
    let permissions = ["events".parse().expect("a permission")];
    let mut engine = crate::script::engine::engine(&PluginLimits::default());
    crate::script::functions::register(&mut engine, "{}");
    let ast = engine.compile(script).expect("a script");
    let doubts = doubts(&Calls::of(&engine, &ast), &permissions);
    let told: Vec<(usize, usize, &str)> = doubts
        .iter()
        .map(|doubt| {
            let place = (doubt.line.expect("a line"), doubt.column.expect("a column"));
            (place.0, place.1, doubt.what.as_str())
        })
        .collect();
    let expected = [
        (
            4,
            29,
            "kv_set fails without a permission: permissions = [\"kv\"]",
        ),
        (
            5,
            46,
            "there is no function log_inf; did you mean log_info?",
        ),
        (
            5,
            60,
            "there is no method has_objct; did you mean has_object?",
        ),
        (
            6,
            13,
            "device_read fails without a permission: permissions = [\"device:read:/3/**\"]",
        ),
        (
            6,
            48,
            "there is no function anotate; did you mean annotate?",
        ),
        (
            6,
            63,
            "there is no function set with 1 arguments; it takes 3",
        ),
        (7, 17, "there is no method lenght"),
        (
            7,
            27,
            "there is no function parse_itn; did you mean parse_int?",
        ),
        (
            7,
            43,
            "there is no function helpr with 1 arguments; it takes 0",
        ),
        (
            7,
            53,
            "there is no function reject with 1 arguments; it is called as reject(code, why)",
        ),
        (10, 13, "there is no function helprr; did you mean helpr?"),
        (
            10,
            43,
            "there is no function to_uper; did you mean to_upper?",
        ),
        (
            10,
            55,
            "call takes a function, and \"helpr\" is a text: Fn(\"helpr\").call(..)",
        ),
        (
            10,
            71,
            "kv_get fails without a permission: permissions = [\"kv\"]",
        ),
    ];
    assert_eq!(told, expected);
}
