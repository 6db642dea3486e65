//! The example `custom_object`, run.

#[path = "../examples/custom_object.rs"]
mod custom_object;

#[test]
fn the_example_runs() {
    let outcome = custom_object::main();
    assert!(outcome.is_ok(), "{outcome:?}");
}
