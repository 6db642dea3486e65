//! Device management and reporting: LwM2M operations to CoAP requests and back (Core 1.2.2 §6.3,
//! §6.4). Pure functions; the shard sends and receives.

use lwm2m_coap::{Code, OutgoingRequest};
use lwm2m_core::codec::Decoded;
use lwm2m_core::{ObjectList, ObjectModels, Request, ResourceType, ResourceTypes, Version};

use crate::{ObservationTarget, Reason, RequestError, Response};

/// What of a device decides how it is spoken to.
#[derive(Clone, Copy)]
pub(crate) struct DeviceContext<'a> {
    /// The enabler version it registered with.
    pub(crate) version: Version,
    /// What it said it has.
    pub(crate) objects: &'a ObjectList,
    /// Where object models come from.
    pub(crate) models: &'a dyn ObjectModels,
}

impl ResourceTypes for DeviceContext<'_> {
    fn resource_type(&self, _object: u16, _resource: u16) -> Option<ResourceType> {
        todo!()
    }
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

/// Refuses what the device's version does not have or its object models rule out; skipped for
/// [`RequestOptions::unchecked`](crate::RequestOptions).
pub(crate) fn check(_request: &Request, _device: &DeviceContext<'_>) -> Result<(), RequestError> {
    todo!()
}

/// Writes a request as a CoAP request, refusing what cannot be expressed.
pub(crate) fn encode(
    _request: &Request,
    _device: &DeviceContext<'_>,
) -> Result<OutgoingRequest, RequestError> {
    todo!()
}

/// Reads the answer to a request. `observation` stays none; the shard fills it in.
pub(crate) fn decode(
    _request: &Request,
    _device: &DeviceContext<'_>,
    _answer: &CoapAnswer<'_>,
) -> Result<Response, RequestError> {
    todo!()
}

/// Reads the values of a notification.
pub(crate) fn decode_notification(
    _target: &ObservationTarget,
    _device: &DeviceContext<'_>,
    _answer: &CoapAnswer<'_>,
) -> Result<Decoded<'static>, Reason> {
    todo!()
}

/// Reads the body of a Send; the error carries the code for the device (Core 1.2.2 §6.4.5).
pub(crate) fn decode_send(
    _device: &DeviceContext<'_>,
    _content_format: Option<u16>,
    _body: &[u8],
) -> Result<Decoded<'static>, (Code, Reason)> {
    todo!()
}
