//! A plugin that is broken for some devices, in every way there is.

use crate::components::guest::{DATA, Guest, answer_words};
use crate::components::text::Data;

/// One way to be broken.
pub(super) struct Broken {
    pub(super) name: &'static str,
    /// The file of the plugin, and what is in it.
    pub(super) file: &'static str,
    pub(super) code: Vec<u8>,
    /// Settings of its own.
    pub(super) settings: &'static str,
    /// The word that is told of it, and a part of the message; none when it answers all the same.
    pub(super) told: Option<(&'static str, &'static str)>,
}

/// Its name, what is done, settings of its own, and what is told of it.
type Way = (
    &'static str,
    &'static str,
    &'static str,
    Option<(&'static str, &'static str)>,
);

/// What a script does for the devices whose names begin with `victim`.
const SCRIPTS: [Way; 10] = [
    (
        "loops",
        "loop {}",
        "timeout_ms = { on_register = 3000 }\nlimits = { operations_max = 0 }",
        Some(("plugin-timeout", "within 3000 ms")),
    ),
    (
        "computes",
        "loop {}",
        "",
        Some(("plugin-limit", "operations_max")),
    ),
    (
        "throws",
        "throw \"out of luck\"",
        "",
        Some(("plugin-failed", "out of luck (broken.rhai:")),
    ),
    (
        "fails",
        "registration.endpont",
        "",
        Some(("plugin-failed", "endpont")),
    ),
    (
        "gathers",
        "let all = []; loop { all.push(all.len()); }",
        "limits = { operations_max = 0, memory_kib_max = 64 }",
        Some(("plugin-limit", "memory_kib_max")),
    ),
    (
        "grows",
        "let text = \"x\"; loop { text += text; }",
        "limits = { operations_max = 0, memory_kib_max = 64 }",
        Some(("plugin-limit", "memory_kib_max")),
    ),
    (
        "descends",
        "deeper(1)",
        "",
        Some(("plugin-limit", "call depth")),
    ),
    (
        "talks nonsense",
        "return 42;",
        "",
        Some(("plugin-answer", "on_register answered with i64")),
    ),
    (
        "asks too often",
        "for n in 0..60 { metric_add(\"asked\", 1); }",
        "limits = { host_calls_max = 50 }",
        Some(("plugin-limit", "host_calls_max")),
    ),
    (
        "floods the log",
        "for n in 0..5000 { log_error(\"glug\"); }",
        "",
        None,
    ),
];

/// What a component does for them.
fn components() -> Vec<Broken> {
    let log = |times: u32| {
        format!(
            "(local.set $a (i32.const 0))
             (loop $again
               (call $log (i32.const 4) (i32.const {DATA}) (i32.const 11) (i32.const 0) (i32.const 0))
               (local.set $a (i32.add (local.get $a) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $a) (i32.const {times}))))"
        )
    };
    let (once, often) = (log(1), log(900));
    let panics = format!("{once} unreachable");
    let grows = "(loop $again
        (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    let asks = "(local.set $a (i32.const 0))
        (loop $again
          (drop (call $now))
          (local.set $a (i32.add (local.get $a) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $a) (i32.const 60))))";
    let ways: [(_, &str, _, _); 9] = [
        (
            "loops",
            "(loop $again (br $again))",
            "timeout_ms = { on_register = 3000 }",
            Some(("plugin-timeout", "within 3000 ms")),
        ),
        (
            "traps",
            "unreachable",
            "",
            Some(("plugin-failed", "unreachable")),
        ),
        (
            "panics",
            &panics,
            "",
            Some(("plugin-failed", "out of luck")),
        ),
        ("grows", grows, "", Some(("plugin-limit", "memory_kib_max"))),
        (
            "descends",
            "(drop (call $deeper (i32.const 0)))",
            "",
            Some(("plugin-limit", "stack")),
        ),
        (
            "talks nonsense",
            "(i32.const -4) return",
            "",
            Some(("plugin-answer", "bounds")),
        ),
        (
            "says too much",
            "(i32.store (i32.const 1024) (i32.const 3))
             (i32.store (i32.const 1028) (i32.const 2))
             (i32.store (i32.const 1032) (i32.const 4096))
             (i32.store (i32.const 1036) (i32.const 100000))
             (i32.const 1024) return",
            "limits = { output_max = 4096 }",
            Some(("plugin-limit", "output_max")),
        ),
        (
            "asks too often",
            asks,
            "limits = { host_calls_max = 50 }",
            Some(("plugin-limit", "host_calls_max")),
        ),
        ("floods the log", &often, "", None),
    ];
    let broken = ways.map(|(name, body, settings, told)| Broken {
        name,
        file: "broken.wasm",
        code: component(body),
        settings,
        told,
    });
    broken.into()
}

/// One whose *on-register* annotates `seen` with `yes`, and does this before for victims.
pub(super) fn component(body: &str) -> Vec<u8> {
    let mut data = Data::default();
    // At the place that the bodies name.
    data.text("out of luck");
    let set = data.pair("seen", "yes");
    let (one, zero) = ("(i32.const 1)", "(i32.const 0)");
    let seen = answer_words(&[one, &set, one, zero, zero, zero, zero]);
    let deeper = "(func $deeper (param $n i32) (result i32)
        (i32.add (i32.const 1) (call $deeper (i32.add (local.get $n) (i32.const 1)))))";
    Guest::of("registration-plugin")
        .imports(&["$log", "$now"])
        .helpers(deeper)
        .data(data.bytes())
        .does(
            "on-register",
            // "vict"
            format!(
                "(if (i32.eq (i32.load (i32.load offset=8 (local.get $0))) (i32.const 0x74636976))
                   (then {body}))
                 {seen}"
            ),
        )
        .build()
}

pub(super) fn script(body: &str) -> Vec<u8> {
    format!(
        "fn deeper(n) {{ 1 + deeper(n + 1) }}
         fn on_register(registration) {{
             if registration.endpoint.starts_with(\"victim\") {{ {body} }}
             annotate(#{{ seen: \"yes\" }})
         }}"
    )
    .into_bytes()
}

/// All ways, in all languages.
pub(super) fn ways() -> Vec<Broken> {
    let scripts = SCRIPTS.map(|(name, body, settings, told)| Broken {
        name,
        file: "broken.rhai",
        code: script(body),
        settings,
        told,
    });
    scripts.into_iter().chain(components()).collect()
}
