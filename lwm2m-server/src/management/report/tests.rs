use lwm2m_coap::{Message, MessageBuilder, MessageType, Token};
use lwm2m_core::{ObjectList, Record, Version};
use proptest::prelude::*;

use super::*;
use crate::management::fixture::{Models, device, hex, objects};

fn sent(format: Option<u16>, body: &[u8]) -> Result<Vec<Record<'static>>, (Code, &'static str)> {
    sent_with(format, body, &objects(&[]))
}

fn sent_with(
    format: Option<u16>,
    body: &[u8],
    objects: &ObjectList,
) -> Result<Vec<Record<'static>>, (Code, &'static str)> {
    decode_send(&device(Version::V1_1, objects, &Models), format, body)
        .map(|decoded| decoded.records)
        .map_err(|(code, reason)| (code, reason.code))
}

fn notified(
    target: &ObservationTarget,
    code: Code,
    format: Option<u16>,
    body: &[u8],
) -> Result<Decoded<'static>, &'static str> {
    let mut datagram = Vec::new();
    let kind = MessageType::NonConfirmable;
    MessageBuilder::new(&mut datagram, kind, Code::CONTENT, 1, &Token::EMPTY).finish();
    let message = Message::parse(&datagram).unwrap();
    let answer = CoapAnswer {
        code,
        content_format: format,
        message: &message,
        body,
    };
    let objects = objects(&[]);
    decode_notification(target, &device(Version::V1_1, &objects, &Models), &answer)
        .map_err(|reason| reason.code)
}

#[test]
fn a_send_is_taken_as_a_whole() {
    let temperature = Path::resource(3303, 0, 5700);
    // The example of the formats: one value with a base time.
    let body = hex("81a3216c2f333330332f302f35373030221a6553f10002fb4036800000000000");
    let records = sent(Some(112), &body).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].path, temperature);
    assert_eq!(records[0].time, Some(1_700_000_000.0));
    let body = br#"[{"n":"/3303/0/5700","v":22.5},{"n":"/3/0/9","v":95}]"#;
    assert_eq!(sent(Some(110), body).unwrap().len(), 2);
    let body = hex("a183030009185f");
    assert_eq!(sent(Some(11544), &body).unwrap().len(), 1);
}

#[test]
fn an_empty_pack_is_a_send_of_nothing() {
    assert_eq!(sent(Some(112), &[0x80]), Ok(Vec::new()));
    assert_eq!(sent(Some(110), b"[]"), Ok(Vec::new()));
}

#[test]
fn a_send_that_cannot_be_read_is_a_bad_request() {
    let bad = Code::BAD_REQUEST;
    for (format, body, why) in [
        (None, &b"[]"[..], "send-format-missing"),
        (Some(11542), b"", "send-format-unsupported"),
        (Some(0), b"95", "send-format-unsupported"),
        (Some(320), b"[]", "send-format-unsupported"),
        (Some(65535), b"[]", "send-format-unsupported"),
        (Some(112), b"", "send-malformed"),
        (Some(110), b"", "send-malformed"),
        (Some(11544), b"", "send-malformed"),
        (Some(112), b"\x81", "send-malformed"),
        (Some(110), b"[{\"n\":\"/3/0/9\",\"v\":", "send-malformed"),
        // One value of the wrong type spoils the pack.
        (
            Some(110),
            br#"[{"n":"/3303/0/5700","v":1},{"n":"/3/0/9","vs":"full"}]"#,
            "send-malformed",
        ),
        (Some(110), br#"[{"n":"/3/0","v":1}]"#, "send-malformed"),
    ] {
        assert_eq!(sent(format, body), Err((bad, why)), "{format:?} {body:?}");
    }
}

#[test]
fn a_send_stays_within_the_registration() {
    for (body, why) in [
        (r#"[{"n":"/4242/0/1","v":1}]"#, "send-instance-unknown"),
        (r#"[{"n":"/3303/1/5700","v":1}]"#, "send-instance-unknown"),
        (r#"[{"n":"/5/0/3","v":1}]"#, "send-instance-unknown"),
        (r#"[{"n":"/0/0/0","vs":"x"}]"#, "send-object-closed"),
        (r#"[{"n":"/21/0/0","v":1}]"#, "send-object-closed"),
        (r#"[{"n":"/23/0/0","v":1}]"#, "send-object-closed"),
        (
            r#"[{"n":"/3/0/9","v":95},{"n":"/3/1/9","v":95}]"#,
            "send-instance-unknown",
        ),
    ] {
        let refusal = Err((Code::NOT_FOUND, why));
        assert_eq!(sent(Some(110), body.as_bytes()), refusal, "{body}");
    }
    // Resources that no model knows are fine where the instance is.
    let unknown = br#"[{"n":"/3/0/4321","v":1},{"n":"/3/0/7/9","v":1}]"#;
    assert_eq!(sent(Some(110), unknown).unwrap().len(), 2);
}

#[test]
fn names_of_a_send_carry_the_alternate_path() {
    let objects = ObjectList {
        alternate_path: "/lwm2m".to_owned(),
        ..objects(&[])
    };
    let body = br#"[{"n":"/lwm2m/3/0/9","v":95}]"#;
    let records = sent_with(Some(110), body, &objects).unwrap();
    assert_eq!(records, [Record::new(Path::resource(3, 0, 9), 95)]);
}

#[test]
fn a_notification_reads_like_an_answer() {
    let battery = ObservationTarget::Single(Path::resource(3, 0, 9));
    let expected = [Record::new(Path::resource(3, 0, 9), 95)];
    for (format, body) in [
        (Some(0), &b"95"[..]),
        (None, b"95"),
        (Some(11542), &hex("c1095f")),
        (Some(112), &hex("81a200662f332f302f3902185f")),
    ] {
        let decoded = notified(&battery, Code::CONTENT, format, body).unwrap();
        assert_eq!(decoded.records, expected, "{format:?}");
    }
    // Some stacks notify 2.04.
    assert!(notified(&battery, Code::CHANGED, Some(0), b"95").is_ok());
    let fault = notified(&battery, Code::CONTENT, Some(0), b"full").unwrap();
    assert_eq!((fault.records.len(), fault.faults.len()), (0, 1));
}

#[test]
fn a_notification_that_cannot_be_read_says_why() {
    let battery = ObservationTarget::Single(Path::resource(3, 0, 9));
    let undecodable = Err("notification-undecodable");
    assert_eq!(
        notified(&battery, Code::CONTENT, Some(112), b"\x81"),
        undecodable
    );
    assert_eq!(
        notified(&battery, Code::CONTENT, Some(50), b"{}"),
        undecodable
    );
    let other = br#"[{"n":"/3/0/0","vs":"x"}]"#;
    assert_eq!(
        notified(&battery, Code::CONTENT, Some(110), other),
        undecodable
    );
    assert_eq!(
        notified(&battery, Code::NOT_FOUND, None, b""),
        Err("notification-error")
    );
    let both = ObservationTarget::Composite(vec![Path::object(3), Path::resource(1, 0, 1)]);
    assert!(notified(&both, Code::CONTENT, Some(110), other).is_ok());
    let stray = br#"[{"n":"/1/0/2","v":1}]"#;
    assert_eq!(
        notified(&both, Code::CONTENT, Some(110), stray),
        undecodable
    );
}

proptest! {
    #[test]
    fn no_report_makes_it_panic(
        format in prop_oneof![
            prop::sample::select(ContentFormat::ALL.to_vec())
                .prop_map(|format| Some(format.number())),
            any::<Option<u16>>(),
        ],
        code in any::<u8>(),
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        // What is taken lies in the registration.
        for record in sent(format, &body).unwrap_or_default() {
            prop_assert!(objects(&[]).paths.contains(&record.path.truncated(2)));
        }
        for target in [
            ObservationTarget::Single(Path::resource(3, 0, 9)),
            ObservationTarget::Single(Path::object(3)),
            ObservationTarget::Composite(vec![Path::object(3)]),
        ] {
            let decoded = notified(&target, Code(code), format, &body).unwrap_or_default();
            for record in decoded.records {
                prop_assert_eq!(record.path.object_id(), Some(3));
            }
        }
    }
}
