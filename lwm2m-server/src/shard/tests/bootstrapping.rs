//! Bootstrap sessions as the shards run them: who gets one, what ends it, and when.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::Path;

use super::world::{World, name, reply, request};
use crate::bootstrap::{
    BootstrapAnswer, BootstrapPlan, BootstrapRequest, BootstrapStore, MemoryBootstrap,
};
use crate::credentials::LookUp;
use crate::{EventKind, Listener, Reason, Refusal};

fn listener() -> Listener {
    Listener::coap(([127, 0, 0, 1], 0).into())
}

fn deleting(object: u16) -> BootstrapPlan {
    BootstrapPlan::new().delete(Path::object(object))
}

/// Shards with plans for the devices `a` and `b`.
fn world(shards: usize) -> World {
    let store = MemoryBootstrap::default();
    for endpoint in ["a", "b", "c"] {
        store.set(endpoint, deleting(0));
    }
    World::bootstrapping(shards, listener().bootstrap(), Arc::new(store), |_| {})
}

/// The reasons of what failed, and the names of other events.
fn happened(world: &mut World) -> Vec<String> {
    let told = std::iter::from_fn(|| world.event());
    told.map(|event| match &event.kind {
        EventKind::BootstrapStepFailed { reason, .. } => format!("step-failed {}", reason.code),
        kind => name(kind).to_owned(),
    })
    .collect()
}

#[test]
fn a_device_is_led_through_its_plan() {
    let mut world = world(1);
    let accepted = world.ask(0, 1, Code::POST, "bs?ep=a&pct=112");
    assert_eq!(accepted.code, Code::CHANGED);
    let delete = world.expect(1);
    assert_eq!((delete.code, delete.path.as_str()), (Code::DELETE, "0"));
    world.deliver(0, 1, &reply(&delete, Code::DELETED, None, b""));
    let finish = world.expect(1);
    assert_eq!((finish.code, finish.path.as_str()), (Code::POST, "bs"));
    world.deliver(0, 1, &reply(&finish, Code::CHANGED, None, b""));
    assert_eq!(happened(&mut world), ["bootstrapping", "bootstrapped"]);
    world.pass(Duration::from_secs(600));
    assert!(happened(&mut world).is_empty());
    assert_eq!(world.shared.bootstrap_sessions.len(), 0);
}

#[test]
fn who_is_refused_hears_a_code_and_the_operator_why() {
    let mut world = world(1);
    for (code, path, answer, word) in [
        (Code::POST, "bs", Code::BAD_REQUEST, "endpoint-missing"),
        (
            Code::POST,
            "bs?ep=x",
            Code::BAD_REQUEST,
            "bootstrap-not-configured",
        ),
        (
            Code::POST,
            "bs?ep=a&pct=9999",
            Code::UNSUPPORTED_CONTENT_FORMAT,
            "format-unsupported",
        ),
        (
            Code::POST,
            "bs?ep=a&pct=abc",
            Code::BAD_REQUEST,
            "format-malformed",
        ),
        (
            Code::GET,
            "bs?ep=a",
            Code::METHOD_NOT_ALLOWED,
            "method-not-allowed",
        ),
        (
            Code::PUT,
            "bs?ep=a",
            Code::METHOD_NOT_ALLOWED,
            "method-not-allowed",
        ),
        (
            Code::POST,
            "bspack?ep=a",
            Code::METHOD_NOT_ALLOWED,
            "method-not-allowed",
        ),
        (
            Code::GET,
            "bspack?ep=a",
            Code::METHOD_NOT_ALLOWED,
            "pack-without-security",
        ),
        (Code::POST, "rd?ep=a", Code::NOT_FOUND, "bootstrap-only"),
        (Code::DELETE, "rd/0", Code::NOT_FOUND, "bootstrap-only"),
        (Code::POST, "dp", Code::NOT_FOUND, "bootstrap-only"),
    ] {
        assert_eq!(world.ask(0, 1, code, path).code, answer, "{path}");
        assert_eq!(happened(&mut world), [word], "{path}");
        assert_eq!(world.take(1), None, "{path}");
    }
}

#[test]
fn a_listener_takes_what_it_is_for() {
    let store = || Arc::new(MemoryBootstrap::default());
    let mut plain = World::bootstrapping(1, listener(), store(), |_| {});
    let refused = plain.ask(0, 1, Code::POST, "bs?ep=a");
    assert_eq!(refused.code, Code::NOT_FOUND);
    assert_eq!(happened(&mut plain), ["no-bootstrap"]);
    let mut both = World::bootstrapping(1, listener().also_bootstrap(), store(), |_| {});
    both.register(0, 1, "ep=a&lwm2m=1.1");
    assert_eq!(
        both.ask(0, 1, Code::POST, "bs?ep=a").code,
        Code::BAD_REQUEST
    );
    assert_eq!(
        happened(&mut both),
        ["registered", "bootstrap-not-configured"]
    );
}

#[test]
fn a_repeated_request_is_answered_and_a_new_one_begins_anew() {
    let mut world = world(2);
    let datagram = request(7, Code::POST, "bs?ep=a", b"");
    world.deliver(0, 1, &datagram);
    assert_eq!(world.expect(1).code, Code::CHANGED);
    assert_eq!(world.expect(1).path, "0");
    world.deliver(0, 1, &datagram);
    assert_eq!(world.expect(1).code, Code::CHANGED);
    assert_eq!(world.take(1), None);
    assert_eq!(happened(&mut world), ["bootstrapping"]);
    // The device restarts, and comes from a port of the same shard, and from one of another.
    for (shard, port) in [(0, 1), (0, 2), (1, 3)] {
        world.ask(shard, port, Code::POST, "bs?ep=a");
        assert_eq!(world.expect(port).path, "0");
        let told = happened(&mut world);
        assert!(
            told.iter().any(|word| word == "begun-anew") && told.len() == 2,
            "{told:?}"
        );
        assert_eq!(world.shared.bootstrap_sessions.len(), 1);
    }
    world.pass(Duration::from_secs(300));
    assert_eq!(
        happened(&mut world),
        ["step-failed not-acknowledged", "not-acknowledged"]
    );
    assert_eq!(world.shared.bootstrap_sessions.len(), 0);
}

#[test]
fn one_more_session_than_the_limit_comes_back_later() {
    let store = MemoryBootstrap::default();
    for endpoint in ["a", "b", "c"] {
        store.set(endpoint, deleting(0));
    }
    let mut world = World::bootstrapping(2, listener().bootstrap(), Arc::new(store), |config| {
        config.bootstrap.sessions_max = 2;
        config.retry_after_s = 17;
    });
    assert_eq!(world.ask(0, 1, Code::POST, "bs?ep=a").code, Code::CHANGED);
    assert_eq!(world.ask(1, 2, Code::POST, "bs?ep=b").code, Code::CHANGED);
    let refused = world.ask(1, 3, Code::POST, "bs?ep=c");
    assert_eq!(
        (refused.code, refused.max_age),
        (Code::SERVICE_UNAVAILABLE, Some(17))
    );
    let told = happened(&mut world);
    assert_eq!(told, ["bootstrapping", "bootstrapping", "overloaded"]);
    world.pass(Duration::from_secs(300));
    assert_eq!(world.ask(1, 3, Code::POST, "bs?ep=c").code, Code::CHANGED);
}

#[test]
fn one_more_operation_than_the_limit_is_refused() {
    let store = MemoryBootstrap::default();
    store.set("a", deleting(0).delete(Path::object(1)));
    store.set(
        "b",
        deleting(0).delete(Path::object(1)).delete(Path::object(2)),
    );
    let mut world = World::bootstrapping(1, listener().bootstrap(), Arc::new(store), |config| {
        config.bootstrap.operations_max = 2;
    });
    assert_eq!(world.ask(0, 1, Code::POST, "bs?ep=a").code, Code::CHANGED);
    let refused = world.ask(0, 2, Code::POST, "bs?ep=b");
    assert_eq!(refused.code, Code::INTERNAL_SERVER_ERROR);
    assert_eq!(happened(&mut world), ["bootstrapping", "plan-too-long"]);
}

#[test]
fn a_session_has_an_end_even_when_the_device_keeps_on_talking() {
    let store = MemoryBootstrap::default();
    let plan = (0..200).fold(BootstrapPlan::new(), |plan, object| {
        plan.delete(Path::object(object))
    });
    store.set("a", plan);
    let mut world = World::bootstrapping(1, listener().bootstrap(), Arc::new(store), |config| {
        config.bootstrap.session_timeout = Duration::from_secs(50);
    });
    world.ask(0, 1, Code::POST, "bs?ep=a");
    let mut steps = 0;
    while let Some(step) = world.take(1) {
        steps += 1;
        world.pass(Duration::from_secs(1));
        world.deliver(0, 1, &reply(&step, Code::DELETED, None, b""));
    }
    assert!((49..=51).contains(&steps), "{steps}");
    let told = happened(&mut world);
    assert_eq!(
        told,
        [
            "bootstrapping",
            "step-failed session-timeout",
            "session-timeout"
        ]
    );
    assert_eq!(world.shared.bootstrap_sessions.len(), 0);
}

#[test]
fn a_reset_and_an_error_at_the_finish_end_a_session() {
    let mut world = world(1);
    world.ask(0, 1, Code::POST, "bs?ep=a");
    let delete = world.expect(1);
    let [high, low] = delete.message_id.to_be_bytes();
    world.deliver(0, 1, &[0x70, 0, high, low]);
    let told = happened(&mut world);
    assert_eq!(told, ["bootstrapping", "step-failed reset", "reset"]);

    world.ask(0, 1, Code::POST, "bs?ep=a");
    let delete = world.expect(1);
    world.deliver(0, 1, &reply(&delete, Code::BAD_REQUEST, None, b""));
    let finish = world.expect(1);
    world.deliver(0, 1, &reply(&finish, Code::NOT_ACCEPTABLE, None, b""));
    let told = happened(&mut world);
    let failed = [
        "step-failed step-refused",
        "step-failed inconsistent",
        "inconsistent",
    ];
    assert_eq!(told[1..], failed);
}

/// A store that takes its time, or refuses, or fails.
struct Slow;

impl BootstrapStore for Slow {
    fn configure(&self, request: &BootstrapRequest) -> LookUp<BootstrapAnswer> {
        match request.endpoint.as_str() {
            "later" => LookUp::Later(Box::pin(async {
                BootstrapAnswer::Configure(Arc::new(deleting(0)))
            })),
            "never" => LookUp::Later(Box::pin(std::future::pending())),
            "refused" => LookUp::Now(BootstrapAnswer::Refuse(Refusal {
                code: Code::FORBIDDEN,
                reason: Reason::new("not-paid", "the bill is not paid"),
            })),
            _ => panic!("an accident"),
        }
    }
}

#[tokio::test]
async fn a_store_may_take_its_time_but_not_for_ever() {
    let mut world = World::bootstrapping(1, listener().bootstrap(), Arc::new(Slow), |config| {
        config.bootstrap.lookup_timeout = Duration::from_millis(50);
    });
    for (message_id, name) in [(1, "later"), (2, "never")] {
        let datagram = request(message_id, Code::POST, &format!("bs?ep={name}"), b"");
        world.deliver(0, message_id, &datagram);
        assert_eq!(world.take(message_id), None, "nothing is said yet");
        let search = world.shards[0].poll_bootstrap_search().expect("a question");
        let found = search.run().await;
        world.shards[0].command(world.now, crate::mailbox::Command::PlanFound(found));
        world.settle();
    }
    assert_eq!(world.expect(1).code, Code::CHANGED);
    assert_eq!(world.expect(1).path, "0");
    assert_eq!(world.expect(2).code, Code::SERVICE_UNAVAILABLE);
    assert_eq!(happened(&mut world), ["bootstrapping", "store-too-slow"]);
    assert_eq!(
        world.ask(0, 3, Code::POST, "bs?ep=refused").code,
        Code::FORBIDDEN
    );
    let panicked = world.ask(0, 3, Code::POST, "bs?ep=x").code;
    assert_eq!(panicked, Code::INTERNAL_SERVER_ERROR);
    assert_eq!(happened(&mut world), ["not-paid", "extension-panicked"]);
    assert_eq!(world.shared.bootstrap_sessions.len(), 1);
}
