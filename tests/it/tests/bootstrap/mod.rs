//! Devices without an account: bootstrap, and the registration that follows.

mod identities;
pub(crate) mod site;
mod ways;
