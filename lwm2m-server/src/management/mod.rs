//! Device management and reporting: LwM2M operations to CoAP requests and back (Core 1.2.2 §6.3,
//! §6.4). Pure functions; the shard sends and receives.
//!
//! ```text
//! Request ──> check (version, model; may be skipped) ──> encode ──> OutgoingRequest
//!                                            formats ────┘
//! CoapAnswer ──> decode | decode_notification ──> Response | values
//! POST /dp ──> decode_send ──> values, or the code for the device
//! ```

mod check;
mod decode;
mod encode;
mod formats;
mod report;
mod types;

use lwm2m_coap::Code;
use lwm2m_core::typed::ObjectDefinition;
use lwm2m_core::{ObjectList, ObjectModels, Version};

pub(crate) use check::check;
pub(crate) use decode::decode;
pub(crate) use encode::encode;
pub(crate) use report::{decode_notification, decode_send};

/// What of a device decides how it is spoken to.
#[derive(Clone, Copy)]
pub(crate) struct DeviceContext<'a> {
    /// The enabler version it registered with.
    pub(crate) version: Version,
    /// What it said it has.
    pub(crate) objects: &'a ObjectList,
    /// Where object models come from.
    pub(crate) models: &'a dyn ObjectModels,
    /// What the caller knows of one object, before the models.
    pub(crate) definition: Option<&'static ObjectDefinition>,
}

/// The parts of a CoAP response that matter here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CoapAnswer<'a> {
    /// The code.
    pub(crate) code: Code,
    /// The Content-Format number.
    pub(crate) content_format: Option<u16>,
    /// The message, for Location-Path.
    pub(crate) message: &'a lwm2m_coap::Message<'a>,
    /// The whole body.
    pub(crate) body: &'a [u8],
}

#[cfg(test)]
mod fixture;
