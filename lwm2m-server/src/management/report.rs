//! Notifications and Send: values that devices report (Core 1.2.2 §6.4).

use lwm2m_coap::Code;
use lwm2m_core::codec::{self, Decoded, Scope};
use lwm2m_core::{ContentFormat, Path};

use super::check::is_closed;
use super::decode::{values, within};
use super::types::Types;
use super::{CoapAnswer, DeviceContext};
use crate::{Content, ObservationTarget, Reason};

/// Reads the values of a notification.
///
/// # Errors
/// An error code (the device ended the observation), or a payload that cannot be read.
pub(crate) fn decode_notification(
    target: &ObservationTarget,
    device: &DeviceContext<'_>,
    answer: &CoapAnswer<'_>,
) -> Result<Decoded<'static>, Reason> {
    if !answer.code.is_success() {
        let message = format!("the device notified {:?}", answer.code);
        return Err(Reason::new("notification-error", message));
    }
    let path = match target {
        ObservationTarget::Single(path) => *path,
        ObservationTarget::Composite(_) => Path::ROOT,
    };
    let undecodable =
        |error: crate::RequestError| Reason::new("notification-undecodable", error.to_string());
    let (content, _) = values(device, answer, path, None).map_err(undecodable)?;
    if let ObservationTarget::Composite(paths) = target {
        within(&content, paths).map_err(undecodable)?;
    }
    match content {
        Content::Values(decoded) => Ok(decoded),
        _ => Ok(Decoded::default()),
    }
}

/// Reads the body of a Send; the error carries the code for the device (Core 1.2.2 §6.4.5).
///
/// All or nothing: every record has to decode, and lie in an instance that the device has
/// registered. Resources that no model knows are fine.
///
/// # Errors
/// 4.00 for a body that cannot be read, 4.04 for an object or instance that is not registered.
pub(crate) fn decode_send(
    device: &DeviceContext<'_>,
    content_format: Option<u16>,
    body: &[u8],
) -> Result<Decoded<'static>, (Code, Reason)> {
    let format = send_format(content_format).map_err(|reason| (Code::BAD_REQUEST, reason))?;
    let malformed = |message: String| {
        let reason = Reason::new("send-malformed", message);
        (Code::BAD_REQUEST, reason)
    };
    if body.is_empty() {
        return Err(malformed("the Send has no payload".to_owned()));
    }
    let scope = Scope {
        path: Path::ROOT,
        prefix: &device.objects.alternate_path,
    };
    let records = codec::decode(format, scope, body, &Types::new(device))
        .and_then(Decoded::strict)
        .map_err(|error| malformed(error.to_string()))?;
    for record in &records {
        registered(device, &record.path).map_err(|reason| (Code::NOT_FOUND, reason))?;
    }
    Ok(Decoded {
        records,
        ..Decoded::default()
    }
    .into_owned())
}

fn send_format(content_format: Option<u16>) -> Result<ContentFormat, Reason> {
    let hint = "a Send is senml-json (110), senml-cbor (112) or lwm2m-cbor (11544)";
    let Some(number) = content_format else {
        let message = "the Send has no Content-Format";
        return Err(Reason::new("send-format-missing", message).hint(hint));
    };
    match ContentFormat::from_number(number) {
        Some(
            format @ (ContentFormat::SenmlJson
            | ContentFormat::SenmlCbor
            | ContentFormat::Lwm2mCbor),
        ) => Ok(format),
        _ => {
            let message = format!("the Send has Content-Format {number}");
            Err(Reason::new("send-format-unsupported", message).hint(hint))
        }
    }
}

fn registered(device: &DeviceContext<'_>, path: &Path) -> Result<(), Reason> {
    let instance = path.truncated(2);
    if path.object_id().is_some_and(is_closed) {
        let message = format!("the Send holds {path}, of an object that is closed to servers");
        return Err(Reason::new("send-object-closed", message));
    }
    // The list is sorted.
    if device.objects.paths.binary_search(&instance).is_err() {
        let message = format!("the Send holds {path}, and {instance} is not registered");
        let hint = "the device lists its object instances in Register and Update";
        return Err(Reason::new("send-instance-unknown", message).hint(hint));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
