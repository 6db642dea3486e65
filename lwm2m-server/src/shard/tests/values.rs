//! Values while interceptors think about them.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_coap::{Code, MessageBuilder, MessageType, OptionNumber, Token};
use lwm2m_core::{Attributes, Path, Record, Request, Value};

use super::gate::{At, Gate};
use super::world::{Answer, Seen, World, notification, read, reply};
use crate::follower::{Followed, Follower, Reported};
use crate::hooks::{BatchSource, Outcome, Series};
use crate::mailbox::Command;
use crate::{
    CancelMode, Content, EventKind, Hook, Interceptor, RequestError, RequestOptions, Response,
    ServerConfig,
};

const BATTERY: Path = Path::resource(3, 0, 9);

fn world(gates: &[&Arc<Gate>], configure: impl FnOnce(&mut ServerConfig)) -> World {
    let at = |gate: &&Arc<Gate>| Arc::new(At(Arc::clone(gate))) as Arc<dyn Interceptor>;
    let mut world = World::intercepted(1, None, gates.iter().map(at).collect(), configure);
    for (port, name) in [(1, "a"), (2, "b")] {
        world.register(0, port, &format!("ep={name}&lwm2m=1.1&lt=600&tenant=north"));
    }
    world.happened();
    world
}

/// The device says how full its battery is.
fn sends(world: &mut World, port: u16, level: i64) {
    let body = format!(r#"[{{"n":"/3/0/9","v":{level}}}]"#);
    let answer = world.ask_with(0, port, Code::POST, "dp", body.as_bytes());
    assert_eq!(answer.code, Code::CHANGED, "at once");
}

/// What has happened since the last look, with the values.
fn story(world: &mut World) -> Vec<String> {
    let events = std::iter::from_fn(|| world.event());
    events
        .map(|event| match &event.kind {
            EventKind::Send { values } => format!("send {}", levels(&values.records)),
            EventKind::Notification { values, .. } => {
                format!("notification {}", levels(&values.records))
            }
            EventKind::Series { series } => format!("series {}", series[0].name),
            EventKind::Document { content_type, .. } => format!("document {content_type}"),
            EventKind::ExtensionFailed { hook, reason, .. } => {
                assert!(*hook == Some("transform") && reason.hint.is_some());
                reason.code.to_owned()
            }
            kind => super::world::name(kind).to_owned(),
        })
        .collect()
}

fn levels(records: &[Record<'static>]) -> String {
    let level = |record: &Record<'static>| match &record.value {
        Value::Integer(level) => level.to_string(),
        other => panic!("{other:?}"),
    };
    records.iter().map(level).collect::<Vec<_>>().join(" ")
}

fn replaced(level: i64) -> Outcome {
    Outcome::Replace(vec![Record::new(BATTERY, level)])
}

/// Observes the battery; answers the request, what comes of it, and who follows.
fn observe(world: &mut World) -> (Seen, Answer<Response>, Followed) {
    let (follower, followed) = Follower::new(16);
    let (answer, received) = tokio::sync::oneshot::channel();
    let device = world.location("a");
    let command = Command::Operation {
        device,
        request: Request::Observe {
            path: BATTERY,
            attributes: Attributes::default(),
            accept: None,
        },
        options: RequestOptions {
            follower: Some(follower),
            ..RequestOptions::default()
        },
        answer,
    };
    world.command(device, command);
    let request = world.expect(1);
    world.deliver(0, 1, &reply(&request, Code::CONTENT, Some(1), b"50"));
    (request, received, followed)
}

fn notifies(world: &mut World, to: &Seen, sequence: u32, level: &str) {
    let id = 500 + sequence as u16;
    let datagram = notification(to, id, Code::CONTENT, Some(sequence), level.as_bytes());
    world.deliver(0, 1, &datagram);
    let acknowledged = world.expect(1);
    assert_eq!(acknowledged.message_type, MessageType::Acknowledgement);
    assert_eq!(acknowledged.message_id, id, "at once");
}

/// The same with SenML JSON that is cut off.
fn notifies_brokenly(world: &mut World, to: &Seen, sequence: u32) {
    let token = Token::new(&to.token).expect("a token");
    let (kind, id) = (MessageType::Confirmable, 500 + sequence as u16);
    let mut datagram = Vec::new();
    MessageBuilder::new(&mut datagram, kind, Code::CONTENT, id, &token)
        .uint(OptionNumber::OBSERVE, sequence)
        .uint(OptionNumber::CONTENT_FORMAT, 110)
        .payload(b"[{");
    world.deliver(0, 1, &datagram);
    world.expect(1);
}

#[test]
fn values_of_one_device_stay_in_order_and_others_go_on() {
    let gate = Gate::of([Hook::Transform]);
    let mut world = world(&[&gate], |_| {});
    for level in 1..=3 {
        sends(&mut world, 1, level);
    }
    assert_eq!((gate.len(), story(&mut world).len()), (1, 0));
    let first = gate.next();
    gate.have([]);
    sends(&mut world, 2, 9);
    assert_eq!(story(&mut world), ["send 9"]);
    sends(&mut world, 1, 4);
    assert!(story(&mut world).is_empty(), "it waits behind the others");
    let super::gate::Asked::Transform(batch, answer) = first else {
        panic!("values");
    };
    assert_eq!(batch.source, BatchSource::Send);
    assert_eq!(
        batch.annotations,
        [("tenant".to_owned(), "north".to_owned())]
    );
    assert_eq!(levels(&batch.records), "1");
    answer.send(replaced(10)).expect("somebody waits");
    world.settle();
    assert_eq!(story(&mut world), ["send 10", "send 2", "send 3", "send 4"]);
}

#[test]
fn the_pipeline_goes_on_until_one_has_the_last_word() {
    let (first, second) = (Gate::of([Hook::Transform]), Gate::of([Hook::Transform]));
    let mut world = world(&[&first, &second], |_| {});
    let series = Series {
        name: "battery".to_owned(),
        unit: None,
        record: Record::new(BATTERY, 7),
        tags: Vec::new(),
    };
    let document = Outcome::Document {
        content_type: "application/json".to_owned(),
        body: bytes::Bytes::from_static(b"{}"),
    };
    for (outcome, told) in [
        (Outcome::Pass, vec!["send 2"]),
        (replaced(3), vec!["send 3"]),
        (Outcome::Drop, vec![]),
        (Outcome::Emit(vec![series]), vec!["series battery"]),
        (document, vec!["document application/json"]),
    ] {
        sends(&mut world, 1, 1);
        first.transform(replaced(2));
        world.settle();
        let seen = second.transform(outcome);
        assert_eq!(levels(&seen.records), "2");
        world.settle();
        assert_eq!(story(&mut world), told);
    }
    sends(&mut world, 1, 1);
    first.transform(Outcome::Drop);
    world.settle();
    assert_eq!((second.len(), world.asked()), (0, 0));
}

#[test]
fn a_read_is_answered_with_what_becomes_of_its_values() {
    let gate = Gate::of([Hook::Transform]);
    let mut world = world(&[&gate], |_| {});
    let series = Series {
        name: "battery".to_owned(),
        unit: None,
        record: Record::new(BATTERY, 7),
        tags: Vec::new(),
    };
    for (outcome, level) in [
        (replaced(42), "42"),
        (Outcome::Drop, ""),
        (Outcome::Emit(vec![series]), "7"),
    ] {
        let mut answer = world.send("a", read(9));
        let request = world.expect(1);
        world.answer(0, 1, &request, "21");
        assert!(answer.try_recv().is_err(), "not before");
        let batch = gate.transform(outcome);
        assert_eq!((batch.source, batch.path), (BatchSource::Read, BATTERY));
        world.settle();
        let response = answer.try_recv().expect("answered").expect("values");
        let Content::Values(values) = response.content else {
            panic!("values");
        };
        assert_eq!(levels(&values.records), level);
    }
    // The next request does not wait for the values of the one before.
    let mut first = world.send("a", read(9));
    let mut second = world.send("a", read(9));
    let request = world.expect(1);
    world.answer(0, 1, &request, "1");
    let request = world.expect(1);
    world.answer(0, 1, &request, "2");
    assert!(first.try_recv().is_err() && second.try_recv().is_err());
    gate.transform(Outcome::Pass);
    world.settle();
    assert!(first.try_recv().is_ok() && second.try_recv().is_err());
}

#[test]
fn who_follows_sees_what_the_events_see_from_the_first_value_to_the_end() {
    let gate = Gate::of([Hook::Transform]);
    let mut world = world(&[&gate], |_| {});
    let (request, mut answer, mut followed) = observe(&mut world);
    assert_eq!(story(&mut world), ["observed"]);
    notifies(&mut world, &request, 2, "51");
    notifies(&mut world, &request, 3, "52");
    // It ends while its values are on their way.
    let observation = world.observations("a")[0].id;
    let _cancelled = world.cancel("a", observation, CancelMode::Passive);
    assert!(answer.try_recv().is_err());
    assert!(story(&mut world).is_empty());

    let first = gate.transform(replaced(500));
    assert_eq!(
        (first.source, first.path),
        (BatchSource::Notification, BATTERY)
    );
    world.settle();
    let response = answer.try_recv().expect("answered").expect("values");
    assert_eq!(response.observation, Some(observation));
    gate.transform(Outcome::Drop);
    world.settle();
    gate.transform(Outcome::Pass);
    world.settle();
    assert_eq!(
        story(&mut world),
        ["notification 500", "notification 52", "cancelled"]
    );
    let mut reports = Vec::new();
    while let Ok(report) = followed.try_recv() {
        reports.push(match report {
            Reported::Values(values) => levels(&values.records),
            Reported::Undecodable(reason) | Reported::Ended(reason) => reason.code.to_owned(),
        });
    }
    assert_eq!(reports, ["500", "52", "cancelled"]);
}

#[test]
fn what_cannot_be_decoded_keeps_its_place_among_values() {
    let gate = Gate::of([Hook::Transform]);
    let mut world = world(&[&gate], |_| {});
    let (request, _answer, mut followed) = observe(&mut world);
    gate.transform(Outcome::Pass);
    world.settle();
    story(&mut world);
    notifies(&mut world, &request, 2, "51");
    notifies_brokenly(&mut world, &request, 3);
    notifies(&mut world, &request, 4, "52");
    assert!(story(&mut world).is_empty(), "the first one is asked about");
    for _ in 0..2 {
        gate.transform(Outcome::Pass);
        world.settle();
    }
    assert_eq!(
        story(&mut world),
        ["notification 51", "undecodable", "notification 52"]
    );
    // So for who follows it; the first value was there before.
    let mut reports = Vec::new();
    while let Ok(report) = followed.try_recv() {
        reports.push(match report {
            Reported::Values(values) => levels(&values.records),
            Reported::Undecodable(_) => "undecodable".to_owned(),
            Reported::Ended(reason) => reason.code.to_owned(),
        });
    }
    assert_eq!(reports, ["50", "51", "undecodable", "52"]);
    // Where nothing waits it is told of at once.
    notifies_brokenly(&mut world, &request, 5);
    assert_eq!(story(&mut world), ["undecodable"]);
}

#[test]
fn who_panics_or_never_answers_lets_values_go_on_unchanged() {
    let (first, second) = (Gate::of([Hook::Transform]), Gate::of([Hook::Transform]));
    let mut world = world(&[&first, &second], |config| {
        config.limits.hook_timeout = Duration::from_secs(5);
    });
    sends(&mut world, 1, 1);
    drop(first.next());
    world.settle();
    second.transform(Outcome::Pass);
    world.settle();
    assert_eq!(story(&mut world), ["extension-panicked", "send 1"]);

    sends(&mut world, 1, 2);
    world.pass(Duration::from_millis(4999));
    assert_eq!(second.len(), 0);
    world.pass(Duration::from_millis(1));
    assert_eq!(story(&mut world), ["extension-timeout"]);
    second.transform(replaced(3));
    world.settle();
    assert_eq!(story(&mut world), ["send 3"]);
    first.transform(replaced(9));
    world.settle();
    assert!(story(&mut world).is_empty(), "too late");
}

#[test]
fn what_does_not_fit_is_lost_counted_and_told_now_and_then() {
    let gate = Gate::of([Hook::Transform]);
    let mut world = world(&[&gate], |config| {
        config.limits.transforms_max = 3;
        config.limits.transforms_per_device_max = 2;
        config.limits.hook_timeout = Duration::from_secs(60);
    });
    for level in 1..=2 {
        sends(&mut world, 1, level);
    }
    sends(&mut world, 1, 3);
    let mut answer = world.send("a", read(9));
    let request = world.expect(1);
    world.answer(0, 1, &request, "4");
    assert_eq!(
        answer.try_recv().expect("answered"),
        Err(RequestError::Overloaded)
    );
    assert_eq!(story(&mut world), ["extension-overloaded"]);
    sends(&mut world, 2, 5);
    world.register(0, 3, "ep=c&lwm2m=1.1");
    world.happened();
    world.pass(Duration::from_secs(1));
    sends(&mut world, 3, 6);
    assert_eq!(story(&mut world), ["extension-overloaded"]);
    assert_eq!(world.shards[0].counters().0.values_dropped, 3);
    while gate.len() > 0 {
        gate.transform(Outcome::Pass);
        world.settle();
    }
    let mut told = story(&mut world);
    told.sort();
    assert_eq!(told, ["send 1", "send 2", "send 5"]);
}

#[test]
fn values_of_a_device_that_leaves_are_told_of_all_the_same() {
    let gate = Gate::of([Hook::Transform]);
    let mut world = world(&[&gate], |_| {});
    let (request, _answer, _followed) = observe(&mut world);
    notifies(&mut world, &request, 2, "51");
    let device = world.location("a");
    let (answer, _) = tokio::sync::oneshot::channel();
    world.command(device, Command::Forget { device, answer });
    assert_eq!(story(&mut world), ["observed", "deregistered"]);
    for _ in 0..2 {
        gate.transform(Outcome::Pass);
        world.settle();
    }
    assert_eq!(
        story(&mut world),
        ["notification 50", "notification 51", "forgotten"]
    );
    assert_eq!(world.asked(), 0);
}
