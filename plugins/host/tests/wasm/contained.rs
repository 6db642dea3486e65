//! What a component does that it should not, and whom it harms: itself.

use std::fmt::Write;
use std::sync::{Arc, Mutex, OnceLock};

use lwm2m_core::{Path, Record, Value};
use lwm2m_plugins::BreakerState;
use lwm2m_server::hooks::Outcome;
use lwm2m_server::{Decision, Interceptor};

use super::guest::{DATA, FOR_EVER, Guest, answer_words};
use super::hooks::echo;
use super::{Hosted, batch, refusal, registration, update};

/// A component that does this at Register, and has no opinion about Updates.
fn registers(body: impl Into<String>) -> Guest {
    Guest::of("registration-plugin").does("on-register", body)
}

/// Asks it, checks how it failed, and that it goes on to work.
async fn fails(hosted: &Hosted, code: &str, told: &str) {
    let (reason, message) = refusal(&hosted.on_register().await);
    assert_eq!(reason, code, "{message}");
    assert!(message.contains(told), "{message}");
    let update = hosted.host.on_update(&registration(), &update()).await;
    assert_eq!(update, Decision::Pass, "the next call has a fresh instance");
}

#[tokio::test]
async fn a_trap_ends_the_call_and_the_instance() {
    let hosted = Hosted::one(&registers("unreachable")).await;
    fails(&hosted, "plugin-failed", "unreachable").await;
    fails(&hosted, "plugin-failed", "unreachable").await;
}

#[tokio::test]
async fn the_last_words_before_a_trap_are_told() {
    let body = format!(
        "(call $log (i32.const 4) (i32.const {DATA}) (i32.const 11) (i32.const 0) (i32.const 0))
         unreachable"
    );
    let guest = registers(body).imports(&["$log"]).data(*b"out of luck");
    let hosted = Hosted::one(&guest).await;
    fails(&hosted, "plugin-failed", "out of luck").await;
}

#[tokio::test]
async fn an_endless_loop_is_stopped_while_others_go_on() {
    let loops = registers(FOR_EVER);
    let settings = "threads = 2
        [[plugin]]
        name = 'loops'
        timeout_ms = { on_register = 300 }
        breaker = { failures = 1000 }
        [[plugin]]
        name = 'works'
        timeout_ms = { transform = 60000 }";
    let plugins = [("loops", loops.build()), ("works", echo().build())];
    let hosted = Arc::new(Hosted::new(&plugins, settings).await);
    let looping: Vec<_> = (0..8)
        .map(|_| {
            let hosted = Arc::clone(&hosted);
            tokio::spawn(async move { hosted.on_register().await })
        })
        .collect();
    // All threads have loops to run, and these come between.
    for n in 0..100 {
        let record = Record::new(Path::resource(3303, 0, 5700), Value::Integer(n));
        let outcome = hosted.host.transform(&batch(vec![record.clone()])).await;
        assert_eq!(outcome, Outcome::Replace(vec![record]));
    }
    for looped in looping {
        let (code, message) = refusal(&looped.await.expect("an answer"));
        assert_eq!(code, "plugin-timeout", "{message}");
        assert!(message.contains("within 300 ms"), "{message}");
    }
}

#[tokio::test]
async fn one_call_at_a_time_tries_a_plugin_that_was_switched_off() {
    let guest = registers(FOR_EVER).does("on-update", "unreachable");
    // Its time is over at once.
    let hosted = Hosted::patient(&guest, "breaker = { failures = 1, cool_down_s = 0 }").await;
    let hosted = Arc::new(hosted);
    let updated = async || {
        let decision = hosted.host.on_update(&registration(), &update()).await;
        refusal(&decision).0
    };
    assert_eq!(updated().await, "plugin-failed");
    let trial = {
        let hosted = Arc::clone(&hosted);
        tokio::spawn(async move { hosted.on_register().await })
    };
    while hosted.status("p").waiting == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        assert_eq!(updated().await, "plugin-off", "while it is tried");
    }
    let breaker = hosted.status("p").breaker.expect("it is loaded");
    assert_eq!(breaker.state, BreakerState::HalfOpen);
    // Whoever asked does not wait any more: the next one tries it.
    trial.abort();
    assert!(trial.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(updated().await, "plugin-failed");
}

#[tokio::test]
async fn memory_without_end_is_refused() {
    let body = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        unreachable";
    let limits = "limits = { memory_kib_max = 1024 }";
    let hosted = Hosted::patient(&registers(body), limits).await;
    fails(&hosted, "plugin-limit", "memory_kib_max").await;

    // One that copes with it is well.
    let body = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (i32.const 512)";
    let hosted = Hosted::patient(&registers(body), limits).await;
    assert_eq!(hosted.on_register().await, Decision::Pass);
    let memory = hosted.status("p").memory;
    assert!((1_000_000..=1 << 20).contains(&memory), "{memory} bytes");
}

#[tokio::test]
async fn memory_at_its_limit_is_enough_and_above_it_is_not() {
    for (pages, starts) in [(16, true), (17, false)] {
        let guest = registers("(i32.const 512)").pages(pages);
        // Three elements in a table of the encoding are counted as well.
        let limits = "limits = { memory_kib_max = 1025 }";
        let hosted = Hosted::patient(&guest, limits).await;
        let refused = hosted.refused("p");
        assert_eq!(refused.is_empty(), starts, "{refused}");
        if !starts {
            assert!(refused.contains("memory_kib_max"), "{refused}");
        }
    }
}

#[tokio::test]
async fn recursion_without_end_is_stopped() {
    let body = "(call $deeper (i32.const 0))";
    let guest = registers(body).does(
        "on-update",
        // The function that is missing above.
        "(i32.const 512)) (func $deeper (param $n i32) (result i32)
            (i32.add (i32.const 1) (call $deeper (i32.add (local.get $n) (i32.const 1))))",
    );
    let hosted = Hosted::one(&guest).await;
    fails(&hosted, "plugin-limit", "stack").await;
}

#[tokio::test]
async fn one_host_call_too_many_ends_the_call() {
    let times = |times: u32| {
        let body = format!(
            "(loop $again
               (drop (call $now))
               (local.set $a (i32.add (local.get $a) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $a) (i32.const {times}))))
             (i32.const 512)"
        );
        registers(body).imports(&["$now"])
    };
    let limits = "limits = { host_calls_max = 50 }";
    let hosted = Hosted::patient(&times(50), limits).await;
    assert_eq!(hosted.on_register().await, Decision::Pass);
    assert_eq!(
        hosted.on_register().await,
        Decision::Pass,
        "each call has its own"
    );
    let hosted = Hosted::patient(&times(51), limits).await;
    fails(&hosted, "plugin-limit", "host_calls_max").await;
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_off() {
    let log = logged();
    let body = format!(
        "(loop $again
           (call $log (i32.const 2) (i32.const {DATA}) (i32.const 9) (i32.const 0) (i32.const 0))
           (local.set $a (i32.add (local.get $a) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $a) (i32.const 500))))
         (i32.const 512)"
    );
    let guest = registers(body).imports(&["$log"]).data(*b"glug\nglug");
    let settings = format!(
        "[[plugin]]\nname = 'floods'\n{}\nlimits = {{ log_lines_max = 7 }}",
        super::PATIENT
    );
    let hosted = Hosted::new(&[("floods", guest.build())], &settings).await;
    assert_eq!(hosted.on_register().await, Decision::Pass);
    let lines = log.lock().expect("not poisoned").clone();
    let flood: Vec<&String> = lines.iter().filter(|line| line.contains("glug")).collect();
    assert_eq!(flood.len(), 7);
    for line in flood {
        assert!(
            line.contains("floods") && line.contains("urn:imei:350"),
            "{line}"
        );
        assert!(!line.contains("glug\nglug"), "{line}");
    }
}

#[tokio::test]
async fn answers_that_are_none_are_refused() {
    let reject = |code: u32, at: u32, len: u32| {
        answer_words(&[
            "(i32.const 3)",
            &format!("(i32.const {code})"),
            &format!("(i32.const {at})"),
            &format!("(i32.const {len})"),
        ])
    };
    for (body, code, told) in [
        // A reason that is no UTF-8.
        (reject(2, DATA, 2), "plugin-answer", "utf-8"),
        // A code that is none of the enumeration, a decision that is none of the variant.
        (reject(200, DATA + 2, 1), "plugin-answer", "discriminant"),
        (
            answer_words(&["(i32.const 77)"]),
            "plugin-answer",
            "discriminant",
        ),
        // Outside of the memory.
        (reject(2, u32::MAX - 8, 4), "plugin-answer", "out of bounds"),
        (reject(2, DATA, u32::MAX), "plugin-answer", ""),
        ("(i32.const -4)".to_owned(), "plugin-answer", "bounds"),
        ("(i32.const 1025)".to_owned(), "plugin-answer", "aligned"),
        // A list of more than there can be.
        (
            answer_words(&["(i32.const 1)", "(i32.const 0)", "(i32.const 0x7fffffff)"]),
            "plugin-answer",
            "",
        ),
    ] {
        let guest = registers(body.clone()).data([0xff, 0xfe, b'x']);
        let hosted = Hosted::one(&guest).await;
        let (reason, message) = refusal(&hosted.on_register().await);
        let message = message.to_lowercase();
        assert!(
            reason == code && message.contains(told),
            "{body}\n{reason}: {message}"
        );
        let update = hosted.host.on_update(&registration(), &update()).await;
        assert_eq!(update, Decision::Pass);
    }
}

#[tokio::test]
async fn a_path_that_leaves_out_a_level_is_refused() {
    // replace([{ /3/-/9, none, none }])
    let mut measurement = Vec::new();
    for number in [3u16, 0, 0, 1, 9, 0, 0] {
        measurement.extend(number.to_le_bytes());
    }
    measurement.resize(64, 0);
    let words = [
        "(i32.const 2)",
        &format!("(i32.const {DATA})"),
        "(i32.const 1)",
    ];
    let guest = Guest::of("telemetry-plugin")
        .data(measurement)
        .does("transform", answer_words(&words));
    let settings = "fail = 'closed'";
    let hosted = Hosted::patient(&guest, settings).await;
    assert_eq!(
        hosted.host.transform(&batch(Vec::new())).await,
        Outcome::Drop
    );
    assert_eq!(
        hosted.status("p").figures[0].failures,
        [("plugin-answer", 1)]
    );
}

#[tokio::test]
async fn an_answer_of_the_largest_size_is_taken_and_a_larger_one_is_not() {
    let limits = "limits = { output_max = 4096 }";
    let reason = |len: u32| {
        registers(answer_words(&[
            "(i32.const 3)",
            "(i32.const 2)",
            "(i32.const 8192)",
            &format!("(i32.const {len})"),
        ]))
    };
    let hosted = Hosted::patient(&reason(4096), limits).await;
    let (code, message) = refusal(&hosted.on_register().await);
    assert_eq!(
        (code, message.len()),
        ("plugin-rejected", "plugin p: ".len() + 4096)
    );
    let hosted = Hosted::patient(&reason(4097), limits).await;
    fails(&hosted, "plugin-limit", "output_max").await;

    // So is what it hands to a host function.
    let body =
        "(call $log (i32.const 2) (i32.const 8192) (i32.const 4097) (i32.const 0) (i32.const 0))
        (i32.const 512)";
    let hosted = Hosted::patient(&registers(body).imports(&["$log"]), limits).await;
    fails(&hosted, "plugin-limit", "output_max").await;
}

/// What is logged, line by line, each with the thread.
pub(crate) fn logged() -> Arc<Mutex<Vec<String>>> {
    static LOG: OnceLock<Arc<Mutex<Vec<String>>>> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Lines(Arc::clone(&log));
        tracing::subscriber::set_global_default(lines).expect("the only one");
        log
    });
    Arc::clone(log)
}

/// Keeps every line of the plugins.
struct Lines(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("lwm2m_plugins") && *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                let _ = write!(self.0, "{}={value:?} ", field.name());
            }
        }
        let thread = std::thread::current();
        let mut text = Text(format!("[{}] ", thread.name().unwrap_or_default()));
        event.record(&mut text);
        self.0.lock().expect("not poisoned").push(text.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
