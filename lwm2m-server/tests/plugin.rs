//! The example `plugin`, run.

#[path = "../examples/plugin.rs"]
mod plugin;

#[test]
fn the_plugin_judges_registrations_and_changes_values() {
    let outcome = plugin::main();
    assert!(outcome.is_ok(), "{outcome:?}");
}
