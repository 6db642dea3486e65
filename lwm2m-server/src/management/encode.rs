//! LwM2M requests as CoAP requests (Core 1.2.2 §6.3, Transport 1.2.2 §6.4).

use bytes::Bytes;
use lwm2m_coap::{Code, OptionNumber, OutgoingRequest};
use lwm2m_core::codec::{self, EncodeError, Scope};
use lwm2m_core::{Attributes, ContentFormat, Path, PathLevel, Record, Request, Untyped, WriteMode};

use super::DeviceContext;
use super::formats::{self, Body};
use super::types::Types;
use crate::RequestError;

use PathLevel::{Object, ObjectInstance, Resource, ResourceInstance};

/// The highest depth of a Discover (Core 1.2.2 §6.3.3).
const DEPTH_MAX: u8 = 3;

/// The longest Uri-Path option, in bytes (RFC 7252 §5.10).
const SEGMENT_MAX: usize = 255;

/// Writes a request as a CoAP request.
///
/// # Errors
/// What cannot be expressed: a path at a level that the operation does not have, a format that
/// cannot carry it, a value that its format has no form for. What a device would refuse for its
/// version or model passes; see [`check`](super::check).
pub(crate) fn encode(
    request: &Request,
    device: &DeviceContext<'_>,
) -> Result<OutgoingRequest, RequestError> {
    let encoder = Encoder {
        device,
        types: Types::new(device),
    };
    match request {
        Request::Read { path, accept } => encoder.read(path, *accept),
        Request::Discover { path, depth } => encoder.discover(path, *depth),
        Request::Write {
            path,
            mode,
            records,
            format,
        } => encoder.write(path, *mode, records, *format),
        Request::WriteAttributes { path, attributes } => encoder.write_attributes(path, attributes),
        Request::Execute { path, arguments } => encoder.execute(path, &arguments.to_string()),
        Request::Create {
            object,
            instance,
            records,
            format,
        } => encoder.create(*object, *instance, records, *format),
        Request::Delete { path } => encoder.delete(path),
        Request::ReadComposite {
            paths,
            format,
            accept,
        } => encoder.fetch(paths, *format, *accept),
        Request::WriteComposite { records, format } => encoder.ipatch(records, *format),
        Request::Observe {
            path,
            attributes,
            accept,
        } => {
            let mut outgoing = encoder.read(path, *accept)?;
            outgoing.observe = Some(true);
            Ok(with_query(outgoing, attributes))
        }
        Request::ObserveComposite {
            paths,
            attributes,
            format,
            accept,
        } => {
            let mut outgoing = encoder.fetch(paths, *format, *accept)?;
            outgoing.observe = Some(true);
            Ok(with_query(outgoing, attributes))
        }
        _ => Err(RequestError::Invalid(
            "this operation has no CoAP form".to_owned(),
        )),
    }
}

/// What a request asks a Read, Observe or composite answer to come in.
pub(super) fn accepted(request: &Request, device: &DeviceContext<'_>) -> Option<ContentFormat> {
    match request {
        Request::Read { path, accept } | Request::Observe { path, accept, .. } => {
            formats::accept(device, &Types::new(device), path, *accept)
        }
        Request::ReadComposite { format, accept, .. }
        | Request::ObserveComposite { format, accept, .. } => {
            let body = formats::of_names(device, *format).ok()?;
            Some(formats::accept_composite(device, body, *accept))
        }
        _ => None,
    }
}

struct Encoder<'d> {
    device: &'d DeviceContext<'d>,
    types: Types<'d>,
}

impl Encoder<'_> {
    fn read(
        &self,
        path: &Path,
        accept: Option<ContentFormat>,
    ) -> Result<OutgoingRequest, RequestError> {
        let levels = [Object, ObjectInstance, Resource, ResourceInstance];
        let outgoing = self.at(Code::GET, path, "Read", &levels)?;
        let accept = formats::accept(self.device, &self.types, path, accept);
        Ok(match accept {
            Some(format) => with_accept(outgoing, format),
            None => outgoing,
        })
    }

    fn discover(&self, path: &Path, depth: Option<u8>) -> Result<OutgoingRequest, RequestError> {
        let levels = [Object, ObjectInstance, Resource];
        let outgoing = self.at(Code::GET, path, "Discover", &levels)?;
        let outgoing = match depth {
            Some(depth) if depth > DEPTH_MAX => {
                return Err(RequestError::Invalid(format!(
                    "the depth of a Discover is 0 to {DEPTH_MAX}, not {depth}"
                )));
            }
            Some(depth) => outgoing.option(OptionNumber::URI_QUERY, format!("depth={depth}")),
            None => outgoing,
        };
        Ok(with_accept(outgoing, ContentFormat::Link))
    }

    fn write(
        &self,
        path: &Path,
        mode: WriteMode,
        records: &[Record<'_>],
        format: Option<ContentFormat>,
    ) -> Result<OutgoingRequest, RequestError> {
        let (code, levels) = match mode {
            WriteMode::Replace => (Code::PUT, &[ObjectInstance, Resource, ResourceInstance][..]),
            WriteMode::Update => (Code::POST, &[ObjectInstance, Resource][..]),
        };
        let outgoing = self.at(code, path, "Write", levels)?;
        if records.is_empty() {
            // An empty PUT would be a Write-Attributes.
            return Err(RequestError::Invalid(
                "a Write names at least one value".to_owned(),
            ));
        }
        let body = match records {
            // A POST of one bare value on a resource would be an Execute.
            [record] if mode == WriteMode::Replace && record.path == *path => Body::Value,
            _ => Body::Values,
        };
        let format = formats::of_write(self.device, body, records, format)?;
        let payload = self.values(format, *path, records)?;
        Ok(with_body(outgoing, format, payload))
    }

    fn write_attributes(
        &self,
        path: &Path,
        attributes: &Attributes,
    ) -> Result<OutgoingRequest, RequestError> {
        let levels = [Object, ObjectInstance, Resource, ResourceInstance];
        let outgoing = self.at(Code::PUT, path, "Write-Attributes", &levels)?;
        if attributes.is_empty() {
            return Err(RequestError::Invalid(
                "a Write-Attributes names at least one attribute".to_owned(),
            ));
        }
        Ok(with_query(outgoing, attributes))
    }

    fn execute(&self, path: &Path, arguments: &str) -> Result<OutgoingRequest, RequestError> {
        let outgoing = self.at(Code::POST, path, "Execute", &[Resource])?;
        Ok(match arguments {
            "" => outgoing,
            _ => with_body(outgoing, ContentFormat::Text, arguments.as_bytes().to_vec()),
        })
    }

    fn create(
        &self,
        object: u16,
        instance: Option<u16>,
        records: &[Record<'_>],
        format: Option<ContentFormat>,
    ) -> Result<OutgoingRequest, RequestError> {
        if instance == Some(u16::MAX) {
            return Err(RequestError::Invalid(
                "an object instance is 0 to 65534".to_owned(),
            ));
        }
        let path = Path::object(object);
        let outgoing = self.at(Code::POST, &path, "Create", &[Object])?;
        let new = Path::instance(object, instance.unwrap_or(u16::MAX));
        if records.is_empty() {
            return self.create_empty(outgoing, instance, format);
        }
        let format = formats::of_create(self.device, instance, format)?;
        if let Some(record) = records.iter().find(|record| !new.contains(&record.path)) {
            let error = EncodeError::OutsideScope {
                path: record.path,
                scope: new,
            };
            return Err(error.into());
        }
        // In TLV an instance that the device chooses is one without its wrapper.
        let scope = match (format, instance) {
            (ContentFormat::Tlv, None) => new,
            _ => path,
        };
        let payload = self.values(format, scope, records)?;
        Ok(with_body(outgoing, format, payload))
    }

    /// An instance without resources. Only TLV has a form for it.
    fn create_empty(
        &self,
        outgoing: OutgoingRequest,
        instance: Option<u16>,
        format: Option<ContentFormat>,
    ) -> Result<OutgoingRequest, RequestError> {
        if format.is_some_and(|format| format != ContentFormat::Tlv) {
            return Err(RequestError::Invalid(
                "only tlv can carry an instance without values".to_owned(),
            ));
        }
        let payload = match instance.map(u16::to_be_bytes) {
            None => Vec::new(),
            Some([0, low]) => vec![0x00, low],
            Some([high, low]) => vec![0x20, high, low],
        };
        Ok(with_body(outgoing, ContentFormat::Tlv, payload))
    }

    fn delete(&self, path: &Path) -> Result<OutgoingRequest, RequestError> {
        let levels = [ObjectInstance, ResourceInstance];
        self.at(Code::DELETE, path, "Delete", &levels)
    }

    fn fetch(
        &self,
        paths: &[Path],
        format: Option<ContentFormat>,
        accept: Option<ContentFormat>,
    ) -> Result<OutgoingRequest, RequestError> {
        if paths.is_empty() {
            return Err(RequestError::Invalid(
                "a composite request names at least one path".to_owned(),
            ));
        }
        paths.iter().try_for_each(no_reserved_id)?;
        let format = formats::of_names(self.device, format)?;
        let accept = formats::accept_composite(self.device, format, accept);
        let mut payload = Vec::new();
        let prefix = &self.device.objects.alternate_path;
        codec::encode_paths(format, prefix, paths, &mut payload)?;
        let outgoing = with_body(self.root(Code::FETCH)?, format, payload);
        Ok(with_accept(outgoing, accept))
    }

    fn ipatch(
        &self,
        records: &[Record<'_>],
        format: Option<ContentFormat>,
    ) -> Result<OutgoingRequest, RequestError> {
        if records.is_empty() {
            return Err(RequestError::Invalid(
                "a Write-Composite names at least one value".to_owned(),
            ));
        }
        let format = formats::of_named_values(self.device, records, format)?;
        for record in records {
            no_reserved_id(&record.path)?;
        }
        let payload = self.values(format, Path::ROOT, records)?;
        Ok(with_body(self.root(Code::IPATCH)?, format, payload))
    }

    /// A request to a path at one of these levels.
    fn at(
        &self,
        code: Code,
        path: &Path,
        operation: &str,
        levels: &[PathLevel],
    ) -> Result<OutgoingRequest, RequestError> {
        no_reserved_id(path)?;
        if !levels.contains(&path.level()) {
            let places: Vec<&str> = levels.iter().copied().map(described).collect();
            return Err(RequestError::Invalid(format!(
                "{operation} goes to {}, not to {path}",
                places.join(" or ")
            )));
        }
        let outgoing = path.ids().iter().fold(self.root(code)?, |outgoing, id| {
            outgoing.option(OptionNumber::URI_PATH, id.to_string())
        });
        Ok(outgoing)
    }

    /// A request to the root of the device: `/`, or its alternate path.
    fn root(&self, code: Code) -> Result<OutgoingRequest, RequestError> {
        let segments = self.device.objects.alternate_path.split('/');
        segments.filter(|segment| !segment.is_empty()).try_fold(
            OutgoingRequest::new(code),
            |outgoing, segment| match segment.len() {
                ..=SEGMENT_MAX => Ok(outgoing.option(OptionNumber::URI_PATH, segment.to_owned())),
                _ => Err(RequestError::Invalid(format!(
                    "the device's alternate path has a segment of more than {SEGMENT_MAX} bytes"
                ))),
            },
        )
    }

    /// Records as a payload. A value of another type than the model's goes as it is:
    /// [`check`](super::check) is where that is refused.
    fn values(
        &self,
        format: ContentFormat,
        scope: Path,
        records: &[Record<'_>],
    ) -> Result<Vec<u8>, RequestError> {
        if let Some(record) = records.iter().find(|record| record.time.is_some()) {
            return Err(RequestError::Invalid(format!(
                "a write carries no time, and {} has one",
                record.path
            )));
        }
        let scope = Scope {
            path: scope,
            prefix: &self.device.objects.alternate_path,
        };
        let mut payload = Vec::new();
        match codec::encode(format, scope, records, &self.types, &mut payload) {
            Err(EncodeError::Value { .. }) => {
                codec::encode(format, scope, records, &Untyped, &mut payload)?;
            }
            result => result?,
        }
        Ok(payload)
    }
}

/// Content-Format stands even when the payload is empty: that is what tells a Write of an empty
/// string from a Write-Attributes.
fn with_body(
    outgoing: OutgoingRequest,
    format: ContentFormat,
    payload: Vec<u8>,
) -> OutgoingRequest {
    outgoing
        .uint(OptionNumber::CONTENT_FORMAT, u32::from(format.number()))
        .payload(Bytes::from(payload))
}

fn with_accept(outgoing: OutgoingRequest, format: ContentFormat) -> OutgoingRequest {
    outgoing.uint(OptionNumber::ACCEPT, u32::from(format.number()))
}

fn with_query(outgoing: OutgoingRequest, attributes: &Attributes) -> OutgoingRequest {
    attributes
        .query_items()
        .into_iter()
        .fold(outgoing, |outgoing, item| {
            outgoing.option(OptionNumber::URI_QUERY, item)
        })
}

fn no_reserved_id(path: &Path) -> Result<(), RequestError> {
    match path.ids().iter().any(|id| *id > Path::MAX_ID) {
        true => Err(RequestError::Invalid(format!(
            "{path} holds 65535, which names nothing"
        ))),
        false => Ok(()),
    }
}

fn described(level: PathLevel) -> &'static str {
    match level {
        PathLevel::Root => "/",
        Object => "an object",
        ObjectInstance => "an object instance",
        Resource => "a resource",
        ResourceInstance => "a resource instance",
    }
}

#[cfg(test)]
mod tests;
