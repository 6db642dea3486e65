//! The lwm2m-server binary.
fn main() {}
