//! What does not compile, and what the compiler says of it.

#[test]
fn what_does_not_compile_says_why() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
