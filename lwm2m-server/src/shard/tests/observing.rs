//! Observations.

use std::time::Duration;

use lwm2m_coap::{Code, MessageType};
use lwm2m_core::{Attributes, Path, Request};

use super::world::{Answer, Seen, World, notification, reply};
use crate::{CancelMode, EventKind, ObservationId, ObservationTarget, RequestError, Response};

fn observe(resource: u16) -> Request {
    Request::Observe {
        path: Path::resource(3, 0, resource),
        attributes: Attributes::default(),
        accept: None,
    }
}

/// A device at port 1 with an observation of /3/0/9; answers the observe request, too.
fn observed(world: &mut World) -> (ObservationId, Seen) {
    world.register(0, 1, "ep=a&lt=600&lwm2m=1.1");
    let (request, response) = observe_now(world, 9);
    (response.observation.expect("it stands"), request)
}

fn observe_now(world: &mut World, resource: u16) -> (Seen, Response) {
    let mut answer = world.send("a", observe(resource));
    let request = world.expect(1);
    assert_eq!((request.code, request.observe), (Code::GET, Some(0)));
    world.deliver(0, 1, &reply(&request, Code::CONTENT, Some(1), b"50"));
    let response = answer.try_recv().expect("answered").expect("accepted");
    (request, response)
}

fn ended(answer: &mut Answer<()>) -> Result<(), RequestError> {
    answer.try_recv().expect("answered")
}

#[test]
fn the_first_value_is_the_answer_and_a_notification() {
    let mut world = World::new(1, |_| {});
    let (id, request) = observed(&mut world);
    world.happened();
    let (other, _) = observe_now(&mut world, 10);
    assert_eq!(world.happened(), ["observed", "notification"]);
    assert_ne!(other.token, request.token);

    world.deliver(
        0,
        1,
        &notification(&request, 50, Code::CONTENT, Some(2), b"51"),
    );
    let ack = world.expect(1);
    assert_eq!(
        (ack.message_type, ack.message_id),
        (MessageType::Acknowledgement, 50)
    );
    let event = world.event().expect("a notification");
    let EventKind::Notification {
        id: named,
        target,
        values,
    } = &event.kind
    else {
        panic!("{event:?}");
    };
    assert_eq!(*named, id);
    assert_eq!(*target, ObservationTarget::Single(Path::resource(3, 0, 9)));
    assert_eq!(values.records.len(), 1);
    let standing = world.observations("a");
    assert_eq!(standing.len(), 2);
    assert_eq!((standing[0].id, standing[0].notifications), (id, 1));
}

#[test]
fn a_value_without_observe_is_an_answer_and_no_observation() {
    let mut world = World::new(1, |_| {});
    world.register(0, 1, "ep=a&lwm2m=1.1");
    let mut answer = world.send("a", observe(9));
    let request = world.expect(1);
    world.deliver(0, 1, &reply(&request, Code::CONTENT, None, b"50"));
    let response = answer.try_recv().expect("answered").expect("accepted");
    assert_eq!(response.observation, None);
    assert!(world.observations("a").is_empty());
}

#[test]
fn n19_old_notifications_do_not_overwrite_newer_ones() {
    let mut world = World::new(1, |_| {});
    let (_, request) = observed(&mut world);
    world.happened();
    for (message_id, sequence, fresh) in [
        (50, 0x7f_fffe, true),
        (51, 0xff_fff0, true),
        (52, 0xff_ffe0, false),
        (53, 0x00_0001, true),
        (54, 0xff_ffff, false),
        (53, 0x00_0001, false),
    ] {
        let datagram = notification(&request, message_id, Code::CONTENT, Some(sequence), b"1");
        world.deliver(0, 1, &datagram);
        assert_eq!(
            world.expect(1).message_id,
            message_id,
            "each is acknowledged"
        );
        assert_eq!(world.happened().len(), usize::from(fresh), "{sequence:x}");
    }
}

#[test]
fn n18_a_notification_of_nothing_is_reset() {
    let mut world = World::new(1, |_| {});
    let (_, mut request) = observed(&mut world);
    request.token[0] ^= 0xff;
    world.deliver(
        0,
        1,
        &notification(&request, 50, Code::CONTENT, Some(2), b"51"),
    );
    assert_eq!(world.expect(1).message_type, MessageType::Reset);
}

#[test]
fn n21_an_undecodable_notification_is_reported_and_the_observation_stands() {
    let mut world = World::new(1, |_| {});
    let (_, request) = observed(&mut world);
    world.happened();
    world.deliver(
        0,
        1,
        &notification(&request, 50, Code::CONTENT, Some(2), b"\xff\xfe"),
    );
    world.deliver(
        0,
        1,
        &notification(&request, 51, Code::CONTENT, Some(3), b"52"),
    );
    let happened = world.happened();
    assert!(matches!(
        happened[..],
        ["undecodable", "notification"] | ["notification", "notification"]
    ));
    assert_eq!(world.observations("a").len(), 1);
}

#[test]
fn n22_an_error_ends_an_observation() {
    let mut world = World::new(1, |_| {});
    let (_, request) = observed(&mut world);
    world.happened();
    world.deliver(
        0,
        1,
        &notification(&request, 50, Code::NOT_FOUND, None, b""),
    );
    assert_eq!(world.happened(), ["ended-by-device"]);
    assert!(world.observations("a").is_empty());
    world.expect(1);
    world.deliver(
        0,
        1,
        &notification(&request, 51, Code::CONTENT, Some(9), b"1"),
    );
    assert_eq!(world.expect(1).message_type, MessageType::Reset);
}

#[test]
fn an_active_cancel_repeats_the_request_with_its_token() {
    let mut world = World::new(1, |_| {});
    let (id, request) = observed(&mut world);
    world.happened();
    let mut answer = world.cancel("a", id, CancelMode::Active);
    let cancel = world.expect(1);
    assert_eq!((cancel.code, cancel.observe), (Code::GET, Some(1)));
    assert_eq!(
        (&cancel.token, &cancel.path),
        (&request.token, &request.path)
    );
    world.deliver(0, 1, &reply(&cancel, Code::CONTENT, None, b"50"));
    assert_eq!(ended(&mut answer), Ok(()));
    assert_eq!(world.happened(), ["cancelled"]);
    let mut again = world.cancel("a", id, CancelMode::Active);
    assert_eq!(ended(&mut again), Err(RequestError::NoObservation));
}

#[test]
fn a_passive_cancel_is_a_reset_to_the_next_notification() {
    let mut world = World::new(1, |_| {});
    let (id, request) = observed(&mut world);
    let mut answer = world.cancel("a", id, CancelMode::Passive);
    assert_eq!(ended(&mut answer), Ok(()));
    assert_eq!(world.take(1), None, "nothing is sent");
    world.deliver(
        0,
        1,
        &notification(&request, 50, Code::CONTENT, Some(2), b"51"),
    );
    assert_eq!(world.expect(1).message_type, MessageType::Reset);
}

#[test]
fn a_cancel_that_is_never_answered_ends_the_observation_all_the_same() {
    let mut world = World::new(1, |_| {});
    let (id, request) = observed(&mut world);
    let mut answer = world.cancel("a", id, CancelMode::Active);
    world.pass(Duration::from_secs(94));
    assert_eq!(ended(&mut answer), Err(RequestError::NotAcknowledged));
    assert!(world.observations("a").is_empty());
    world.sent.clear();
    world.deliver(
        0,
        1,
        &notification(&request, 50, Code::CONTENT, Some(2), b"51"),
    );
    assert_eq!(world.expect(1).message_type, MessageType::Reset);
}

#[test]
fn observing_the_same_path_again_cancels_the_older_observation_first() {
    let mut world = World::new(1, |_| {});
    let (id, request) = observed(&mut world);
    world.happened();
    let mut answer = world.send("a", observe(9));
    let cancel = world.expect(1);
    assert_eq!((cancel.observe, &cancel.token), (Some(1), &request.token));
    world.deliver(0, 1, &reply(&cancel, Code::CONTENT, None, b"50"));
    let anew = world.expect(1);
    assert_eq!(anew.observe, Some(0));
    assert_ne!(anew.token, request.token);
    world.deliver(0, 1, &reply(&anew, Code::CONTENT, Some(1), b"50"));
    let response = answer.try_recv().expect("answered").expect("accepted");
    let standing = world.observations("a");
    assert_eq!(standing.len(), 1);
    assert_eq!(response.observation, Some(standing[0].id));
    assert_ne!(standing[0].id, id);
    assert_eq!(world.happened(), ["replaced", "observed", "notification"]);
}

#[test]
fn one_observation_more_than_the_limit_is_refused() {
    let mut world = World::new(1, |config| config.limits.observations_max = 2);
    observed(&mut world);
    observe_now(&mut world, 10);
    let mut answer = world.send("a", observe(11));
    let refused = answer.try_recv().expect("answered");
    assert_eq!(refused, Err(RequestError::TooManyObservations { max: 2 }));
    assert_eq!(world.take(1), None);
}

#[test]
fn observations_outlive_updates_and_moves_but_not_a_register() {
    let mut world = World::new(1, |_| {});
    let (_, request) = observed(&mut world);
    let location = format!("rd/{}", world.registration("a").expect("registered").id);
    world.happened();
    assert_eq!(world.ask(0, 7, Code::POST, &location).code, Code::CHANGED);
    world.deliver(
        0,
        7,
        &notification(&request, 50, Code::CONTENT, Some(2), b"51"),
    );
    assert_eq!(world.expect(7).message_type, MessageType::Acknowledgement);
    assert_eq!(world.happened(), ["updated", "notification"]);
    let (next, _) = {
        let answer = world.read("a", 1);
        (world.expect(7), answer)
    };
    assert_eq!(next.path, "3/0/1");

    world.register(0, 7, "ep=a&lwm2m=1.1");
    assert_eq!(world.happened(), ["re-registered", "replaced"]);
    assert!(world.observations("a").is_empty());
    world.deliver(
        0,
        7,
        &notification(&request, 51, Code::CONTENT, Some(3), b"52"),
    );
    assert_eq!(world.expect(7).message_type, MessageType::Reset);
}

#[test]
fn a_composite_observation_cancels_with_the_same_body() {
    let mut world = World::new(1, |_| {});
    world.register(0, 1, "ep=a&lwm2m=1.1");
    let request = Request::ObserveComposite {
        paths: vec![Path::resource(3, 0, 9), Path::resource(1, 0, 1)],
        attributes: Attributes::default(),
        format: None,
        accept: None,
    };
    let mut answer = world.send("a", request);
    let sent = world.expect(1);
    assert_eq!((sent.code, sent.observe), (Code::FETCH, Some(0)));
    let mut datagram = reply(&sent, Code::CONTENT, Some(1), b"");
    // Content-Format 112 and the pack.
    datagram.extend_from_slice(&[0x61, 112, 0xff]);
    datagram.extend_from_slice(b"\x81\xa2\x00\x66/3/0/9\x02\x05");
    world.deliver(0, 1, &datagram);
    let response = answer.try_recv().expect("answered").expect("accepted");
    let id = response.observation.expect("it stands");
    world.cancel("a", id, CancelMode::Active);
    let cancel = world.expect(1);
    assert_eq!((cancel.code, cancel.observe), (Code::FETCH, Some(1)));
    assert_eq!(cancel.token, sent.token);
}
