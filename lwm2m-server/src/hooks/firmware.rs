//! What interceptors say of a firmware update. The types of the contract: plugins implement and test
//! them; the server asks once it has a firmware service.

use std::sync::Arc;

use lwm2m_core::{Path, Record, Value};

use crate::Registration;

/// An image in the server's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirmwareImage {
    /// Its id in the store.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// In bytes.
    pub size: u64,
    /// Of its bytes.
    pub sha256: [u8; 32],
    /// Where the server serves it: coap, coaps, http, https.
    pub uris: Vec<String>,
}

/// One attempt to bring an image to a device.
#[derive(Debug, Clone, PartialEq)]
pub struct FirmwareJob {
    /// The job's id.
    pub id: String,
    /// From 1.
    pub attempt: u32,
    /// The device.
    pub target: Arc<Registration>,
    /// The image.
    pub image: FirmwareImage,
}

/// How an image gets to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FirmwareStrategy {
    /// Block-wise Write of `/5/x/0`.
    Object5Push {
        /// x
        instance: u16,
        /// In bytes; 16 to 1024, a power of two.
        block_size: u16,
    },
    /// Write of `/5/x/1`; the device downloads.
    Object5Pull {
        /// x
        instance: u16,
        /// From where.
        uri: String,
    },
    /// Block-wise Write of `/19/x/0`.
    Object19Push {
        /// x
        instance: u16,
        /// In bytes; 16 to 1024, a power of two.
        block_size: u16,
    },
    /// Step by step, by the one who chose it; the state to start with.
    Custom(Vec<u8>),
}

/// What an interceptor says before an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum FirmwareChoice {
    /// No opinion.
    #[default]
    Pass,
    /// Like this.
    Deliver(FirmwareStrategy),
    /// Not now, but after so many seconds.
    Postpone(u32),
    /// Not at all, and why.
    Refuse(String),
}

/// What has happened in a delivery that goes step by step.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FirmwareEvent {
    /// It begins.
    Started,
    /// The server was restarted: what the last step wanted may or may not have been done.
    Resumed,
    /// What came of the actions of the last step, in their order.
    Done(Vec<FirmwareResult>),
    /// Values of a resource that an action observes.
    Notified(Vec<Record<'static>>),
    /// The wait is over.
    Timer,
    /// The device has registered anew.
    Reregistered,
    /// Somebody has called it off.
    Cancelled,
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FirmwareResult {
    /// It is done.
    Ok,
    /// It is done, and these are the values.
    Values(Vec<Record<'static>>),
    /// It is not, and why.
    Failed(String),
}

/// What a step wants done.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FirmwareAction {
    /// Read these.
    Read(Vec<Path>),
    /// Write these.
    Write(Vec<(Path, Value<'static>)>),
    /// Execute this, with arguments.
    Execute(Path, Option<String>),
    /// Observe this.
    Observe(Path),
    /// Write the image block-wise into this resource.
    SendImage(Path),
    /// Wait so many milliseconds.
    Wait(u32),
    /// Tell who watches: percent.
    Progress(u8),
}

/// Whether a delivery goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FirmwareVerdict {
    /// It goes on.
    Running,
    /// The device has the image and runs it.
    Succeeded,
    /// It is over, and why.
    Failed(String),
    /// Another attempt after so many seconds.
    RetryLater(u32),
}

/// What comes of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct FirmwareStep {
    /// Kept for the next step.
    pub state: Vec<u8>,
    /// In their order.
    pub actions: Vec<FirmwareAction>,
    /// Whether it goes on.
    pub verdict: FirmwareVerdict,
}
