//! Queue mode (Core 1.2.2 §6.5).

use std::time::Duration;

use lwm2m_coap::Code;

use super::world::{World, read};
use crate::RequestError;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_sleeping_device_gets_its_requests_in_order_when_it_wakes_up() {
    let mut world = World::new(1, |_| {});
    let location = world.register(0, 1, "ep=a&lt=600&lwm2m=1.1&b=U&Q");
    world.pass(94 * SECOND);
    assert_eq!(world.happened(), ["registered", "asleep"]);
    assert!(!world.registration("a").expect("registered").awake);
    let mut answers: Vec<_> = (0..3).map(|resource| world.read("a", resource)).collect();
    world.pass(20 * SECOND);
    assert_eq!(world.take(1), None, "asleep");

    assert_eq!(world.ask(0, 1, Code::POST, &location).code, Code::CHANGED);
    for (resource, answer) in answers.iter_mut().enumerate() {
        let request = world.expect(1);
        assert_eq!(request.path, format!("3/0/{resource}"));
        assert_eq!(world.take(1), None);
        world.answer(0, 1, &request, "x");
        assert!(answer.try_recv().expect("answered").is_ok());
    }
    assert_eq!(world.happened(), ["awake", "updated"]);
}

#[test]
fn every_message_of_the_device_keeps_it_awake() {
    let mut world = World::new(1, |config| config.awake_time = 10 * SECOND);
    let location = world.register(0, 1, "ep=a&lt=600&lwm2m=1.1&b=U&Q");
    for _ in 0..5 {
        world.pass(8 * SECOND);
        let mut answer = world.read("a", 0);
        let request = world.expect(1);
        world.answer(0, 1, &request, "x");
        assert!(answer.try_recv().expect("answered").is_ok());
    }
    world.pass(8 * SECOND);
    let send = world.ask_with(0, 1, Code::POST, "dp", br#"[{"n":"/3/0/9","v":5}]"#);
    assert_eq!(send.code, Code::CHANGED);
    world.pass(8 * SECOND);
    assert_eq!(world.ask(0, 1, Code::POST, &location).code, Code::CHANGED);
    assert_eq!(world.happened(), ["registered", "send", "updated"]);
    world.pass(11 * SECOND);
    assert_eq!(world.happened(), ["asleep"]);
}

#[test]
fn requests_of_a_device_that_does_not_wake_up_end_at_their_deadline() {
    let mut world = World::new(1, |config| config.awake_time = 10 * SECOND);
    let location = world.register(0, 1, "ep=a&lt=600&lwm2m=1.1&b=U&Q");
    world.pass(11 * SECOND);
    let mut short = world.send_within("a", read(0), Some(5 * SECOND));
    let mut long = world.send_within("a", read(1), Some(50 * SECOND));
    world.pass(6 * SECOND);
    assert_eq!(
        short.try_recv().expect("answered"),
        Err(RequestError::Asleep)
    );
    assert_eq!(world.ask(0, 1, Code::POST, &location).code, Code::CHANGED);
    let request = world.expect(1);
    assert_eq!(request.path, "3/0/1");
    world.answer(0, 1, &request, "x");
    assert!(long.try_recv().expect("answered").is_ok());
}

#[test]
fn a_device_that_does_not_acknowledge_sleeps_and_keeps_the_rest() {
    let mut world = World::new(1, |config| config.awake_time = 500 * SECOND);
    let location = world.register(0, 1, "ep=a&lt=6000&lwm2m=1.1&b=U&Q");
    let mut first = world.read("a", 0);
    let mut second = world.send_within("a", read(1), Some(1000 * SECOND));
    world.pass(94 * SECOND);
    assert_eq!(
        first.try_recv().expect("answered"),
        Err(RequestError::NotAcknowledged)
    );
    assert!(second.try_recv().is_err());
    assert_eq!(world.happened(), ["registered", "asleep"]);
    while let Some(repeated) = world.take(1) {
        assert_eq!(repeated.path, "3/0/0");
    }
    world.ask(0, 1, Code::POST, &location);
    let request = world.expect(1);
    assert_eq!(request.path, "3/0/1");
    world.answer(0, 1, &request, "x");
    assert!(second.try_recv().expect("answered").is_ok());
}

#[test]
fn n32_an_update_every_second_drains_the_line_without_repeating() {
    let mut world = World::new(1, |config| config.awake_time = SECOND / 2);
    let location = world.register(0, 1, "ep=a&lt=600&lwm2m=1.1&b=U&Q");
    world.pass(2 * SECOND);
    let resources = [0, 1, 2, 3, 9, 10, 13, 14, 15, 16];
    let mut answers = resources.map(|resource| world.read("a", resource));
    let mut asked = std::collections::BTreeMap::new();
    for _ in 0..12 {
        world.update(&location);
        world.pass(SECOND);
        // By now it sleeps again; it answers what it heard, late.
        for request in std::iter::from_fn(|| world.take(1)).collect::<Vec<_>>() {
            if request.code == Code::GET {
                world.answer(0, 1, &request, "1");
                let message_id = asked.entry(request.path).or_insert(request.message_id);
                assert_eq!(*message_id, request.message_id);
            }
        }
    }
    for answer in &mut answers {
        assert!(answer.try_recv().expect("answered").is_ok());
    }
    assert_eq!(asked.len(), 10);
}

#[test]
fn n33_a_line_to_a_sleeping_device_has_a_limit() {
    let mut world = World::new(1, |config| config.awake_time = SECOND);
    world.register(0, 1, "ep=a&lt=600&lwm2m=1.1&b=U&Q");
    world.pass(2 * SECOND);
    let mut answers: Vec<_> = (0..1000).map(|_| world.read("a", 0)).collect();
    let full = answers
        .iter_mut()
        .filter_map(|answer| answer.try_recv().ok())
        .filter(|answer| *answer == Err(RequestError::QueueFull))
        .count();
    assert_eq!(full, 1000 - 64);
}

#[test]
fn n34_a_device_that_wakes_up_at_the_end_of_its_window_gets_each_request_once() {
    for offset_ms in 9_990..10_070 {
        let mut world = World::new(1, |config| config.awake_time = 10 * SECOND);
        let location = world.register(0, 1, "ep=a&lt=600&lwm2m=1.1&b=U&Q");
        world.pass(Duration::from_millis(offset_ms));
        let mut answer = world.read("a", 0);
        world.update(&location);
        let requests: Vec<_> = std::iter::from_fn(|| world.take(1))
            .filter(|message| message.path == "3/0/0")
            .collect();
        assert_eq!(requests.len(), 1, "{offset_ms} ms");
        world.answer(0, 1, &requests[0], "x");
        assert!(answer.try_recv().expect("answered").is_ok());
    }
}

impl World {
    /// An Update whose answer may come behind a request.
    fn update(&mut self, location: &str) {
        self.message_id += 1;
        let update = super::world::request(self.message_id, Code::POST, location, b"");
        self.deliver(0, 1, &update);
    }
}
