//! What interceptors hear of a bootstrap.

use crate::{EndpointName, Reason};

/// How a bootstrap session has ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BootstrapEnd {
    /// The device.
    pub endpoint: EndpointName,
    /// Why it failed; none when the device has taken the Bootstrap-Finish, or got its pack.
    pub failure: Option<Reason>,
}

impl BootstrapEnd {
    /// The end of the session of a device: for tests of interceptors and of plugins.
    pub fn new(endpoint: EndpointName, failure: Option<Reason>) -> BootstrapEnd {
        BootstrapEnd { endpoint, failure }
    }
}
