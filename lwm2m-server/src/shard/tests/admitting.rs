//! Register and Update while interceptors decide.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_coap::{Code, MessageType};
use lwm2m_core::Path;

use super::gate::{Asked, At, Gate};
use super::world::{Seen, World, request};
use crate::credentials::{Credential, CredentialChange, CredentialId, Proof, SecretKey};
use crate::credentials::{CredentialStore, LookUp, MemoryCredentials};
use crate::{
    Annotations, Authenticated, Decision, EventKind, Hook, HookSet, Interceptor, PeerIdentity,
    Reason, Refusal, ServerConfig,
};

const LIST: &[u8] = b"</1/0>,</3/0>";
const ONCE: Duration = Duration::from_secs(2);

/// One shard behind some gates.
fn world(gates: &[&Arc<Gate>], configure: impl FnOnce(&mut ServerConfig)) -> World {
    World::intercepted(1, None, interceptors(gates), configure)
}

fn interceptors(gates: &[&Arc<Gate>]) -> Vec<Arc<dyn Interceptor>> {
    let at = |gate: &&Arc<Gate>| Arc::new(At(Arc::clone(gate))) as Arc<dyn Interceptor>;
    gates.iter().map(at).collect()
}

/// Sends a request that is not answered yet.
fn ask(world: &mut World, port: u16, code: Code, path: &str, payload: &[u8]) -> Vec<u8> {
    world.message_id += 1;
    let datagram = request(world.message_id, code, path, payload);
    world.deliver(0, port, &datagram);
    datagram
}

fn register(world: &mut World, port: u16, query: &str) -> Vec<u8> {
    ask(world, port, Code::POST, &format!("rd?{query}"), LIST)
}

/// Registers while nobody is asked.
fn registered(world: &mut World, gate: &Gate, port: u16, query: &str) -> String {
    gate.have([]);
    let location = world.register(0, port, query);
    world.happened();
    location
}

/// The answer to a device that has been acknowledged before.
fn separate(world: &mut World, port: u16) -> Seen {
    world.settle();
    let answer = loop {
        let seen = world.expect(port);
        if seen.code != Code::EMPTY {
            break seen;
        }
    };
    let acknowledged = super::world::acknowledgement(&answer);
    if answer.message_type == MessageType::Confirmable {
        world.deliver(0, port, &acknowledged);
    }
    answer
}

fn rejected(code: Code, word: &'static str) -> Decision {
    Decision::Reject(Refusal {
        code,
        reason: Reason::new(word, "a test says so"),
    })
}

/// The reasons of the refusals since the last look.
fn refusals(world: &mut World) -> Vec<&'static str> {
    let events = std::iter::from_fn(|| world.event());
    let reasons = events.filter_map(|event| match &event.kind {
        EventKind::Refused { reason, .. } => {
            assert!(reason.hint.is_some() || reason.message == "a test says so");
            Some(reason.code)
        }
        _ => None,
    });
    reasons.collect()
}

#[test]
fn a_register_waits_for_its_interceptor_and_is_answered_separately() {
    let gate = Gate::of([Hook::OnRegister]);
    let mut world = world(&[&gate], |_| {});
    let datagram = register(&mut world, 1, "ep=a&lt=60&x=1");
    assert!(world.take(1).is_none() && world.find("a").is_none());
    assert_eq!(world.asked(), 1);
    // The engine acknowledges, and again when the device repeats itself; nobody is asked twice.
    world.pass(ONCE);
    assert_eq!(world.expect(1).code, Code::EMPTY);
    world.deliver(0, 1, &datagram);
    assert_eq!(world.expect(1).code, Code::EMPTY);
    assert_eq!((gate.len(), world.asked()), (1, 1));

    let seen = gate.decide(Decision::Annotate(Annotations {
        set: vec![("x".into(), "2".into()), ("tenant".into(), "north".into())],
        remove: Vec::new(),
        lifetime_s: Some(86_400),
    }));
    assert_eq!((seen.lifetime_s, seen.endpoint.as_str()), (60, "a"));
    assert_eq!(seen.annotations, [("x".to_owned(), "1".to_owned())]);
    let created = separate(&mut world, 1);
    assert_eq!(
        (created.code, created.message_type),
        (Code::CREATED, MessageType::Confirmable)
    );
    let registration = world.registration("a").expect("registered");
    assert_eq!(registration.lifetime_s, 86_400);
    assert_eq!(
        registration.annotations,
        [
            ("x".to_owned(), "2".to_owned()),
            ("tenant".to_owned(), "north".to_owned())
        ]
    );
    assert_eq!(world.happened(), ["registered"]);
    // The location works.
    assert_eq!(
        world.ask(0, 1, Code::POST, &created.location).code,
        Code::CHANGED
    );
}

#[test]
fn what_a_batch_brings_is_asked_about_in_its_order() {
    let gate = Gate::of([]);
    let mut world = world(&[&gate], |_| {});
    let location = registered(&mut world, &gate, 1, "ep=a&lt=60");
    gate.have([Hook::OnRegister, Hook::OnUpdate]);
    let post = |id, path: &str, payload: &[u8]| request(id, Code::POST, path, payload);
    let first = post(1, &format!("{location}?lt=100"), b"");
    let register = post(2, "rd?ep=b&lt=300", LIST);
    let second = post(3, &format!("{location}?lt=200"), b"");
    // Nothing that changes anything, and yet it does not overtake those before it.
    let bare = post(4, &location, b"");
    world.deliver_all(0, &[(1, &first), (2, &register), (1, &second), (1, &bare)]);
    assert_eq!((gate.len(), world.asked()), (2, 2));
    let mut decide = |lifetime_s, name: &str| {
        let seen = gate.decide(Decision::Pass);
        assert_eq!(
            (seen.endpoint.as_str(), seen.lifetime_s),
            (name, lifetime_s)
        );
        world.settle();
    };
    decide(100, "a");
    decide(300, "b");
    decide(200, "a");
    decide(200, "a");
    let answers = [1, 2, 1, 1].map(|port| world.expect(port).code);
    let changed = Code::CHANGED;
    assert_eq!(answers, [changed, Code::CREATED, changed, changed]);
    let lifetime = |registration: Option<crate::Registration>| registration.map(|it| it.lifetime_s);
    assert_eq!(lifetime(world.registration("a")), Some(200));
    assert_eq!(
        world.happened(),
        ["updated", "registered", "updated", "updated"]
    );
}

#[test]
fn what_a_device_sends_after_an_update_is_not_handled_before_it() {
    struct HasNoOpinion;
    impl Interceptor for HasNoOpinion {
        fn hooks(&self) -> HookSet {
            HookSet::EMPTY.with(Hook::OnUpdate)
        }
    }
    let mut world = World::intercepted(1, None, vec![Arc::new(HasNoOpinion)], |_| {});
    let location = world.register(0, 1, "ep=a&lt=60");
    let other = world.register(0, 2, "ep=b&lt=60");
    world.happened();
    let update = |id, path: &str| request(id, Code::POST, &format!("{path}?lt=100"), b"");
    let (mine, others) = (update(1, &location), update(3, &other));
    let end = request(2, Code::DELETE, &location, b"");
    world.deliver_all(0, &[(1, &mine), (2, &others), (1, &end)]);
    let answers = [1, 1, 2].map(|port| world.expect(port).code);
    assert_eq!(answers, [Code::CHANGED, Code::DELETED, Code::CHANGED]);
    assert_eq!(world.happened(), ["updated", "updated", "deregistered"]);
}

#[test]
fn the_chain_goes_on_after_a_late_answer_until_one_is_final() {
    let (first, second, third) = (
        Gate::of([Hook::OnRegister]),
        Gate::of([Hook::OnRegister]),
        Gate::of([Hook::OnRegister]),
    );
    let mut world = world(&[&first, &second, &third], |_| {});
    register(&mut world, 1, "ep=a");
    assert_eq!((first.len(), second.len()), (1, 0));
    first.decide(Decision::Annotate(Annotations::fact("by", "first")));
    world.settle();
    let seen = second.decide(Decision::Accept(Annotations {
        set: vec![("and".into(), "second".into())],
        remove: vec!["by".into()],
        lifetime_s: None,
    }));
    assert_eq!(seen.annotations, [("by".to_owned(), "first".to_owned())]);
    assert_eq!(separate(&mut world, 1).code, Code::CREATED);
    assert_eq!(third.len(), 0, "the one before has accepted");
    let registration = world.registration("a").expect("registered");
    assert_eq!(
        registration.annotations,
        [("and".to_owned(), "second".to_owned())]
    );

    register(&mut world, 2, "ep=b");
    first.decide(rejected(Code::FORBIDDEN, "stolen"));
    assert_eq!(separate(&mut world, 2).code, Code::FORBIDDEN);
    assert_eq!(second.len(), 0);
    assert!(world.find("b").is_none());
    assert_eq!(refusals(&mut world), ["stolen"]);
}

#[test]
fn who_panics_later_refuses_the_one_it_was_asked_about() {
    let gate = Gate::of([Hook::OnRegister]);
    let mut world = world(&[&gate], |_| {});
    register(&mut world, 1, "ep=a");
    register(&mut world, 2, "ep=b");
    drop(gate.next());
    assert_eq!(separate(&mut world, 1).code, Code::INTERNAL_SERVER_ERROR);
    assert_eq!(refusals(&mut world), ["extension-panicked"]);
    gate.decide(Decision::Pass);
    assert_eq!(separate(&mut world, 2).code, Code::CREATED);
}

#[test]
fn who_never_answers_is_not_waited_for_longer_than_the_last_resort() {
    let gate = Gate::of([Hook::OnRegister]);
    let mut world = world(&[&gate], |config| {
        config.limits.hook_timeout = Duration::from_secs(5);
    });
    register(&mut world, 1, "ep=a");
    register(&mut world, 1, "ep=a");
    world.pass(Duration::from_millis(4999));
    assert_eq!(gate.len(), 1, "the second waits for the first");
    world.pass(Duration::from_millis(1));
    let refused = separate(&mut world, 1);
    assert_eq!(refused.code, Code::SERVICE_UNAVAILABLE);
    assert_eq!(refused.max_age, Some(60));
    assert_eq!(refusals(&mut world), ["extension-timeout"]);
    // Its question is over, and an answer that comes too late changes nothing.
    assert_eq!(world.asked(), 1);
    gate.decide(Decision::Pass);
    world.settle();
    assert!(world.find("a").is_none());
    gate.decide(Decision::Pass);
    assert_eq!(separate(&mut world, 1).code, Code::CREATED);
}

#[test]
fn one_more_than_may_wait_is_told_to_come_back() {
    let gate = Gate::of([Hook::OnRegister]);
    let mut world = world(&[&gate], |config| {
        config.limits.parked_requests_max = 3;
        config.limits.parked_per_device_max = 2;
    });
    register(&mut world, 1, "ep=a");
    register(&mut world, 1, "ep=a");
    register(&mut world, 1, "ep=a");
    let refused = world.expect(1);
    assert_eq!(
        (refused.code, refused.max_age),
        (Code::SERVICE_UNAVAILABLE, Some(60))
    );
    register(&mut world, 2, "ep=b");
    assert!(world.take(2).is_none());
    register(&mut world, 3, "ep=c");
    assert_eq!(world.expect(3).code, Code::SERVICE_UNAVAILABLE);
    assert_eq!(refusals(&mut world), ["extensions-overloaded"; 2]);
    // There is room again.
    gate.decide(Decision::Pass);
    assert_eq!(separate(&mut world, 1).code, Code::CREATED);
    register(&mut world, 3, "ep=c");
    while gate.len() > 0 {
        gate.decide(Decision::Pass);
        world.settle();
    }
    assert!(
        ["a", "b", "c"]
            .iter()
            .all(|name| world.find(name).is_some())
    );
}

#[test]
fn a_thousand_devices_wait_at_once() {
    let gate = Gate::of([Hook::OnRegister]);
    let mut world = world(&[&gate], |_| {});
    for port in 1..=1000 {
        register(&mut world, port, &format!("ep=d{port}"));
    }
    assert_eq!((gate.len(), world.asked()), (1000, 1000));
    while gate.len() > 0 {
        gate.decide(Decision::Pass);
    }
    world.settle();
    for port in 1..=1000 {
        assert_eq!(separate(&mut world, port).code, Code::CREATED);
    }
    assert_eq!(world.happened(), ["registered"; 1000]);
    assert_eq!(world.asked(), 0);
}

#[test]
fn an_update_shows_what_will_be_and_takes_nothing_before_the_decision() {
    let gate = Gate::of([]);
    let mut world = world(&[&gate], |_| {});
    let location = registered(&mut world, &gate, 1, "ep=a&lt=60&lwm2m=1.1");
    gate.have([Hook::OnUpdate]);
    let path = format!("{location}?lt=90&b=UT&y=2");
    ask(&mut world, 7, Code::POST, &path, b"</1/0>,</4/0>");
    let Asked::Update(seen, update, answer) = gate.next() else {
        panic!("an Update");
    };
    assert_eq!((seen.lifetime_s, seen.peer.port()), (90, 7));
    assert!(seen.binding.tcp && seen.objects.has_object(4));
    assert_eq!(seen.annotations, [("y".to_owned(), "2".to_owned())]);
    assert!(update.lifetime_changed && update.binding_changed && update.address_changed);
    let before = update.previous_objects.as_ref().expect("they change");
    assert_eq!(before.paths, [Path::instance(1, 0), Path::instance(3, 0)]);

    let still = world.registration("a").expect("registered");
    assert_eq!((still.lifetime_s, still.peer.port()), (60, 1));
    assert!(still.objects.has_object(3) && still.annotations.is_empty());
    answer
        .send(Decision::Annotate(Annotations {
            lifetime_s: Some(600),
            ..Annotations::default()
        }))
        .expect("somebody waits");
    assert_eq!(separate(&mut world, 7).code, Code::CHANGED);
    let now = world.registration("a").expect("registered");
    assert_eq!((now.lifetime_s, now.peer.port()), (600, 7));
    assert!(now.objects.has_object(4) && now.binding.tcp);
    assert_eq!(now.annotations, seen.annotations);
    assert_eq!(world.happened(), ["updated"]);

    // One that changes nothing says so.
    ask(&mut world, 7, Code::POST, &location, b"");
    let Asked::Update(_, update, answer) = gate.next() else {
        panic!("an Update");
    };
    assert_eq!(*update, crate::hooks::Update::default());
    answer.send(Decision::Pass).expect("somebody waits");
    assert_eq!(separate(&mut world, 7).code, Code::CHANGED);
}

#[test]
fn a_refused_update_changes_nothing_and_not_found_brings_the_device_back() {
    let gate = Gate::of([]);
    let mut world = world(&[&gate], |_| {});
    let location = registered(&mut world, &gate, 1, "ep=a&lt=60");
    gate.have([Hook::OnUpdate]);
    for (code, word) in [(Code::NOT_FOUND, "again"), (Code::FORBIDDEN, "not-now")] {
        ask(&mut world, 7, Code::POST, &format!("{location}?lt=90"), b"");
        gate.decide(rejected(code, word));
        assert_eq!(separate(&mut world, 7).code, code);
        let still = world.registration("a").expect("registered");
        assert_eq!((still.lifetime_s, still.peer.port()), (60, 1));
        assert_eq!(refusals(&mut world), [word]);
    }
}

#[test]
fn updates_of_one_device_never_overtake_each_other() {
    let gate = Gate::of([]);
    let mut world = world(&[&gate], |_| {});
    let location = registered(&mut world, &gate, 1, "ep=a");
    let other = registered(&mut world, &gate, 2, "ep=b");
    gate.have([Hook::OnUpdate]);
    ask(
        &mut world,
        1,
        Code::POST,
        &format!("{location}?lt=100"),
        b"",
    );
    // Nobody is asked about the next one, and it waits all the same.
    gate.have([]);
    ask(
        &mut world,
        1,
        Code::POST,
        &format!("{location}?lt=200"),
        b"",
    );
    ask(&mut world, 1, Code::POST, &location, b"");
    assert!(world.take(1).is_none());
    let changed = world.ask(0, 2, Code::POST, &other);
    assert_eq!(changed.code, Code::CHANGED, "another device goes on");
    gate.decide(Decision::Pass);
    for _ in 0..3 {
        assert_eq!(separate(&mut world, 1).code, Code::CHANGED);
    }
    assert_eq!(world.registration("a").expect("there").lifetime_s, 200);
    assert_eq!(world.happened(), ["updated"; 4]);
}

#[test]
fn a_registration_that_ends_while_its_update_waits_is_not_found() {
    let gate = Gate::of([]);
    let mut world = world(&[&gate], |_| {});
    for end in ["deregistered", "forgotten", "replaced"] {
        let location = registered(&mut world, &gate, 1, "ep=a");
        gate.have([Hook::OnUpdate]);
        ask(&mut world, 1, Code::POST, &location, b"");
        match end {
            "deregistered" => {
                let deleted = world.ask(0, 1, Code::DELETE, &location);
                assert_eq!(deleted.code, Code::DELETED);
            }
            "forgotten" => {
                let device = world.location("a");
                let (answer, _) = tokio::sync::oneshot::channel();
                world.command(device, crate::mailbox::Command::Forget { device, answer });
            }
            _ => {
                // From another address with the same name: it lines up, and takes over.
                register(&mut world, 9, "ep=a");
                assert_eq!(gate.len(), 1);
            }
        }
        gate.decide(Decision::Pass);
        let answered = separate(&mut world, 1).code;
        let expected = match end {
            "replaced" => Code::CHANGED,
            _ => Code::NOT_FOUND,
        };
        assert_eq!(answered, expected, "{end}");
        if end == "replaced" {
            assert_eq!(separate(&mut world, 9).code, Code::CREATED);
        }
        world.happened();
    }
}

#[test]
fn a_credential_that_goes_while_its_register_waits_registers_nobody() {
    let store = Arc::new(MemoryCredentials::default());
    let proof = Proof::Psk {
        identity: b"a".as_slice().into(),
        key: SecretKey::new(b"sixteen bytes ok").expect("a key"),
    };
    let id = CredentialId::new("one").expect("an id");
    let credential = Credential::new(id.clone(), proof);
    let LookUp::Now(Ok(())) = store.add(vec![credential.clone()]) else {
        panic!("taken at once");
    };
    let credential = Arc::new(credential);
    let gate = Gate::of([Hook::OnRegister]);
    let mut world = World::intercepted(1, Some(&store), interceptors(&[&gate]), |_| {});
    let identity = PeerIdentity::psk(b"a", None);
    let session = Authenticated::by(&credential, &identity).expect("its own");
    world.open_session(0, 1, session.clone());
    register(&mut world, 1, "ep=a");
    world.revise(&CredentialChange {
        added: Vec::new(),
        removed: vec![Arc::clone(&credential)],
    });
    let seen = gate.decide(Decision::Pass);
    assert_eq!(seen.identity, identity);
    assert_eq!(separate(&mut world, 1).code, Code::UNAUTHORIZED);
    assert!(world.find("a").is_none());
    assert_eq!(
        refusals(&mut world),
        ["credential-removed", "session-ended"]
    );

    // The names that it may use are those of now as well.
    world.open_session(0, 1, session);
    register(&mut world, 1, "ep=a");
    let narrowed = Credential::clone(&credential).endpoints(["b".parse().expect("a pattern")]);
    world.revise(&CredentialChange {
        added: vec![Arc::new(narrowed)],
        removed: vec![credential],
    });
    gate.decide(Decision::Accept(Annotations::default()));
    assert_eq!(separate(&mut world, 1).code, Code::BAD_REQUEST);
    assert_eq!(refusals(&mut world), ["endpoint-not-allowed"]);
}

#[test]
fn facts_have_a_limit() {
    let gate = Gate::of([Hook::OnRegister]);
    let mut world = world(&[&gate], |config| config.limits.annotations_max = 2);
    let facts = |count: usize| Annotations {
        set: (0..count).map(|n| (n.to_string(), "x".into())).collect(),
        ..Annotations::default()
    };
    for (count, code) in [(2, Code::CREATED), (3, Code::INTERNAL_SERVER_ERROR)] {
        register(&mut world, 1, "ep=a");
        gate.decide(Decision::Annotate(facts(count)));
        assert_eq!(separate(&mut world, 1).code, code);
    }
    assert_eq!(refusals(&mut world), ["annotations-too-many"]);
}

#[test]
fn a_message_that_the_engine_has_forgotten_starts_nothing_twice() {
    let gate = Gate::of([Hook::OnRegister]);
    let mut world = world(&[&gate], |config| config.coap.deduplication_max = 1);
    let first = register(&mut world, 1, "ep=a");
    register(&mut world, 2, "ep=b");
    world.deliver(0, 1, &first);
    assert_eq!(gate.len(), 2);
    gate.decide(Decision::Pass);
    world.settle();
    assert_eq!(world.happened(), ["registered"]);
    assert_eq!(gate.len(), 1);
}

#[test]
fn an_update_that_came_through_another_shard_keeps_its_way() {
    let gate = Gate::of([]);
    let mut world = World::intercepted(2, None, interceptors(&[&gate]), |_| {});
    let location = world.register(0, 1, "ep=a&lwm2m=1.1");
    gate.have([Hook::OnUpdate]);
    world.message_id += 1;
    let update = request(world.message_id, Code::POST, &location, b"");
    world.deliver(1, 7, &update);
    assert_eq!(gate.len(), 1);
    gate.decide(Decision::Pass);
    assert_eq!(separate(&mut world, 7).code, Code::CHANGED);
    // What names no registration finds its way as well.
    let send = world.ask_with(1, 7, Code::POST, "dp", br#"[{"n":"/3/0/9","v":90}]"#);
    assert_eq!(send.code, Code::CHANGED);
}
