//! The answers of devices (Core 1.2.2 §6.3; Transport 1.2.2 §6.4).
//!
//! Strict about what an answer means, lenient about its form: the Content-Format that came
//! counts, not the one that was asked for; a missing one is guessed.

use bytes::Bytes;
use lwm2m_coap::{Code, OptionNumber};
use lwm2m_core::codec::{self, DecodeError, Decoded, Scope};
use lwm2m_core::{ContentFormat, Path, Request, ResourceTypes, link};

use super::encode::accepted;
use super::formats;
use super::types::Types;
use super::{CoapAnswer, DeviceContext};
use crate::{Content, RequestError, Response};

/// The longest diagnostic that is kept, in bytes.
const DIAGNOSTIC_MAX: usize = 512;

/// What some stacks write for "no Content-Format".
const NO_FORMAT: u16 = u16::MAX;

/// Reads the answer to a request. `observation` stays none; the shard fills it in.
///
/// # Errors
/// [`RequestError::Refused`] for an error code, [`RequestError::Protocol`] for a success code
/// that the operation does not have or a payload of the wrong kind,
/// [`RequestError::Undecodable`] for a broken payload.
pub(crate) fn decode(
    request: &Request,
    device: &DeviceContext<'_>,
    answer: &CoapAnswer<'_>,
) -> Result<Response, RequestError> {
    success(request, answer)?;
    let (content, format) = match request {
        Request::Read { path, .. } | Request::Observe { path, .. } => {
            values(device, answer, *path, accepted(request, device))?
        }
        Request::ReadComposite { paths, .. } | Request::ObserveComposite { paths, .. } => {
            let found = values(device, answer, Path::ROOT, accepted(request, device))?;
            within(&found.0, paths)?;
            found
        }
        Request::Discover { .. } => (links(device, answer)?, Some(ContentFormat::Link)),
        Request::Create {
            object, instance, ..
        } => (created(device, answer, *object, *instance), None),
        _ => (Content::None, None),
    };
    Ok(Response {
        code: answer.code,
        content,
        format,
        raw: Bytes::copy_from_slice(answer.body),
        observation: None,
    })
}

/// The code is one that the operation succeeds with, or one that devices are known to send in its
/// place.
fn success(request: &Request, answer: &CoapAnswer<'_>) -> Result<(), RequestError> {
    let code = answer.code;
    match code.class() {
        2 => {}
        4 | 5 => {
            return Err(RequestError::Refused {
                code,
                diagnostic: diagnostic(answer),
            });
        }
        _ => {
            return Err(RequestError::Protocol(format!(
                "{code} is no code of a response"
            )));
        }
    }
    let (expected, tolerated) = match request {
        Request::Create { .. } => (Code::CREATED, &[Code::CHANGED, Code::CONTENT][..]),
        Request::Delete { .. } => (Code::DELETED, &[][..]),
        Request::Write { .. }
        | Request::WriteAttributes { .. }
        | Request::WriteComposite { .. }
        | Request::Execute { .. } => (Code::CHANGED, &[Code::CONTENT][..]),
        _ => (Code::CONTENT, &[][..]),
    };
    if code == expected || tolerated.contains(&code) {
        return Ok(());
    }
    Err(RequestError::Protocol(format!(
        "the device answered {code:?} where {expected:?} is due"
    )))
}

/// The diagnostic payload of an error, when it is text (RFC 7252 §5.5.2).
fn diagnostic(answer: &CoapAnswer<'_>) -> Option<String> {
    if !matches!(answer.content_format, None | Some(0 | NO_FORMAT)) || answer.body.is_empty() {
        return None;
    }
    let text = std::str::from_utf8(answer.body).ok()?;
    let text = &text[..text.floor_char_boundary(DIAGNOSTIC_MAX)];
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    Some(text.chars().map(printable).collect())
}

/// The values of an answer, and the format that they came in.
pub(super) fn values(
    device: &DeviceContext<'_>,
    answer: &CoapAnswer<'_>,
    path: Path,
    accepted: Option<ContentFormat>,
) -> Result<(Content, Option<ContentFormat>), RequestError> {
    let types = Types::new(device);
    let scope = Scope {
        path,
        prefix: &device.objects.alternate_path,
    };
    let (decoded, format) = match answer.content_format {
        None | Some(NO_FORMAT) => guess(answer.body, scope, &types, accepted)?,
        Some(number) => {
            let format = ContentFormat::from_number(number).ok_or_else(|| {
                RequestError::Protocol(format!(
                    "the answer has Content-Format {number}, which LwM2M does not use"
                ))
            })?;
            (codec::decode(format, scope, answer.body, &types)?, format)
        }
    };
    Ok((Content::Values(decoded.into_owned()), Some(format)))
}

/// Decodes an answer that does not say its format: the first format that reads all of it, else
/// the most likely one with its faults or its error.
fn guess<'a>(
    body: &'a [u8],
    scope: Scope<'_>,
    types: &dyn ResourceTypes,
    accepted: Option<ContentFormat>,
) -> Result<(Decoded<'a>, ContentFormat), DecodeError> {
    let mut likely = None;
    for format in formats::guesses(&scope.path, types, accepted) {
        let decoded = codec::decode(format, scope, body, types).map(|decoded| (decoded, format));
        match decoded {
            Ok((decoded, format)) if decoded.faults.is_empty() => return Ok((decoded, format)),
            decoded => {
                // Something read in part is better than an error.
                if likely.as_ref().is_none_or(Result::is_err) && decoded.is_ok() || likely.is_none()
                {
                    likely = Some(decoded);
                }
            }
        }
    }
    likely.unwrap_or(Err(DecodeError::Format(ContentFormat::Link)))
}

/// Refuses records that a composite request did not ask for.
pub(super) fn within(content: &Content, paths: &[Path]) -> Result<(), RequestError> {
    let Content::Values(decoded) = content else {
        return Ok(());
    };
    let records = decoded.records.iter().map(|record| &record.path);
    let faults = decoded.faults.iter().map(|fault| &fault.path);
    let asked = |path: &&Path| paths.iter().any(|asked| asked.contains(path));
    match records.chain(faults).find(|path| !asked(path)) {
        Some(path) => Err(RequestError::Protocol(format!(
            "the answer holds {path}, which was not asked for"
        ))),
        None => Ok(()),
    }
}

/// The links of a Discover. Devices that do not know it read the path instead and send its values.
fn links(device: &DeviceContext<'_>, answer: &CoapAnswer<'_>) -> Result<Content, RequestError> {
    let body = answer.body;
    let looks_like_links = body.is_empty() || body.trim_ascii_start().starts_with(b"<");
    let says_links =
        matches!(answer.content_format, Some(number) if number == ContentFormat::Link.number());
    if !says_links && !looks_like_links {
        let came = match answer.content_format {
            Some(number) => match ContentFormat::from_number(number) {
                Some(format) => format!("{format} ({number})"),
                None => format!("Content-Format {number}"),
            },
            None => "something without Content-Format".to_owned(),
        };
        return Err(RequestError::Protocol(format!(
            "the device answered a Discover with {came} instead of links"
        )));
    }
    link::parse_discover(body, &device.objects.alternate_path)
        .map(Content::Links)
        .map_err(|error| {
            RequestError::Protocol(format!("the links of the answer cannot be read: {error}"))
        })
}

/// The instance that a Create made: what Location-Path says, else what was asked for.
fn created(
    device: &DeviceContext<'_>,
    answer: &CoapAnswer<'_>,
    object: u16,
    instance: Option<u16>,
) -> Content {
    let location = answer.message.values(OptionNumber::LOCATION_PATH);
    let mut text = String::new();
    for segment in location {
        text.push('/');
        text.push_str(&String::from_utf8_lossy(segment));
    }
    let path = text
        .strip_prefix(device.objects.alternate_path.as_str())
        .unwrap_or(&text)
        .parse::<Path>();
    match (path, instance) {
        (Ok(path), _) if path.object_id() == Some(object) && path.ids().len() == 2 => {
            Content::Created(path)
        }
        (_, Some(instance)) => Content::Created(Path::instance(object, instance)),
        _ => Content::None,
    }
}

#[cfg(test)]
mod tests;
