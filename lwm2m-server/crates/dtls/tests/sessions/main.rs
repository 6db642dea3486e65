//! Client against server over a network that can be made as bad as one likes.

mod attacks;
mod certificates;
mod exporting;
mod limits;
#[allow(
    dead_code,
    reason = "what the tests of certificates make, and more than we need"
)]
#[path = "../certificate/make.rs"]
mod make;
mod moving;
mod network;
mod pair;
mod psk;
mod resuming;
mod risks;
