//! The behaviours of the cases in Rhai.

use lwm2m_server::ServerBuilder;

use super::plugin::install;
use super::{Case, Installed, Subject};
use crate::secure::KEY;

/// Each case is a script of its own.
pub(super) struct Script;

impl Subject for Script {
    fn name(&self) -> &str {
        "a script"
    }

    async fn install(&self, builder: ServerBuilder, case: &Case) -> Installed {
        let key = std::str::from_utf8(KEY).expect("text");
        let script = script(case.name).replace("KEY", key);
        install(builder, "case.rhai", script, toml::Table::new()).await
    }
}

fn script(case: &str) -> &'static str {
    match case {
        "register-pass" => "fn on_register(registration) { }",
        "register-annotate" => {
            r#"fn on_register(registration) { annotate(#{ tenant: "north" }, #{ remove: ["x"] }) }"#
        }
        "register-accept" => r#"fn on_register(registration) { accept(#{ tier: "gold" }) }"#,
        "register-reject" => {
            r#"fn on_register(registration) { reject("forbidden", "in quarantine") }"#
        }
        "register-lifetime" => {
            "fn on_register(registration) { annotate(#{}, #{ lifetime: 86400 }) }"
        }
        "register-sees" => {
            r#"fn on_register(r) {
                let seen = `${r.endpoint} ${r.version} ${r.lifetime} ${r.binding}`;
                for link in r.links { seen += " " + link.path; }
                annotate(#{ seen: seen })
            }"#
        }
        "update-sees" => {
            r#"fn on_update(registration, update) {
                let changed = "";
                if update.lifetime_changed { changed += "lifetime "; }
                if update.links_changed { changed += "objects "; }
                changed += `${registration.lifetime} ${registration.links.len()}`;
                annotate(#{ changed: changed })
            }"#
        }
        "update-reject" => {
            r#"fn on_update(registration, update) { reject("not-found", "register again") }"#
        }
        "registered-publish" => {
            r#"fn on_registered(registration) { emit_event("registered", registration.endpoint) }"#
        }
        "updated-publish" => {
            r#"fn on_updated(registration, update) {
                emit_event("updated", update.lifetime_changed)
            }"#
        }
        "gone-publish" => r#"fn on_gone(registration, reason) { emit_event("gone", reason) }"#,
        "credentials" => {
            r#"fn credentials(request) {
                switch request.name {
                    "granted" => psk(to_blob("KEY")),
                    "denied" => deny("reported stolen"),
                    _ => (),
                }
            }"#
        }
        "observe-none" => "fn observe_plan(registration) { }",
        "observe-plan" => {
            r#"fn observe_plan(registration) {
                if registration.has_object(3) { observe([target("/3/0/9", #{ pmin: 10 })]) }
            }"#
        }
        "observe-drop" | "observe-replace" | "observe-keep" => {
            r#"fn observe_plan(registration) { observe(["/3/0/9"], "single") }
            fn observe_failed(registration, paths, failure) {
                if paths[0] != "/3/0/9" { throw "another path"; }
                switch failure {
                    "not-found" => drop(),
                    "not-allowed" => observe(["/4/0/2"]),
                    _ => keep(),
                }
            }"#
        }
        "transform-pass" => "fn transform(batch) { }",
        "transform-drop" => {
            "fn transform(batch) {
                for m in batch.measurements { if m.value < 0 { return drop(); } }
            }"
        }
        "transform-replace" => {
            "fn transform(batch) {
                let doubled = [];
                for m in batch.measurements { m.value *= 2; doubled.push(m); }
                replace(doubled)
            }"
        }
        "transform-emit" => {
            r#"fn transform(batch) {
                emit(batch.measurements.map(|m| series("battery", m, #{ unit: "%" })))
            }"#
        }
        "transform-document" => {
            r#"fn transform(batch) {
                let level = batch.measurements[0].value;
                document("application/json", to_json(#{ level: level }))
            }"#
        }
        "transform-fail" => r#"fn transform(batch) { throw "a bug" }"#,
        "firmware-select" => {
            r#"fn firmware(job) {
                switch job.image_version {
                    "2" => object5_push(),
                    "3" => object5_pull(job.image_uris[0]),
                    "4" => object19_push(),
                    "5" => postpone(3600),
                    "6" => refuse("broken"),
                    _ => (),
                }
            }"#
        }
        "firmware-drive" => {
            r#"fn firmware(job) { custom(to_blob("s0")) }
            fn firmware_step(job, state, event) {
                switch event.kind {
                    "started" => step(to_blob("s1"), [write("/5/0/3", 0), wait(500)]),
                    "done" => step(to_blob("s2"), [send_image("/5/0/0"), progress(10)]),
                    "timer" if state == to_blob("s2") => done(state),
                    "cancelled" => failed("called off"),
                    _ => throw `no case for ${event.kind}`,
                }
            }"#
        }
        "bootstrap-configure" => {
            r#"fn bootstrap(request) {
                if request.parameter("site") != "north" { return; }
                let server = #{ "0": 101, "1": 3600, "6": true, "7": "U" };
                configure([delete("/0"), write("/1/0", server)])
            }"#
        }
        "bootstrap-refuse" => r#"fn bootstrap(request) { refuse("forbidden", "not from here") }"#,
        "bootstrapped-publish" => {
            r#"fn on_bootstrapped(endpoint, success, detail) {
                emit_event("bootstrapped", success)
            }"#
        }
        other => panic!("no script for {other}"),
    }
}
