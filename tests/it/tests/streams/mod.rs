//! Devices that are connected: coap+tcp and coaps+tcp (RFC 8323, binding T).

mod devices;
mod faults;
pub(crate) mod peer;
mod tls;
