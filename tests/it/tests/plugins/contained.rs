//! Whom a broken plugin harms: the devices that it is asked about, for as long as it may take.

use std::time::{Duration, Instant};

use lwm2m_coap::Code;
use lwm2m_plugins::BreakerState;

use super::broken::{Broken, component, script, ways};
use super::{Hosting, PATIENT, failure, switched, write};
use crate::peer::{OBJECTS, Peer, event};

/// The plugin that works, behind the broken one.
const WORKS: &str = r#"
    fn on_register(registration) { annotate(#{ tenant: "north" }) }
    fn transform(batch) {
        let doubled = [];
        for m in batch.measurements { m.value *= 2; doubled.push(m); }
        replace(doubled)
    }
"#;

fn settings(broken: &Broken, fail: &str, more: &str) -> String {
    // Time is short for those alone that never end: a call that waits for a busy machine ends.
    let timeout = match broken.settings.contains("timeout_ms") {
        true => "",
        false => "timeout_ms = { on_register = 60000 }",
    };
    let own = broken.settings;
    format!(
        "threads = 2
        [[plugin]]\nname = 'broken'\nfail = '{fail}'\n{timeout}\n{own}\n{more}
        [[plugin]]\nname = 'works'\norder = 200\ntimeout_ms = {{ {PATIENT} }}"
    )
}

fn files(broken: &Broken) -> [(String, Vec<u8>); 2] {
    [
        (broken.file.to_owned(), broken.code.clone()),
        ("works.rhai".to_owned(), WORKS.as_bytes().to_vec()),
    ]
}

/// A device registers under a name, and is answered.
async fn registers(hosting: &Hosting, endpoint: &str) -> Code {
    let mut device = Peer::new(&hosting.server).await;
    let path = format!("rd?ep={endpoint}&lwm2m=1.1");
    let request = device.request(Code::POST, &path).format(40);
    device.ask(request.payload(OBJECTS)).await.code
}

#[tokio::test]
async fn a_broken_plugin_is_told_of_and_harms_nobody_else() {
    for broken in ways() {
        let what = format!("{} that {}", broken.file, broken.name);
        let never = "breaker = { failures = 0 }";
        let mut hosting = Hosting::new(&files(&broken), &settings(&broken, "open", never)).await;
        // Victims are let in as if it had no opinion, whichever shard they are on.
        for n in 0..4 {
            let victim = format!("victim-{n}");
            assert_eq!(registers(&hosting, &victim).await, Code::CREATED, "{what}");
            let seen = hosting.annotation(&victim, "seen").await;
            assert_eq!(seen.is_some(), broken.told.is_none(), "{what}");
            let tenant = hosting.annotation(&victim, "tenant").await;
            assert_eq!(tenant.as_deref(), Some("north"), "{what}");
            // It goes on to work for others.
            let other = format!("other-{n}");
            assert_eq!(registers(&hosting, &other).await, Code::CREATED, "{what}");
            let seen = hosting.annotation(&other, "seen").await;
            assert_eq!(seen.as_deref(), Some("yes"), "{what}");
        }
        if let Some((word, part)) = broken.told {
            let (code, message) = event(&mut hosting.events, |e| failure(e, "broken")).await;
            assert_eq!(code, word, "{what}: {message}");
            assert!(message.contains(part), "{what}: {message}");
            assert!(
                message.contains("the server went on without it"),
                "{message}"
            );
        }
        let failures = match broken.told {
            Some((word, _)) => vec![(word, 4)],
            None => Vec::new(),
        };
        let figures = &hosting.status("broken").figures[0];
        assert_eq!((figures.calls, &figures.failures), (8, &failures), "{what}");
        let figures = &hosting.status("works").figures[0];
        assert_eq!(
            (figures.calls, &figures.failures[..]),
            (8, &[][..]),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_broken_plugin_that_is_closed_keeps_out_whom_it_is_asked_about() {
    for broken in ways().iter().filter(|broken| broken.told.is_some()) {
        let what = format!("{} that {}", broken.file, broken.name);
        let never = "breaker = { failures = 0 }";
        let hosting = Hosting::new(&files(broken), &settings(broken, "closed", never)).await;
        let refused = registers(&hosting, "victim").await;
        assert_eq!(refused, Code::SERVICE_UNAVAILABLE, "{what}");
        assert!(hosting.server.registration("victim").await.is_none());
        assert_eq!(registers(&hosting, "other").await, Code::CREATED, "{what}");
    }
}

#[tokio::test]
async fn the_text_of_a_panic_in_rust_is_told_where_it_can_be_built() {
    // A component of text that says something before it traps is run above in either case.
    let built = tokio::task::spawn_blocking(crate::components::source::built);
    let Some(component) = built.await.expect("it is built") else {
        return;
    };
    let settings = format!(
        "[[plugin]]\nname = 'guest'\ntimeout_ms = {{ {PATIENT} }}\n\
         config = {{ case = 'transform-fail' }}"
    );
    let files = [("guest.wasm".to_owned(), component)];
    let mut hosting = Hosting::new(&files, &settings).await;
    let mut device = Peer::new(&hosting.server).await;
    let request = device.request(Code::POST, "rd?ep=a&lwm2m=1.1").format(40);
    device.ask(request.payload(OBJECTS)).await;
    let body = r#"[{"n":"/3/0/9","v":4}]"#;
    let send = device.request(Code::POST, "dp").format(110).payload(body);
    assert_eq!(device.ask(send).await.code, Code::CHANGED);
    let (code, message) = event(&mut hosting.events, |e| failure(e, "guest")).await;
    assert_eq!(code, "plugin-failed", "{message}");
    assert!(
        message.contains("a bug") && message.contains("src/lib.rs"),
        "{message}"
    );
}

fn looping() -> [Broken; 2] {
    let told = Some(("plugin-timeout", ""));
    [
        Broken {
            name: "loops",
            file: "broken.rhai",
            code: script("loop {}"),
            settings: "timeout_ms = { on_register = 3000 }\nlimits = { operations_max = 0 }",
            told,
        },
        Broken {
            name: "loops",
            file: "broken.wasm",
            code: component("(loop $again (br $again))"),
            settings: "timeout_ms = { on_register = 3000 }",
            told,
        },
    ]
}

#[tokio::test]
async fn after_failures_in_a_row_it_is_switched_off_and_back_on_when_mended() {
    for broken in looping() {
        let breaker = "breaker = { failures = 3, cool_down_s = 3600 }";
        let mut hosting = Hosting::new(&files(&broken), &settings(&broken, "open", breaker)).await;
        for n in 0..3 {
            let victim = format!("victim-{n}");
            assert_eq!(registers(&hosting, &victim).await, Code::CREATED);
        }
        let (state, message) = event(&mut hosting.events, |e| switched(e, "broken")).await;
        assert_eq!(state, "off");
        assert!(message.contains("switched off for 3600 s"), "{message}");
        let breaker = hosting.status("broken").breaker.expect("it is loaded");
        assert!(
            matches!(&breaker.state, BreakerState::Open { why, .. } if why.contains("on_register")),
            "{breaker:?}"
        );
        let last = breaker.last_failure.expect("it has failed");
        assert_eq!((breaker.failures, last.code), (3, "plugin-timeout"));
        // It is not asked any more, for nobody.
        for endpoint in ["victim-3", "other"] {
            assert_eq!(registers(&hosting, endpoint).await, Code::CREATED);
            assert_eq!(hosting.annotation(endpoint, "seen").await, None);
            let tenant = hosting.annotation(endpoint, "tenant").await;
            assert_eq!(tenant.as_deref(), Some("north"));
        }
        let figures = &hosting.status("broken").figures[0];
        let failures = [("plugin-timeout", 3), ("plugin-off", 2)];
        assert_eq!((figures.calls, &figures.failures[..]), (5, &failures[..]));

        let mended = match broken.file {
            "broken.rhai" => script(""),
            _ => component(""),
        };
        write(&hosting.folder, broken.file, &mended);
        // The folder is followed as well: whoever is first loads it.
        hosting.host.reload();
        let breaker = hosting.status("broken").breaker.expect("it is loaded");
        assert_eq!((breaker.state, breaker.failures), (BreakerState::Closed, 0));
        let (state, message) = event(&mut hosting.events, |e| switched(e, "broken")).await;
        assert_eq!(state, "on");
        assert!(message.contains("another version"), "{message}");
        assert_eq!(registers(&hosting, "victim-4").await, Code::CREATED);
        let seen = hosting.annotation("victim-4", "seen").await;
        assert_eq!(seen.as_deref(), Some("yes"));
    }
}

#[tokio::test]
async fn while_it_loops_other_hooks_and_devices_are_served() {
    for broken in looping() {
        // On a busy machine all the others may take longer than that.
        let mut waiting = 0;
        for (seconds, settings) in [
            (9, "timeout_ms = { on_register = 9000 }"),
            (40, "timeout_ms = { on_register = 40000 }"),
        ] {
            let long = Broken {
                settings,
                code: broken.code.clone(),
                ..broken
            };
            let time = Duration::from_secs(seconds);
            waiting = looped_for_when_all_others_are_served(&long, time).await;
            if waiting >= VICTIMS {
                break;
            }
        }
        assert!(waiting >= VICTIMS, "{}: {waiting}", broken.file);
    }
}

/// Devices for which it loops: as many as there are threads and instances, and more.
const VICTIMS: u32 = 16;

/// For how many devices it loops, or is to, for this time, when all others are served.
async fn looped_for_when_all_others_are_served(broken: &Broken, time: Duration) -> u32 {
    let never = "limits = { operations_max = 0 }\nbreaker = { failures = 0 }";
    let mut hosting = Hosting::new(&files(broken), &settings(broken, "open", never)).await;
    let mut device = Peer::new(&hosting.server).await;
    let request = device
        .request(Code::POST, "rd?ep=first&lwm2m=1.1")
        .format(40);
    let registered = device.ask(request.payload(OBJECTS)).await;
    let mut victims = Vec::new();
    for n in 0..VICTIMS {
        let mut victim = Peer::new(&hosting.server).await;
        let path = format!("rd?ep=victim-{n}&lwm2m=1.1");
        let request = victim.request(Code::POST, &path).format(40);
        victim.send(&request.payload(OBJECTS).encode()).await;
        victims.push(victim);
    }
    // They are all on their way, or it has come to its end for the first of them.
    let begun = Instant::now();
    while hosting.status("broken").waiting < VICTIMS && begun.elapsed() < time {
        tokio::task::yield_now().await;
    }
    for level in 1..=5 {
        let update = device.request(Code::POST, &registered.location());
        assert_eq!(device.ask(update).await.code, Code::CHANGED);
        let body = format!(r#"[{{"n":"/3/0/9","v":{level}}}]"#);
        let send = device.request(Code::POST, "dp").format(110).payload(body);
        assert_eq!(device.ask(send).await.code, Code::CHANGED);
        let values = event(&mut hosting.events, |event| match &event.kind {
            lwm2m_server::EventKind::Send { values } => Some(values.clone()),
            _ => None,
        });
        let value = &values.await.records[0].value;
        assert_eq!(*value, lwm2m_core::Value::Integer(2 * level));
    }
    let waiting = hosting.status("broken").waiting;
    for victim in victims {
        let answer = crate::site::in_time(async {
            loop {
                let answer = victim.receive().await;
                if answer.code != Code::EMPTY {
                    return answer;
                }
            }
        });
        assert_eq!(answer.await.code, Code::CREATED);
    }
    waiting
}
