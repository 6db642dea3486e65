//! A session against answers that are written down.

use lwm2m_core::codec::{self, Scope};
use lwm2m_core::{ObjectLink, Record, Untyped, Value};
use lwm2m_registry::Registry;

use super::*;
use crate::bootstrap::{AccountSecurity, OscoreAccount, ServerAccount};
use crate::credentials::SecretKey;

fn account() -> ServerAccount {
    let key: Vec<u8> = (0..16).collect();
    let security = AccountSecurity::Psk {
        identity: b"dev1-psk".to_vec(),
        key: SecretKey::new(&key).expect("a key"),
    };
    ServerAccount::new(101, "coaps://lwm2m.example.com:5684", security).lifetime_s(86400)
}

fn session(plan: BootstrapPlan, preferred: Option<ContentFormat>) -> Session {
    Session::new(Arc::new(plan), preferred)
}

/// A request as one line, its payload in hexadecimal.
fn shown(request: &OutgoingRequest) -> String {
    let mut text = request.code.name().to_owned();
    for (number, value) in &request.options {
        let uint = value
            .iter()
            .fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        match *number {
            OptionNumber::URI_PATH => text += &format!("/{}", String::from_utf8_lossy(value)),
            OptionNumber::ACCEPT => text += &format!(" accept {uint}"),
            OptionNumber::CONTENT_FORMAT => text += &format!(" format {uint}"),
            other => panic!("option {other:?}"),
        }
    }
    match request.payload.is_empty() {
        true => text,
        false => format!("{text} {}", crate::identity::hex(&request.payload)),
    }
}

fn next(session: &mut Session) -> String {
    let request = session.next(&Registry::embedded()).expect("a request");
    shown(&request)
}

fn answer(session: &mut Session, code: Code, body: &[u8]) -> (Option<&'static str>, Turn) {
    let answer = Answer {
        code,
        content_format: None,
        body,
    };
    let (failure, turn) = session.answered(answer, &Registry::embedded());
    if let Some(failure) = &failure {
        assert!(failure.reason.hint.is_some(), "{failure:?}");
    }
    (failure.map(|failure| failure.reason.code), turn)
}

/// Takes a step that succeeds.
fn pass(session: &mut Session, code: Code) -> String {
    let request = next(session);
    assert_eq!(answer(session, code, b""), (None, Turn::Next), "{request}");
    request
}

fn ended(turn: Turn) -> &'static str {
    match turn {
        Turn::Ended(reason) => reason.code,
        other => panic!("ended, and not {other:?}"),
    }
}

#[test]
fn a_session_goes_through_its_plan_and_finishes() {
    let plan = BootstrapPlan::replacing_accounts()
        .account(&account())
        .read(Path::object(1));
    let mut session = session(plan, Some(ContentFormat::Tlv));
    assert_eq!((session.step(), session.steps()), (1, 7));
    assert_eq!(pass(&mut session, Code::CONTENT), "GET accept 40");
    assert_eq!(pass(&mut session, Code::DELETED), "DELETE/0");
    assert_eq!(pass(&mut session, Code::DELETED), "DELETE/1");
    assert_eq!(
        pass(&mut session, Code::CHANGED),
        "PUT/0/0 format 11542 c8001e636f6170733a2f2f6c776d326d2e6578616d706c652e636f6d3a35363834c1\
         0100c10200c80308646576312d70736bc004c80510000102030405060708090a0b0c0d0e0fc10a65"
    );
    assert_eq!(
        pass(&mut session, Code::CHANGED),
        "PUT/1/0 format 11542 c10065c40100015180c10601c10755"
    );
    assert_eq!(next(&mut session), "GET/1 accept 11542");
    let read = [8, 0, 9, 0xc1, 0, 101, 0xc1, 6, 1, 0xc1, 7, b'U'];
    assert_eq!(
        answer(&mut session, Code::CONTENT, &read),
        (None, Turn::Next)
    );
    assert_eq!(next(&mut session), "POST/bs");
    assert_eq!(
        answer(&mut session, Code::CHANGED, b""),
        (None, Turn::Finished)
    );
    assert_eq!((session.step(), session.failures()), (7, 0));
}

#[test]
fn what_the_device_says_is_compared_with_what_was_written() {
    let plan = BootstrapPlan::new()
        .account(&account())
        .read(Path::object(1));
    let mut session = session(plan, Some(ContentFormat::Tlv));
    pass(&mut session, Code::CHANGED);
    pass(&mut session, Code::CHANGED);
    next(&mut session);
    let other_lifetime = [0x08, 0x00, 0x03, 0xc1, 0x01, 60];
    let (failure, turn) = answer(&mut session, Code::CONTENT, &other_lifetime);
    assert_eq!((failure, turn), (Some("not-as-written"), Turn::Next));
    assert_eq!(session.failures(), 1);
}

#[test]
fn the_account_of_the_bootstrap_server_is_left_alone() {
    let oscore = OscoreAccount {
        master_secret: SecretKey::new(b"secret").expect("a key"),
        sender_id: b"dev".to_vec(),
        recipient_id: b"srv".to_vec(),
        master_salt: Vec::new(),
        id_context: None,
    };
    let own = Path::instance(0, 0);
    let plan = BootstrapPlan::new()
        .discover(Path::ROOT)
        .delete(own)
        .account(&account().oscore(oscore))
        .account(&account());
    let mut session = session(plan, Some(ContentFormat::SenmlCbor));
    assert_eq!(next(&mut session), "GET accept 40");
    let links = b"</>;lwm2m=1.1,</0/0>,</0/2>;ssid=7;uri=\"coap://x\",</21/0>,</1/0>;ssid=7,</3/0>";
    assert_eq!(
        answer(&mut session, Code::CONTENT, links),
        (None, Turn::Next)
    );
    // The delete of its account is left out; of the instances 0 and 1 the first goes elsewhere.
    let mut writes = Vec::new();
    for path in ["PUT/0/2", "PUT/21/1", "PUT/1/0", "PUT/0/1", "PUT/1/1"] {
        let request = session.next(&Registry::embedded()).expect("a request");
        assert!(
            shown(&request).starts_with(path),
            "{path}: {}",
            shown(&request)
        );
        writes.push(request.payload.clone());
        answer(&mut session, Code::CHANGED, b"");
    }
    let records = codec::decode(
        ContentFormat::SenmlCbor,
        Scope::from(Path::instance(0, 2)),
        &writes[0],
        &Untyped,
    )
    .expect("what was written");
    let link = records
        .records
        .iter()
        .find(|r| r.path.resource_id() == Some(17));
    let moved = ObjectLink {
        object: 21,
        instance: 1,
    };
    assert_eq!(link.map(|r| &r.value), Some(&Value::ObjectLink(moved)));
    // In 1.1 the ids of object 21 are strings.
    let text = writes[1].windows(3).any(|bytes| bytes == b"dev");
    assert!(text && writes[1].contains(&0x63), "{:02x?}", writes[1]);
    assert_eq!(next(&mut session), "POST/bs");
}

#[test]
fn values_have_the_type_of_the_object_version_that_the_device_tells() {
    let oscore = OscoreAccount {
        master_secret: SecretKey::new(b"secret").expect("a key"),
        sender_id: b"dev".to_vec(),
        recipient_id: b"srv".to_vec(),
        master_salt: Vec::new(),
        id_context: None,
    };
    let plan = BootstrapPlan::new()
        .discover(Path::ROOT)
        .account(&account().oscore(oscore));
    let mut session = session(plan, Some(ContentFormat::SenmlCbor));
    next(&mut session);
    // In version 2.0 the ids are bytes.
    let links = b"</>;lwm2m=1.1,</0>;ver=1.2,</0/0>,</21>;ver=\"2.0\",</21/0>,</3/0>";
    assert_eq!(
        answer(&mut session, Code::CONTENT, links),
        (None, Turn::Next)
    );
    pass(&mut session, Code::CHANGED);
    let write = pass(&mut session, Code::CHANGED);
    assert!(write.starts_with("PUT/21/1"), "{write}");
    assert!(write.contains("0843646576"), "{write}");
}

#[test]
fn a_device_of_1_0_gets_what_1_0_has() {
    let plan = BootstrapPlan::new()
        .write([
            Record::new(Path::resource(0, 3, 0), "coap://[2001:db8::1]"),
            Record::new(Path::resource(0, 3, 1), false),
            Record::new(Path::resource(0, 3, 2), 3),
            Record::new(Path::resource(0, 3, 15), Value::Unsigned(3)),
            Record::new(Path::resource(1, 0, 23), true),
        ])
        .read(Path::object(1));
    let mut session = session(plan, None);
    // No certificate usage, no mute, and keys that are empty; and no Read.
    let write = pass(&mut session, Code::CHANGED);
    assert!(write.ends_with("c10100c10203c003c004c005"), "{write}");
    assert_eq!(next(&mut session), "POST/bs");
    assert_eq!(session.step(), 4);
}

#[test]
fn a_format_that_is_refused_gives_way_to_tlv_once() {
    let plan = BootstrapPlan::new().account(&account());
    let mut session = session(plan, Some(ContentFormat::Lwm2mCbor));
    assert!(next(&mut session).starts_with("PUT/0/0 format 11544"));
    let refused = answer(&mut session, Code::UNSUPPORTED_CONTENT_FORMAT, b"");
    assert_eq!(refused, (None, Turn::Next));
    assert!(next(&mut session).starts_with("PUT/0/0 format 11542"));
    let (failure, turn) = answer(&mut session, Code::UNSUPPORTED_CONTENT_FORMAT, b"");
    assert_eq!(
        (failure, ended(turn)),
        (Some("step-refused"), "step-failed")
    );
}

#[test]
fn the_policy_decides_about_refused_steps() {
    let plan = || {
        BootstrapPlan::new()
            .delete(Path::object(0))
            .write([Record::new(Path::resource(3, 0, 14), "+01:00")])
            .write([Record::new(Path::resource(1, 0, 0), 1)])
    };
    for (policy, steps) in [
        (FailurePolicy::Accounts, 3),
        (FailurePolicy::Continue, 4),
        (FailurePolicy::Stop, 1),
    ] {
        let mut plan = plan();
        plan.on_failure = policy;
        let mut session = session(plan, None);
        let mut turn = Turn::Next;
        while turn == Turn::Next {
            next(&mut session);
            let refused = answer(&mut session, Code::METHOD_NOT_ALLOWED, b"no\n");
            turn = refused.1;
        }
        assert_eq!(
            (session.step(), session.failures()),
            (steps, steps),
            "{policy:?}"
        );
    }
    // What is not there need not be deleted.
    let mut session = session(plan(), None);
    next(&mut session);
    assert_eq!(
        answer(&mut session, Code::NOT_FOUND, b""),
        (None, Turn::Next)
    );
}

#[test]
fn an_inconsistent_device_fails_the_session() {
    let mut session = session(BootstrapPlan::new(), None);
    assert_eq!(next(&mut session), "POST/bs");
    let (failure, turn) = answer(&mut session, Code::NOT_ACCEPTABLE, b"");
    assert_eq!(
        (failure, ended(turn)),
        (Some("inconsistent"), "inconsistent")
    );
}

#[test]
fn what_no_format_carries_is_a_failure_of_the_step() {
    let plan = BootstrapPlan::new().write([Record::new(Path::resource(0, 0, 0), Value::Null)]);
    let mut session = session(plan, None);
    let failure = session.next(&Registry::embedded()).expect_err("null");
    assert_eq!((failure.code, failure.reason.code), (None, "not-encodable"));
    assert_eq!(ended(session.failed(&failure)), "step-failed");
}

#[test]
fn a_pack_is_what_the_specification_shows() {
    let muted = Record::new(Path::resource(1, 0, 23), false);
    let mut plan = BootstrapPlan::replacing_accounts().account(&account());
    // The example leaves out the public key that a pre-shared key has no use for.
    for operation in &mut plan.operations {
        if let BootstrapOperation::Write { records, .. } = operation {
            let unused = Path::resource(0, 0, 4);
            let used = |record: &&Record<'_>| record.path != unused;
            let used: Vec<_> = records.iter().filter(used).cloned().collect();
            *records = used.into();
        }
    }
    if let Some(BootstrapOperation::Write { records, .. }) = plan.operations.last_mut() {
        let mut all = records.to_vec();
        all.push(muted);
        *records = all.into();
    }
    let cbor = "a2820000a600781e636f6170733a2f2f6c776d326d2e6578616d706c652e636f6d3a3536383401f40200\
                0348646576312d70736b0550000102030405060708090a0b0c0d0e0f0a1865820100a5001865011a000151\
                8006f507615517f4";
    let json = r#"[{"bn":"/0/0/","n":"0","vs":"coaps://lwm2m.example.com:5684"},{"n":"1","vb":false},{"n":"2","v":0},{"n":"3","vd":"ZGV2MS1wc2s"},{"n":"5","vd":"AAECAwQFBgcICQoLDA0ODw"},{"n":"10","v":101},{"bn":"/1/0/","n":"0","v":101},{"n":"1","v":86400},{"n":"6","vb":true},{"n":"7","vs":"U"},{"n":"23","vb":false}]"#;
    let json = crate::identity::hex(json.as_bytes());
    let in_json = |instance: &str| crate::identity::hex(instance.as_bytes());
    for (format, hex, here, there) in [
        (
            ContentFormat::Lwm2mCbor,
            cbor,
            "820000".to_owned(),
            "820001".to_owned(),
        ),
        (
            ContentFormat::SenmlJson,
            json.as_str(),
            in_json("/0/0/"),
            in_json("/0/1/"),
        ),
    ] {
        let models = Registry::embedded();
        let pack = crate::bootstrap::pack::render(&plan, Vec::new(), format, &models);
        assert_eq!(crate::identity::hex(&pack.expect("a pack")), hex);
        // The account of the bootstrap server is where ours would be.
        let own = vec![Path::instance(0, 0)];
        let moved = crate::bootstrap::pack::render(&plan, own, format, &models);
        let moved = crate::identity::hex(&moved.expect("a pack"));
        assert_eq!(moved, hex.replacen(&here, &there, 1));
    }
}
