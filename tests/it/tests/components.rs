//! Components for tests, made of WebAssembly text and the contract.

#[allow(dead_code)] // the tests of the host use all of it
#[path = "../../../plugins/host/tests/wasm/guest.rs"]
pub(crate) mod guest;
pub(crate) mod text;
