//! The behaviours of the cases as components, made here of WebAssembly text and the contract.

use lwm2m_server::ServerBuilder;

use super::plugin::install;
use super::{Case, Installed, Subject};
use crate::components::guest::{Guest, answer_words};
use crate::components::text::{Data, HELPERS, OUT};
use crate::secure::KEY;

/// Each case is a component of its own.
pub(super) struct Text;

impl Subject for Text {
    fn name(&self) -> &str {
        "a component of WebAssembly text"
    }

    async fn install(&self, builder: ServerBuilder, case: &Case) -> Installed {
        let component = guest(case.name).build();
        install(builder, "case.wasm", component, toml::Table::new()).await
    }
}

/// One component of every hook, from source, told the case by its configuration.
pub(super) struct Source(pub(super) Vec<u8>);

impl Subject for Source {
    fn name(&self) -> &str {
        "a component from source"
    }

    async fn install(&self, builder: ServerBuilder, case: &Case) -> Installed {
        let settings = toml::Table::from_iter([("case".to_owned(), case.name.into())]);
        install(builder, "case.wasm", &self.0, settings).await
    }
}

/// Where no function writes: an answer of zeros, which is no opinion.
const NO_OPINION: &str = "(i32.const 512)";

fn guest(case: &str) -> Guest {
    let world = match case.split('-').next() {
        Some("register" | "update") => "registration-plugin",
        Some("registered" | "updated" | "gone") => "devices-plugin",
        Some("credentials") => "credentials-plugin",
        Some("observe") => "observe-plugin",
        Some("transform") => "telemetry-plugin",
        Some("firmware") => "firmware-plugin",
        Some("bootstrap" | "bootstrapped") => "bootstrap-plugin",
        _ => panic!("no component for {case}"),
    };
    let guest = Guest::of(world).imports(&["$emit"]).helpers(HELPERS);
    let mut data = Data::default();
    let guest = match world {
        "registration-plugin" => registration(guest, case, &mut data),
        "devices-plugin" => devices(guest, case, &mut data),
        "credentials-plugin" => guest.does("lookup", credentials(&mut data)),
        "telemetry-plugin" => guest.does("transform", transform(case, &mut data)),
        "observe-plugin" => observe(guest, case, &mut data),
        "firmware-plugin" => firmware(guest, case, &mut data),
        _ => bootstrap(guest, case, &mut data),
    };
    guest.data(data.bytes())
}

/// A `registration` begins with its id; behind it are endpoint (8), version (16), lifetime (20),
/// binding (24), links (104); an `update` behind it is at 152.
fn registration(guest: Guest, case: &str, data: &mut Data) -> Guest {
    let (zero, one) = ("(i32.const 0)", "(i32.const 1)");
    let reject = |code: u32, (at, len): (String, String)| {
        answer_words(&["(i32.const 3)", &format!("(i32.const {code})"), &at, &len])
    };
    match case {
        "register-pass" => guest.does("on-register", NO_OPINION),
        "register-annotate" => {
            let set = data.pair("tenant", "north");
            let (x, len) = data.text("x");
            let remove = data.words(&[&x, &len]);
            let words = [one, &set, one, &remove, one, zero, zero];
            guest.does("on-register", answer_words(&words))
        }
        "register-accept" => {
            let set = data.pair("tier", "gold");
            let words = ["(i32.const 2)", &set, one, zero, zero, zero];
            guest.does("on-register", answer_words(&words))
        }
        "register-reject" => guest.does("on-register", reject(2, data.text("in quarantine"))),
        "register-lifetime" => {
            let words = [one, zero, zero, zero, zero, one, "(i32.const 86400)"];
            guest.does("on-register", answer_words(&words))
        }
        "register-sees" => {
            let (versions, _) = data.text("1.01.11.2");
            let (name, len) = data.text("seen");
            let body = format!(
                "(call $begin)
                 (call $text (i32.load offset=8 (local.get $0)) (i32.load offset=12 (local.get $0)))
                 (call $byte (i32.const 32))
                 (call $text
                   (i32.add {versions} (i32.mul (i32.const 3) (i32.load8_u offset=16 (local.get $0))))
                   (i32.const 3))
                 (call $byte (i32.const 32))
                 (call $number (i64.extend_i32_u (i32.load offset=20 (local.get $0))))
                 (call $byte (i32.const 32))
                 (if (i32.and (i32.load8_u offset=24 (local.get $0)) (i32.const 1))
                   (then (call $byte (i32.const 85))))
                 (local.set $a (i32.load offset=104 (local.get $0)))
                 (local.set $b (i32.load offset=108 (local.get $0)))
                 (block $end (loop $next
                   (br_if $end (i32.eqz (local.get $b)))
                   (call $byte (i32.const 32))
                   (call $link (local.get $a))
                   (local.set $a (i32.add (local.get $a) (i32.const 4)))
                   (local.set $b (i32.sub (local.get $b) (i32.const 1)))
                   (br $next)))
                 (call $annotate {name} {len})"
            );
            guest.does("on-register", body)
        }
        "update-sees" => {
            let (lifetime, lifetime_len) = data.text("lifetime ");
            let (objects, objects_len) = data.text("objects ");
            let (name, len) = data.text("changed");
            let body = format!(
                "(call $begin)
                 (if (i32.load8_u offset=152 (local.get $0))
                   (then (call $text {lifetime} {lifetime_len})))
                 (if (i32.load8_u offset=156 (local.get $0))
                   (then (call $text {objects} {objects_len})))
                 (call $number (i64.extend_i32_u (i32.load offset=20 (local.get $0))))
                 (call $byte (i32.const 32))
                 (call $number (i64.extend_i32_u (i32.load offset=108 (local.get $0))))
                 (call $annotate {name} {len})"
            );
            guest.does("on-update", body)
        }
        "update-reject" => guest.does("on-update", reject(3, data.text("register again"))),
        other => panic!("no component for {other}"),
    }
}

/// Text that publishes what has been written since `$begin`.
fn publish(kind: &str, data: &mut Data) -> String {
    let (kind, len) = data.text(kind);
    let none = "(i32.const 0) (i32.const 0) (i32.const 0)";
    let result = "(i32.const 2048)";
    format!("(call $emit {kind} {len} {none} (i32.const {OUT}) (call $length) {result})")
}

/// Text that writes `true` or `false`.
fn truth(condition: &str, data: &mut Data) -> String {
    let ((yes, yes_len), (no, no_len)) = (data.text("true"), data.text("false"));
    format!(
        "(if {condition} (then (call $text {yes} {yes_len})) (else (call $text {no} {no_len})))"
    )
}

fn devices(guest: Guest, case: &str, data: &mut Data) -> Guest {
    let quote = "(call $byte (i32.const 34))";
    let endpoint = "(i32.load offset=8 (local.get $0)) (i32.load offset=12 (local.get $0))";
    let (function, kind, text) = match case {
        "registered-publish" => (
            "on-registered",
            "registered",
            format!("{quote} (call $text {endpoint}) {quote}"),
        ),
        "updated-publish" => (
            "on-updated",
            "updated",
            truth("(i32.load8_u offset=152 (local.get $0))", data),
        ),
        "gone-publish" => {
            let reasons = ["deregistered", "lifetime-expired", "replaced", "removed"];
            let reasons = reasons.map(|reason| data.text(reason));
            let words = reasons.iter().flat_map(|(at, len)| [at.as_str(), len]);
            let table = data.words(&words.collect::<Vec<_>>());
            let entry = format!(
                "(i32.add {table} (i32.mul (i32.const 8) (i32.load8_u offset=152 (local.get $0))))"
            );
            let text = format!("(call $text (i32.load {entry}) (i32.load offset=4 {entry}))");
            ("on-gone", "gone", format!("{quote} {text} {quote}"))
        }
        other => panic!("no component for {other}"),
    };
    let publish = publish(kind, data);
    guest.does(function, format!("(call $begin) {text} {publish}"))
}

/// A `request` begins with the identity: its kind, and for a pre-shared key its name (4).
fn credentials(data: &mut Data) -> String {
    let (granted, granted_len) = data.text("granted");
    let (denied, denied_len) = data.text("denied");
    let (key, key_len) = data.text(std::str::from_utf8(KEY).expect("text"));
    let (why, why_len) = data.text("reported stolen");
    let (zero, one) = ("(i32.const 0)", "(i32.const 1)");
    // What a credential of OSCORE would have, no endpoint, no time.
    let mut grant = vec![one, zero, &key, &key_len];
    grant.resize(14, zero);
    let deny = ["(i32.const 2)", &why, &why_len];
    let name = "(i32.load offset=4 (local.get $0)) (i32.load offset=8 (local.get $0))";
    format!(
        "(if (i32.ne (i32.load8_u (local.get $0)) {one}) (then {NO_OPINION} return))
         (if (call $is {name} {granted} {granted_len}) (then {} return))
         (if (call $is {name} {denied} {denied_len}) (then {} return))
         {NO_OPINION}",
        answer_words(&grant),
        answer_words(&deny)
    )
}

/// A `batch` has its measurements at 56, each of 48 bytes: path, time (16), value (32, 40).
fn transform(case: &str, data: &mut Data) -> String {
    let each = |what: &str| {
        format!(
            "(local.set $a (i32.load offset=56 (local.get $0)))
             (local.set $b (i32.load offset=60 (local.get $0)))
             (block $end (loop $next
               (br_if $end (i32.eqz (local.get $b)))
               {what}
               (local.set $a (i32.add (local.get $a) (i32.const 48)))
               (local.set $b (i32.sub (local.get $b) (i32.const 1)))
               (br $next)))"
        )
    };
    let is_integer = "(i32.eq (i32.load8_u offset=32 (local.get $a)) (i32.const 2))";
    let number = "(i64.load offset=40 (local.get $a))";
    let measurements = "(i32.load offset=56 (local.get $0))";
    let count = "(i32.load offset=60 (local.get $0))";
    match case {
        "transform-pass" => NO_OPINION.to_owned(),
        "transform-drop" => {
            let drop = answer_words(&["(i32.const 1)"]);
            let looks = format!(
                "(if (i32.and {is_integer} (i64.lt_s {number} (i64.const 0))) (then {drop} return))"
            );
            format!("{} {NO_OPINION}", each(&looks))
        }
        "transform-replace" => {
            let doubles = format!(
                "(if {is_integer} (then
                   (i64.store offset=40 (local.get $a) (i64.mul (i64.const 2) {number}))))"
            );
            let replace = answer_words(&["(i32.const 2)", measurements, count]);
            format!("{} {replace}", each(&doubles))
        }
        "transform-emit" => {
            let ((name, name_len), (unit, unit_len)) = (data.text("battery"), data.text("%"));
            // A series of 80 bytes: name, unit (8), the measurement (24), tags (72).
            let word = |at: u32, value: &str| {
                format!("(i32.store offset={at} (global.get $out) {value})\n")
            };
            let words = [
                (0, name.as_str()),
                (4, &name_len),
                (8, "(i32.const 1)"),
                (12, &unit),
                (16, &unit_len),
                (72, "(i32.const 0)"),
                (76, "(i32.const 0)"),
            ];
            let words: String = words.iter().map(|(at, value)| word(*at, value)).collect();
            let series = format!(
                "{words}
                 (memory.copy (i32.add (global.get $out) (i32.const 24)) (local.get $a)
                   (i32.const 48))
                 (global.set $out (i32.add (global.get $out) (i32.const 80)))"
            );
            let emit = ["(i32.const 3)", &format!("(i32.const {OUT})"), count];
            format!("(call $begin) {} {}", each(&series), answer_words(&emit))
        }
        "transform-document" => {
            let (content_type, content_type_len) = data.text("application/json");
            let (begin, begin_len) = data.text("{\"level\":");
            let out = format!("(i32.const {OUT})");
            let words = [
                "(i32.const 4)",
                &content_type,
                &content_type_len,
                &out,
                "(call $length)",
            ];
            format!(
                "(call $begin)
                 (call $text {begin} {begin_len})
                 (call $number (i64.load offset=40 {measurements}))
                 (call $byte (i32.const 125))
                 {}",
                answer_words(&words)
            )
        }
        "transform-fail" => "unreachable".to_owned(),
        other => panic!("no component for {other}"),
    }
}

/// Behind the registration, which has its links at 104, are the paths at 152 and the failure at 160.
fn observe(guest: Guest, case: &str, data: &mut Data) -> Guest {
    let (zero, one, two) = ("(i32.const 0)", "(i32.const 1)", "(i32.const 2)");
    // A target of 120 bytes: its path, and the attributes at 16, of which pmin is the first.
    let mut target = |path: [u16; 3], pmin: Option<u32>| {
        let mut words = data.path(path);
        if let Some(seconds) = pmin {
            let seconds = format!("(i32.const {seconds})");
            words.extend([one.to_owned(), zero.to_owned(), one.to_owned(), seconds]);
        }
        words.resize(30, zero.to_owned());
        data.words(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let pmin = (case == "observe-plan").then_some(10);
    let (battery, instead) = (target([3, 0, 9], pmin), target([4, 0, 2], None));
    let plan = |target: &str| {
        let words = [target, one, zero, zero, zero, zero, zero];
        words.map(str::to_owned)
    };
    let answer = |kind: &str, plan: [String; 7]| {
        let mut words = vec![kind];
        words.extend(plan.iter().map(String::as_str));
        answer_words(&words)
    };
    if case == "observe-none" {
        return guest.does("plan", NO_OPINION);
    }
    let failure = "(i32.load8_u offset=160 (local.get $0))";
    let (drop, replace) = (answer_words(&[one]), answer(two, plan(&instead)));
    let repair = format!(
        "(if (i32.ne (i32.load offset=156 (local.get $0)) {one}) (then unreachable))
         (if (i32.eqz {failure}) (then {drop} return))
         (if (i32.eq {failure} {one}) (then {replace} return))
         {NO_OPINION}"
    );
    guest
        .does("plan", answer(one, plan(&battery)))
        .does("on-failure", repair)
}

/// A `job` has the version of its image at 184 and the URIs at 208; behind it are the state of the
/// delivery at 216 and the event at 224.
fn firmware(guest: Guest, case: &str, data: &mut Data) -> Guest {
    let (zero, one, two) = ("(i32.const 0)", "(i32.const 1)", "(i32.const 2)");
    let three = "(i32.const 3)";
    if case == "firmware-select" {
        let (broken, broken_len) = data.text("broken");
        // The instance, and the size of a block behind it.
        let push = "(i32.const 0x04000000)";
        let uris = "(i32.load offset=208 (local.get $0))";
        let (uri, uri_len) = (
            format!("(i32.load {uris})"),
            format!("(i32.load offset=4 {uris})"),
        );
        let choices = [
            ('2', vec![one, zero, push]),
            ('3', vec![one, one, zero, &uri, &uri_len]),
            ('4', vec![one, two, push]),
            ('5', vec![two, "(i32.const 3600)"]),
            ('6', vec![three, &broken, &broken_len]),
        ];
        let version = "(i32.load8_u (i32.load offset=184 (local.get $0)))";
        let choices = choices.map(|(digit, words)| {
            let digit = u32::from(digit);
            let answer = answer_words(&words);
            format!("(if (i32.eq {version} (i32.const {digit})) (then {answer} return))\n")
        });
        return guest.does("select", format!("{} {NO_OPINION}", choices.concat()));
    }
    let ((s0, len), (s1, _), (s2, _)) = (data.text("s0"), data.text("s1"), data.text("s2"));
    let values = data.value([5, 0, 3], 2, [0, 0]);
    let write = [one, &values, one, zero, zero, zero, zero, zero];
    let wait = ["(i32.const 5)", "(i32.const 500)"];
    let started = data.words(&[&write[..], &wait, &[zero; 6]].concat());
    let mut image = data.path([5, 0, 0]);
    image.insert(0, "(i32.const 4)".to_owned());
    image.resize(8, zero.to_owned());
    let progress = ["(i32.const 6)".to_owned(), "(i32.const 10)".to_owned()];
    image.extend(progress);
    image.resize(16, zero.to_owned());
    let done = data.words(&image.iter().map(String::as_str).collect::<Vec<_>>());
    let (why, why_len) = data.text("called off");
    let state = "(i32.load offset=216 (local.get $0))";
    let state_len = "(i32.load offset=220 (local.get $0))";
    let event = "(i32.load8_u offset=224 (local.get $0))";
    let on = |number: u32, words: &[&str]| {
        let answer = answer_words(words);
        format!("(if (i32.eq {event} (i32.const {number})) (then {answer} return))\n")
    };
    let steps = [
        on(0, &[&s1, &len, &started, two, zero]),
        on(2, &[&s2, &len, &done, two, zero]),
        on(6, &[state, state_len, zero, zero, two, &why, &why_len]),
        format!("(if (i32.eqz (call $is {state} {state_len} {s2} {len})) (then unreachable))"),
        on(4, &[state, state_len, zero, zero, one]),
    ];
    guest
        .does("select", answer_words(&[one, three, &s0, &len]))
        .does("step", format!("{} unreachable", steps.concat()))
}

/// A `request` has its parameters at 76.
fn bootstrap(guest: Guest, case: &str, data: &mut Data) -> Guest {
    let (zero, one, two) = ("(i32.const 0)", "(i32.const 1)", "(i32.const 2)");
    match case {
        "bootstrap-configure" => {
            let ((site, site_len), (north, north_len)) = (data.text("site"), data.text("north"));
            let (u, u_len) = data.text("U");
            let values = data.values(&[
                ([1, 0, 0], 2, ["(i32.const 101)", zero]),
                ([1, 0, 1], 2, ["(i32.const 3600)", zero]),
                ([1, 0, 6], 5, [one, zero]),
                ([1, 0, 7], 1, [&u, &u_len]),
            ]);
            // Each of 20 bytes: delete(some(/0)), write.
            let delete = [zero, one, zero, zero, zero];
            let write = [one, &values, "(i32.const 4)", zero, zero];
            let operations = data.words(&[delete, write].concat());
            let configure = answer_words(&[one, &operations, two, zero]);
            let parameter = "(i32.load offset=76 (local.get $0))";
            let body = format!(
                "(if (i32.ne (i32.load offset=80 (local.get $0)) {one}) (then {NO_OPINION} return))
                 (local.set $a {parameter})
                 (if (i32.and
                     (call $is (i32.load (local.get $a)) (i32.load offset=4 (local.get $a))
                       {site} {site_len})
                     (call $is (i32.load offset=8 (local.get $a)) (i32.load offset=12 (local.get $a))
                       {north} {north_len}))
                   (then {configure} return))
                 {NO_OPINION}"
            );
            guest.does("configure", body)
        }
        "bootstrap-refuse" => {
            let (why, why_len) = data.text("not from here");
            guest.does("configure", answer_words(&[two, two, &why, &why_len]))
        }
        "bootstrapped-publish" => {
            let truth = truth("(local.get $2)", data);
            let publish = publish("bootstrapped", data);
            guest.does("on-finished", format!("(call $begin) {truth} {publish}"))
        }
        other => panic!("no component for {other}"),
    }
}
