//! Expiry, and the line of requests to one device.

use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::Path;

use super::world::{World, read, reply};
use crate::mailbox::Command;
use crate::{RequestError, RequestOptions};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_registration_expires_after_lifetime_and_grace() {
    let mut world = World::new(1, |config| config.expiry_grace = 3 * SECOND);
    world.register(0, 1, "ep=a&lt=20");
    world.pass(22 * SECOND);
    assert!(world.find("a").is_some());
    world.pass(2 * SECOND);
    assert!(world.find("a").is_none());
    assert_eq!(world.happened(), ["registered", "expired"]);
}

#[test]
fn an_update_refreshes_the_lifetime_and_may_change_it() {
    let mut world = World::new(1, |config| config.expiry_grace = Duration::ZERO);
    let location = world.register(0, 1, "ep=a&lt=60");
    world.pass(50 * SECOND);
    assert_eq!(world.ask(0, 1, Code::POST, &location).code, Code::CHANGED);
    world.pass(50 * SECOND);
    let shorter = format!("{location}?lt=5");
    assert_eq!(world.ask(0, 1, Code::POST, &shorter).code, Code::CHANGED);
    world.pass(4 * SECOND);
    assert!(world.find("a").is_some());
    world.pass(2 * SECOND);
    assert_eq!(world.ask(0, 1, Code::POST, &location).code, Code::NOT_FOUND);
    let events = [
        "registered",
        "updated",
        "updated",
        "expired",
        "unknown-registration",
    ];
    assert_eq!(world.happened(), events);
}

#[test]
fn n6_an_update_at_the_moment_of_expiry_is_either_or() {
    let mut outcomes = std::collections::BTreeSet::new();
    for offset_ms in 9_990..10_080 {
        let mut world = World::new(1, |config| config.expiry_grace = Duration::ZERO);
        let location = world.register(0, 1, "ep=a&lt=10");
        world.pass(Duration::from_millis(offset_ms));
        let code = world.ask(0, 1, Code::POST, &location).code;
        assert_eq!(code == Code::CHANGED, world.find("a").is_some());
        let last = world.happened().pop().expect("an event");
        outcomes.insert((code, last));
        world.pass(5 * SECOND);
        assert_eq!(code == Code::CHANGED, world.find("a").is_some());
    }
    let updated = (Code::CHANGED, "updated");
    let expired = (Code::NOT_FOUND, "unknown-registration");
    assert_eq!(outcomes, [updated, expired].into());
}

#[test]
fn lifetime_zero_is_for_ever_and_a_long_one_is_kept() {
    let mut world = World::new(1, |_| {});
    world.register(0, 1, "ep=forever&lt=0");
    world.register(0, 2, "ep=long&lt=4294967295");
    world.register(0, 3, "ep=day&lt=86400");
    world.pass(86_000 * SECOND);
    assert!(world.find("day").is_some());
    world.pass(1_000 * SECOND);
    assert!(world.find("day").is_none());
    assert!(world.find("forever").is_some() && world.find("long").is_some());
}

#[test]
fn requests_go_one_at_a_time_and_in_order() {
    let mut world = World::new(1, |_| {});
    world.register(0, 1, "ep=a&lwm2m=1.1");
    let mut answers: Vec<_> = (0..4).map(|resource| world.read("a", resource)).collect();
    for (resource, answer) in answers.iter_mut().enumerate() {
        let request = world.expect(1);
        assert_eq!(request.path, format!("3/0/{resource}"));
        assert_eq!(world.take(1), None, "one at a time");
        assert!(answer.try_recv().is_err());
        world.answer(0, 1, &request, "x");
        assert!(answer.try_recv().expect("answered").is_ok());
    }
}

#[test]
fn a_line_has_a_limit_and_withdrawn_requests_leave_it() {
    let mut world = World::new(1, |config| config.limits.device_queue_max = 2);
    world.register(0, 1, "ep=a&lwm2m=1.1");
    let active = world.read("a", 0);
    let mut waiting: Vec<_> = (1..=2).map(|resource| world.read("a", resource)).collect();
    let mut refused = world.read("a", 3);
    assert_eq!(
        refused.try_recv().expect("answered"),
        Err(RequestError::QueueFull)
    );
    drop(waiting.remove(0));
    let mut taken = world.read("a", 6);
    assert!(taken.try_recv().is_err(), "it waits");
    drop(active);
    for path in ["3/0/0", "3/0/2", "3/0/6"] {
        let request = world.expect(1);
        assert_eq!(request.path, path);
        world.answer(0, 1, &request, "x");
    }
    assert!(taken.try_recv().expect("answered").is_ok());
    assert_eq!(world.take(1), None);
}

#[test]
fn n12_n17_a_request_fails_at_once_on_reset_and_when_the_device_leaves() {
    let mut world = World::new(1, |_| {});
    let location = world.register(0, 1, "ep=a&lwm2m=1.1");
    let mut first = world.read("a", 0);
    let mut second = world.read("a", 1);
    let request = world.expect(1);
    let [high, low] = request.message_id.to_be_bytes();
    world.deliver(0, 1, &[0x70, 0, high, low]);
    assert_eq!(
        first.try_recv().expect("answered"),
        Err(RequestError::Reset)
    );
    assert_eq!(world.expect(1).path, "3/0/1");
    let mut third = world.read("a", 2);
    assert_eq!(world.ask(0, 1, Code::DELETE, &location).code, Code::DELETED);
    for answer in [&mut second, &mut third] {
        assert_eq!(
            answer.try_recv().expect("answered"),
            Err(RequestError::RegistrationEnded)
        );
    }
    world.pass(300 * SECOND);
    assert_eq!(world.take(1), None, "the request is not repeated");
}

#[test]
fn n13_n14_answers_with_another_token_or_from_elsewhere_are_not_ours() {
    let mut world = World::new(1, |_| {});
    world.register(0, 1, "ep=a&lwm2m=1.1");
    let mut answer = world.read("a", 0);
    let request = world.expect(1);
    let mut other = request.clone();
    other.token[0] ^= 1;
    world.answer(0, 1, &other, "x");
    world.answer(0, 2, &request, "x");
    assert!(answer.try_recv().is_err());
    // The message was acknowledged in the first case, so its response may still come apart.
    let separate = super::world::notification(&request, 9, Code::CONTENT, None, b"y");
    world.deliver(0, 1, &separate);
    assert!(answer.try_recv().expect("answered").is_ok());
}

#[test]
fn n15_an_empty_acknowledgement_and_nothing_more_frees_the_line() {
    let mut world = World::new(1, |config| config.coap.response_timeout = 30 * SECOND);
    world.register(0, 1, "ep=a&lwm2m=1.1");
    let mut first = world.read("a", 0);
    let mut second = world.read("a", 1);
    let request = world.expect(1);
    let [high, low] = request.message_id.to_be_bytes();
    world.deliver(0, 1, &[0x60, 0, high, low]);
    world.pass(31 * SECOND);
    assert_eq!(
        first.try_recv().expect("answered"),
        Err(RequestError::NoResponse)
    );
    let request = world.expect(1);
    world.answer(0, 1, &request, "x");
    assert!(second.try_recv().expect("answered").is_ok());
}

#[test]
fn n16_a_separate_response_is_delivered_once_and_acknowledged_each_time() {
    let mut world = World::new(1, |_| {});
    world.register(0, 1, "ep=a&lwm2m=1.1");
    let mut answer = world.read("a", 0);
    let request = world.expect(1);
    let separate = super::world::notification(&request, 9, Code::CONTENT, None, b"x");
    for _ in 0..2 {
        world.deliver(0, 1, &separate);
        let ack = world.expect(1);
        assert_eq!((ack.code, ack.message_id), (Code::EMPTY, 9));
    }
    assert!(answer.try_recv().expect("answered").is_ok());
    world.pass(100 * SECOND);
    assert_eq!(world.take(1), None, "the request is not repeated");
}

#[test]
fn a_deadline_ends_a_request_that_waits_and_one_on_its_way() {
    let mut world = World::new(1, |_| {});
    world.register(0, 1, "ep=a&lwm2m=1.1");
    let mut active = world.send_within("a", read(0), Some(5 * SECOND));
    let mut waiting = world.send_within("a", read(1), Some(3 * SECOND));
    let mut later = world.send_within("a", read(2), Some(60 * SECOND));
    world.pass(4 * SECOND);
    assert_eq!(
        waiting.try_recv().expect("answered"),
        Err(RequestError::Deadline)
    );
    assert!(active.try_recv().is_err());
    world.pass(2 * SECOND);
    assert_eq!(
        active.try_recv().expect("answered"),
        Err(RequestError::Deadline)
    );
    let request = std::iter::from_fn(|| world.take(1))
        .find(|request| request.path == "3/0/2")
        .expect("the next one goes");
    world.answer(0, 1, &request, "x");
    assert!(later.try_recv().expect("answered").is_ok());
}

#[test]
fn an_error_answer_is_the_callers_and_a_strange_one_is_a_breach() {
    let mut world = World::new(1, |_| {});
    world.register(0, 1, "ep=a&lwm2m=1.1");
    for (code, refused) in [
        (Code::NOT_FOUND, true),
        (Code::CHANGED, false),
        (Code::VALID, false),
    ] {
        let mut answer = world.read("a", 0);
        let request = world.expect(1);
        world.deliver(0, 1, &reply(&request, code, None, b""));
        match answer.try_recv().expect("answered") {
            Err(RequestError::Refused { code: told, .. }) => assert!(refused && told == code),
            Err(RequestError::Protocol(_)) => assert!(!refused, "{code:?}"),
            other => panic!("{code:?}: {other:?}"),
        }
    }
}

#[test]
fn what_cannot_be_sent_is_refused_before_it_waits() {
    let mut world = World::new(1, |_| {});
    world.register(0, 1, "ep=a&lwm2m=1.0");
    let composite = lwm2m_core::Request::ReadComposite {
        paths: vec![Path::object(3)],
        format: None,
        accept: None,
    };
    let mut answer = world.send("a", composite.clone());
    let refused = answer.try_recv().expect("answered");
    assert!(matches!(refused, Err(RequestError::NotInVersion { .. })));
    assert_eq!(world.take(1), None);

    let device = world.location("a");
    let (answer, _received) = tokio::sync::oneshot::channel();
    let options = RequestOptions {
        unchecked: true,
        ..RequestOptions::default()
    };
    let command = Command::Operation {
        device,
        request: composite,
        options,
        answer,
    };
    world.command(device, command);
    assert_eq!(world.expect(1).code, Code::FETCH);
}

#[test]
fn create_and_delete_keep_the_object_list_in_step() {
    let mut world = World::new(1, |_| {});
    world.register(0, 1, "ep=a&lwm2m=1.1");
    let mut deleted = world.send(
        "a",
        lwm2m_core::Request::Delete {
            path: Path::instance(1, 0),
        },
    );
    let request = world.expect(1);
    world.deliver(0, 1, &reply(&request, Code::DELETED, None, b""));
    assert!(deleted.try_recv().expect("answered").is_ok());
    let objects = world.registration("a").expect("registered").objects;
    assert_eq!(objects.paths, [Path::object(1), Path::instance(3, 0)]);
}

#[test]
fn forgetting_is_silent_to_the_device() {
    let mut world = World::new(1, |_| {});
    let location = world.register(0, 1, "ep=a&lwm2m=1.1");
    let device = world.location("a");
    let (answer, mut received) = tokio::sync::oneshot::channel();
    world.command(device, Command::Forget { device, answer });
    assert_eq!(received.try_recv().expect("answered"), Ok(()));
    assert_eq!(world.take(1), None);
    assert_eq!(world.ask(0, 1, Code::POST, &location).code, Code::NOT_FOUND);
}
