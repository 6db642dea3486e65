//! Components for tests: of WebAssembly text and the contract, and from source.

// The paths are from here, also for those who name this file as a module of theirs.
#[allow(dead_code)] // the tests of the host use all of it
#[path = "../../../plugins/host/tests/wasm/guest.rs"]
pub(crate) mod guest;
#[path = "components/source.rs"]
pub(crate) mod source;
#[allow(dead_code)] // so do those of the hooks
#[path = "components/text.rs"]
pub(crate) mod text;
