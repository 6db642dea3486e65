//! Registrations: what the server knows of a device.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use lwm2m_core::{ObjectList, Version};

/// An endpoint name: 1 to 255 bytes of UTF-8, compared byte by byte, hostile until escaped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointName(Arc<str>);

impl EndpointName {
    /// The longest name, in bytes.
    pub const MAX: usize = 255;

    /// Takes a name; none when it is empty or too long.
    pub fn new(name: &str) -> Option<EndpointName> {
        (!name.is_empty() && name.len() <= EndpointName::MAX).then(|| EndpointName(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EndpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The second segment of the location `/rd/{id}`: unguessable, says which shard owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId(pub u128);

/// The bindings that a device supports, and queue mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Binding {
    /// U
    pub udp: bool,
    /// T
    pub tcp: bool,
    /// S
    pub sms: bool,
    /// N
    pub non_ip: bool,
    /// M (1.2)
    pub mqtt: bool,
    /// H (1.2)
    pub http: bool,
    /// Q: the device sleeps, and hears only after it has sent something.
    pub queue: bool,
}

/// A registration, as it was when it was asked for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Registration {
    /// The endpoint name.
    pub endpoint: EndpointName,
    /// The location.
    pub id: RegistrationId,
    /// The enabler version.
    pub version: Version,
    /// Lifetime in seconds, 0 for ever.
    pub lifetime_s: u32,
    /// What `b` and `Q` said.
    pub binding: Binding,
    /// The number for SMS.
    pub sms: Option<Box<str>>,
    /// What the device says it has.
    pub objects: Arc<ObjectList>,
    /// Other parameters of the Register, and what interceptors annotated.
    pub annotations: Vec<(String, String)>,
    /// Where it is.
    pub peer: SocketAddr,
    /// When it registered.
    pub registered_at: SystemTime,
    /// When it last registered or updated.
    pub updated_at: SystemTime,
    /// False while a queue-mode device sleeps.
    pub awake: bool,
}
