//! Devices without an account: bootstrap, and the registration that follows.

mod broken;
mod hostile;
mod identities;
pub(crate) mod site;
mod streams;
mod ways;
