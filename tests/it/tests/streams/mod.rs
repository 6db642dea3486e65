//! Devices that are connected: coap+tcp and coaps+tcp (RFC 8323, binding T).

mod devices;
mod faults;
mod hello;
pub(crate) mod peer;
mod simulated;
pub(crate) mod tls;
pub(crate) mod tls_own;
#[cfg(feature = "tls-psk")]
pub(crate) mod tls_psk;
