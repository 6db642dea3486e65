//! Values on their way to applications.

use std::time::SystemTime;

use lwm2m_core::{Path, Record};

use crate::{EndpointName, RegistrationId};

/// The values of one notification, Send or Read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Batch {
    /// The device.
    pub endpoint: EndpointName,
    /// Its registration.
    pub registration: RegistrationId,
    /// What interceptors noted about it.
    pub annotations: Vec<(String, String)>,
    /// What brought them.
    pub source: BatchSource,
    /// What was asked for; `/` for composites and Send.
    pub path: Path,
    /// When they came in.
    pub received: SystemTime,
    /// The values.
    pub records: Vec<Record<'static>>,
}

impl Batch {
    /// The values of a Send: for tests of interceptors and of plugins.
    pub fn new(endpoint: EndpointName, records: Vec<Record<'static>>) -> Batch {
        Batch {
            endpoint,
            registration: RegistrationId(0),
            annotations: Vec::new(),
            source: BatchSource::Send,
            path: Path::ROOT,
            received: SystemTime::UNIX_EPOCH,
            records,
        }
    }
}

/// What brought values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BatchSource {
    /// A notification of an observation, the first value included.
    Notification,
    /// A Send.
    Send,
    /// The answer to a Read or Read-Composite.
    Read,
}

/// What an interceptor makes of values.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing: they go to the next one as they are.
    #[default]
    Pass,
    /// Final: nobody hears of them. Who has asked for them, by a Read, gets an answer without values.
    Drop,
    /// Others go to the next one in their place.
    Replace(Vec<Record<'static>>),
    /// Final: applications get these named series, and who has asked their values.
    Emit(Vec<Series>),
    /// Final: applications get this document; who has asked gets an answer without values.
    Document {
        /// As in `application/json`.
        content_type: String,
        /// As it is.
        body: bytes::Bytes,
    },
}

/// A value under a name of the application's.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// As in `temperature`.
    pub name: String,
    /// As in `Cel`.
    pub unit: Option<String>,
    /// The value, where it comes from, and its time.
    pub record: Record<'static>,
    /// Labels, as key and value.
    pub tags: Vec<(String, String)>,
}
