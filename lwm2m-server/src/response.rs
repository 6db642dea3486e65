//! What comes of a request to a device.

use bytes::Bytes;
use lwm2m_coap::Code;
use lwm2m_core::codec::Decoded;
use lwm2m_core::link::DiscoveredLink;
use lwm2m_core::{ContentFormat, Path};

/// A success answer of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The code, of class 2.
    pub code: Code,
    /// What the payload held.
    pub content: Content,
    /// The format of the payload; guessed when the device did not say.
    pub format: Option<ContentFormat>,
    /// The payload as it came.
    pub raw: Bytes,
    /// For an observe request: the observation that stands now; none when the device answered
    /// with a value only.
    pub observation: Option<ObservationId>,
}

/// What a payload held.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// Nothing.
    None,
    /// Values, with the records that could not be decoded beside them.
    Values(Decoded<'static>),
    /// The answer to a Discover.
    Links(Vec<DiscoveredLink>),
    /// The instance that a Create made.
    Created(Path),
}

/// Names an observation, for as long as the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObservationId(pub u64);

/// What an observation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObservationTarget {
    /// One path.
    Single(Path),
    /// Several paths in one observation.
    Composite(Vec<Path>),
}

/// An observation that stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservationInfo {
    /// Its name.
    pub id: ObservationId,
    /// What it is about.
    pub target: ObservationTarget,
    /// The format that was asked for; none for what the device's version prefers.
    pub format: Option<ContentFormat>,
    /// Notifications since it was made.
    pub notifications: u64,
    /// True when an observe plan made it, see [`observe`](crate::observe).
    pub planned: bool,
}
