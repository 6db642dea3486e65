//! The clock of a fixture, as a component sees it.

use lwm2m_plugins::{Fixture, run_fixtures};

use super::guest::Guest;

#[test]
fn a_component_has_the_clock_of_its_fixture() {
    // It traps when it is any other time, or when any other time has passed.
    let at = |unix_ms: u64, elapsed_ns: u64| {
        format!(
            "(if (i64.ne (call $now) (i64.const {unix_ms})) (then unreachable))
             (if (i64.ne (call $elapsed) (i64.const {elapsed_ns})) (then unreachable))
             (i32.const 512)"
        )
    };
    let guest = Guest::of("registration-plugin")
        .imports(&["$now", "$elapsed"])
        .does("on-register", at(1_767_323_045_000, 0))
        .does("on-update", at(1_767_323_046_500, 1_500_000_000));
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, content).expect("a file");
        file
    };
    let plugin = write("p.wasm", &guest.build());
    let fixture = "clock = '2026-01-02T03:04:05Z'
        registration = { endpoint = 'a' }
        [[call]]
        hook = 'on_register'
        [[call]]
        hook = 'on_update'
        after_s = 1.5
        [[call]]
        hook = 'on_update'
        after_s = 0.001
        expect = { fails = 'unreachable' }";
    let fixture = write("case.toml", fixture.as_bytes());
    let fixture = Fixture::read(&fixture).unwrap_or_else(|error| panic!("{error}"));
    // Twice: what was compiled for the first one serves the other, with a clock of its own.
    let fixtures = [fixture.clone(), fixture];
    let reports = run_fixtures(&plugin, &fixtures, None).unwrap_or_else(|error| panic!("{error}"));
    for report in &reports {
        assert!(report.passed() && report.calls.len() == 3, "{report:#?}");
    }
}
