//! Which content format a request goes out in, and which one it asks for.
//!
//! The formats of a registration (`ct`) decide; without them the enabler version does: TLV for
//! 1.0, text for one value and SenML CBOR for several from 1.1 on. A caller may insist on another
//! format, as long as it can carry the operation at all.

use lwm2m_core::{
    ContentFormat, ObjectList, Path, PathLevel, Record, Request, ResourceTypes, Value, Version,
};

use super::DeviceContext;
use super::types::Types;
use crate::RequestError;

use ContentFormat::{
    Cbor, Json, Lwm2mCbor, Opaque, SenmlCbor, SenmlEtchCbor, SenmlEtchJson, SenmlJson, Text, Tlv,
};

/// What a body has to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// One value, at the path of the request.
    Value,
    /// Any number of values below the path of the request.
    Values,
    /// Names, for Read-Composite and Observe-Composite.
    Names,
    /// Values with their whole paths, for Write-Composite.
    NamedValues,
}

impl Body {
    /// True when a format can carry this body.
    pub(super) fn fits(self, format: ContentFormat) -> bool {
        match format {
            Text | Opaque | Cbor => self == Body::Value,
            Tlv | Json => matches!(self, Body::Value | Body::Values),
            SenmlJson | SenmlCbor => true,
            SenmlEtchJson | SenmlEtchCbor => matches!(self, Body::Names | Body::NamedValues),
            Lwm2mCbor => self != Body::Names,
            _ => false,
        }
    }

    fn described(self) -> &'static str {
        match self {
            Body::Value => "a value",
            Body::Values => "several values",
            Body::Names => "the names of a composite request",
            Body::NamedValues => "the values of a composite request",
        }
    }
}

/// The format that the caller insists on, when it can carry the body; else `choice`.
fn insisted(
    format: Option<ContentFormat>,
    body: Body,
    choice: impl FnOnce() -> ContentFormat,
) -> Result<ContentFormat, RequestError> {
    match format {
        None => Ok(choice()),
        Some(format) if body.fits(format) => Ok(format),
        Some(format) => Err(RequestError::Invalid(format!(
            "{format} cannot carry {}",
            body.described()
        ))),
    }
}

/// The format of a Write; `Body::Value` when it is one value at the path itself.
pub(super) fn of_write(
    device: &DeviceContext<'_>,
    body: Body,
    records: &[Record<'_>],
    format: Option<ContentFormat>,
) -> Result<ContentFormat, RequestError> {
    insisted(format, body, || match (body, records) {
        (Body::Value, [record]) => for_value(device, &record.value),
        _ => for_values(device),
    })
}

/// The format of a Create. Without an instance id TLV is best: its bare resources say so, while
/// SenML needs the reserved id 65535, which few devices know.
pub(super) fn of_create(
    device: &DeviceContext<'_>,
    instance: Option<u16>,
    format: Option<ContentFormat>,
) -> Result<ContentFormat, RequestError> {
    insisted(format, Body::Values, || {
        let listed = &device.objects.content_formats;
        match instance {
            None if listed.is_empty() || listed.contains(&Tlv) => Tlv,
            None if device.version >= Version::V1_2 && listed.contains(&Lwm2mCbor) => Lwm2mCbor,
            _ => for_values(device),
        }
    })
}

/// The format of the names of a Read-Composite or Observe-Composite.
pub(super) fn of_names(
    device: &DeviceContext<'_>,
    format: Option<ContentFormat>,
) -> Result<ContentFormat, RequestError> {
    insisted(format, Body::Names, || {
        first_listed(
            device.objects,
            &[SenmlCbor, SenmlJson, SenmlEtchCbor, SenmlEtchJson],
        )
        .unwrap_or(SenmlCbor)
    })
}

/// The format of a Write-Composite. Only SenML-ETCH has a null, which removes an instance.
pub(super) fn of_named_values(
    device: &DeviceContext<'_>,
    records: &[Record<'_>],
    format: Option<ContentFormat>,
) -> Result<ContentFormat, RequestError> {
    insisted(format, Body::NamedValues, || {
        let removes = records.iter().any(|record| record.value == Value::Null);
        let (formats, fallback) = if removes {
            ([SenmlEtchCbor, SenmlEtchJson, SenmlCbor], SenmlEtchCbor)
        } else {
            ([SenmlCbor, SenmlJson, Lwm2mCbor], SenmlCbor)
        };
        match first_listed(device.objects, &formats) {
            // A device that lists plain SenML CBOR only: its ETCH form is the nearest.
            Some(SenmlCbor) if removes => SenmlEtchCbor,
            Some(format) => format,
            None => fallback,
        }
    })
}

/// What a Read or Observe asks for: a format that carries types and times, where the device
/// listed one and the answer needs it. Devices choose well for a single known value.
pub(super) fn accept(
    device: &DeviceContext<'_>,
    types: &Types<'_>,
    path: &Path,
    accept: Option<ContentFormat>,
) -> Option<ContentFormat> {
    if accept.is_some() || device.version == Version::V1_0 {
        return accept;
    }
    let single = match path.level() {
        PathLevel::Resource => types.of(path).is_some_and(|known| !known.multiple),
        PathLevel::ResourceInstance => types.of(path).is_some(),
        _ => false,
    };
    let described = if device.version >= Version::V1_2 {
        &[SenmlCbor, SenmlJson, Lwm2mCbor][..]
    } else {
        &[SenmlCbor, SenmlJson][..]
    };
    (!single)
        .then(|| first_listed(device.objects, described))
        .flatten()
}

/// What a composite request asks for: the family of its body, since Zephyr reads the body in the
/// format of Accept.
pub(super) fn accept_composite(
    device: &DeviceContext<'_>,
    body: ContentFormat,
    accept: Option<ContentFormat>,
) -> ContentFormat {
    let listed = &device.objects.content_formats;
    accept.unwrap_or(match body {
        SenmlJson | SenmlEtchJson => SenmlJson,
        _ if listed.contains(&Lwm2mCbor) && !listed.contains(&SenmlCbor) => Lwm2mCbor,
        _ => SenmlCbor,
    })
}

/// True when an answer to `request` may come in `format`.
pub(super) fn may_answer(request: &Request, types: &Types<'_>, format: ContentFormat) -> bool {
    match request {
        Request::Read { path, .. } | Request::Observe { path, .. } => {
            let one = path.level() == PathLevel::ResourceInstance
                || path.level() == PathLevel::Resource
                    && !types.of(path).is_some_and(|known| known.multiple);
            let body = if one { Body::Value } else { Body::Values };
            body.fits(format)
        }
        Request::ReadComposite { .. } | Request::ObserveComposite { .. } => {
            matches!(format, SenmlJson | SenmlCbor | Lwm2mCbor)
        }
        _ => true,
    }
}

/// The formats to try, in turn, for an answer that does not say its own.
pub(super) fn guesses(
    path: &Path,
    types: &dyn ResourceTypes,
    accepted: Option<ContentFormat>,
) -> Vec<ContentFormat> {
    let known = match *path.ids() {
        [object, _, resource, ..] => types.resource_type(object, resource),
        _ => None,
    };
    let usual: &[ContentFormat] = match (path.level(), known) {
        (PathLevel::Resource, Some(known)) if known.multiple => &[Tlv, SenmlCbor, SenmlJson, Text],
        (PathLevel::Resource | PathLevel::ResourceInstance, Some(known))
            if known.data_type == lwm2m_core::DataType::Opaque =>
        {
            &[Opaque]
        }
        (PathLevel::Resource | PathLevel::ResourceInstance, _) => &[Text, Tlv],
        (PathLevel::Root, _) => &[SenmlCbor, SenmlJson, Lwm2mCbor],
        _ => &[Tlv, SenmlCbor, SenmlJson, Json],
    };
    let mut formats: Vec<ContentFormat> = accepted.into_iter().collect();
    formats.extend(usual.iter().filter(|format| Some(**format) != accepted));
    formats
}

/// One value: text, which every device reads, save for bytes and the empty string, whose text
/// form makes an empty body that looks like a Write-Attributes.
fn for_value(device: &DeviceContext<'_>, value: &Value<'_>) -> ContentFormat {
    let empty = matches!(value, Value::String(text) | Value::CoreLink(text) if text.is_empty());
    match value {
        Value::Opaque(bytes) if !bytes.is_empty() => Opaque,
        Value::Opaque(_) => for_empty(device, Opaque),
        _ if empty => for_empty(device, Text),
        _ => Text,
    }
}

fn for_empty(device: &DeviceContext<'_>, fallback: ContentFormat) -> ContentFormat {
    match device.version {
        Version::V1_0 => Tlv,
        _ => first_listed(device.objects, &[Cbor, Tlv]).unwrap_or(fallback),
    }
}

fn for_values(device: &DeviceContext<'_>) -> ContentFormat {
    let listed = &device.objects.content_formats;
    match device.version {
        Version::V1_0 => first_listed(device.objects, &[Tlv, Json]).unwrap_or(Tlv),
        _ if listed.is_empty() => SenmlCbor,
        Version::V1_1 => first_listed(device.objects, &[SenmlCbor, SenmlJson]).unwrap_or(Tlv),
        _ => first_listed(device.objects, &[SenmlCbor, SenmlJson, Lwm2mCbor]).unwrap_or(Tlv),
    }
}

fn first_listed(objects: &ObjectList, formats: &[ContentFormat]) -> Option<ContentFormat> {
    formats
        .iter()
        .copied()
        .find(|format| objects.content_formats.contains(format))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::fixture::{Models, device, objects};

    const V1_0: Version = Version::V1_0;
    const V1_1: Version = Version::V1_1;
    const V1_2: Version = Version::V1_2;

    fn written(
        version: Version,
        listed: &[ContentFormat],
        body: Body,
        value: impl Into<Value<'static>>,
    ) -> ContentFormat {
        let objects = objects(listed);
        let device = device(version, &objects, &Models);
        let record = Record::new(Path::resource(1, 0, 1), value);
        of_write(&device, body, &[record], None).unwrap()
    }

    #[test]
    fn one_value_goes_as_text_or_bytes() {
        for version in [V1_0, V1_1, V1_2] {
            for listed in [&[][..], &[SenmlCbor, Cbor], &[Tlv]] {
                assert_eq!(written(version, listed, Body::Value, 300), Text);
                assert_eq!(written(version, listed, Body::Value, "x"), Text);
                assert_eq!(written(version, listed, Body::Value, vec![1u8]), Opaque);
            }
        }
    }

    #[test]
    fn an_empty_string_avoids_an_empty_body_where_it_can() {
        for (version, listed, format) in [
            (V1_0, &[][..], Tlv),
            (V1_0, &[Cbor], Tlv),
            (V1_1, &[], Text),
            (V1_1, &[Cbor, Tlv], Cbor),
            (V1_1, &[SenmlCbor, Tlv], Tlv),
        ] {
            assert_eq!(written(version, listed, Body::Value, ""), format);
        }
        assert_eq!(written(V1_1, &[], Body::Value, Vec::new()), Opaque);
        assert_eq!(written(V1_2, &[Cbor], Body::Value, Vec::new()), Cbor);
    }

    #[test]
    fn several_values_go_by_what_the_device_lists() {
        for (version, listed, format) in [
            (V1_0, &[][..], Tlv),
            (V1_0, &[SenmlCbor], Tlv),
            (V1_0, &[Json], Json),
            (V1_0, &[Json, Tlv], Tlv),
            (V1_1, &[], SenmlCbor),
            (V1_1, &[SenmlJson, Tlv], SenmlJson),
            (V1_1, &[SenmlJson, SenmlCbor], SenmlCbor),
            (V1_1, &[Lwm2mCbor], Tlv),
            (V1_1, &[Tlv, Text], Tlv),
            (V1_2, &[], SenmlCbor),
            (V1_2, &[Lwm2mCbor], Lwm2mCbor),
            (V1_2, &[Lwm2mCbor, SenmlCbor], SenmlCbor),
            (V1_2, &[Cbor], Tlv),
        ] {
            let chosen = written(version, listed, Body::Values, 1);
            assert_eq!(chosen, format, "{version} {listed:?}");
        }
    }

    #[test]
    fn a_create_leaves_the_instance_to_the_device_in_tlv() {
        for (version, listed, instance, format) in [
            (V1_0, &[][..], None, Tlv),
            (V1_1, &[], None, Tlv),
            (V1_1, &[], Some(1), SenmlCbor),
            (V1_1, &[SenmlJson], None, SenmlJson),
            (V1_2, &[SenmlCbor, Lwm2mCbor], None, Lwm2mCbor),
            (V1_2, &[SenmlCbor, Tlv], None, Tlv),
            (V1_2, &[SenmlCbor, Tlv], Some(1), SenmlCbor),
        ] {
            let objects = objects(listed);
            let device = device(version, &objects, &Models);
            let chosen = of_create(&device, instance, None).unwrap();
            assert_eq!(chosen, format, "{version} {listed:?} {instance:?}");
        }
    }

    #[test]
    fn composite_requests_accept_the_family_of_their_body() {
        for (listed, body, answer) in [
            (&[][..], SenmlCbor, SenmlCbor),
            (&[SenmlJson], SenmlJson, SenmlJson),
            (&[SenmlJson, SenmlCbor], SenmlCbor, SenmlCbor),
            (&[SenmlEtchCbor], SenmlEtchCbor, SenmlCbor),
            (&[SenmlEtchJson], SenmlEtchJson, SenmlJson),
            (&[Lwm2mCbor], SenmlCbor, Lwm2mCbor),
        ] {
            let objects = objects(listed);
            let device = device(V1_2, &objects, &Models);
            let chosen = of_names(&device, None).unwrap();
            assert_eq!(chosen, body, "{listed:?}");
            assert_eq!(
                accept_composite(&device, chosen, None),
                answer,
                "{listed:?}"
            );
            assert_eq!(
                accept_composite(&device, chosen, Some(Lwm2mCbor)),
                Lwm2mCbor
            );
        }
    }

    #[test]
    fn only_etch_removes_an_instance() {
        let null = Record {
            path: Path::resource_instance(16, 0, 0, 1),
            time: None,
            value: Value::Null,
        };
        let value = Record::new(Path::resource(1, 0, 1), 1);
        for (listed, with_null, without) in [
            (&[][..], SenmlEtchCbor, SenmlCbor),
            (&[SenmlEtchJson, SenmlJson], SenmlEtchJson, SenmlJson),
            (&[SenmlCbor], SenmlEtchCbor, SenmlCbor),
            (&[Lwm2mCbor], SenmlEtchCbor, Lwm2mCbor),
        ] {
            let objects = objects(listed);
            let device = device(V1_2, &objects, &Models);
            let chosen = |records: &[Record<'_>]| of_named_values(&device, records, None).unwrap();
            assert_eq!(chosen(&[value.clone(), null.clone()]), with_null);
            assert_eq!(chosen(std::slice::from_ref(&value)), without);
        }
    }

    #[test]
    fn a_read_asks_only_for_what_is_listed_and_needed() {
        let accepted = |version, listed: &[ContentFormat], path: Path| {
            let objects = objects(listed);
            let device = device(version, &objects, &Models);
            accept(&device, &Types::new(&device), &path, None)
        };
        let known = Path::resource(3, 0, 9);
        let unknown = Path::resource(3, 0, 999);
        let instance = Path::instance(3, 0);
        assert_eq!(accepted(V1_0, &[SenmlCbor], instance), None);
        assert_eq!(accepted(V1_1, &[], instance), None);
        assert_eq!(accepted(V1_1, &[SenmlJson], instance), Some(SenmlJson));
        assert_eq!(accepted(V1_1, &[SenmlJson, SenmlCbor], known), None);
        assert_eq!(accepted(V1_1, &[SenmlCbor], unknown), Some(SenmlCbor));
        assert_eq!(accepted(V1_1, &[Lwm2mCbor], instance), None);
        assert_eq!(accepted(V1_2, &[Lwm2mCbor], instance), Some(Lwm2mCbor));
        let multiple = Path::resource(3, 0, 7);
        assert_eq!(accepted(V1_1, &[SenmlCbor], multiple), Some(SenmlCbor));
        assert_eq!(
            accepted(V1_1, &[SenmlCbor], multiple.child(0).unwrap()),
            None
        );
    }

    #[test]
    fn a_caller_may_insist_on_what_can_carry_the_operation() {
        let objects = objects(&[]);
        let device = device(V1_0, &objects, &Models);
        let records = [Record::new(Path::resource(1, 0, 1), 1)];
        for (body, fits) in [
            (
                Body::Value,
                &[
                    Text, Opaque, Cbor, SenmlJson, SenmlCbor, Tlv, Json, Lwm2mCbor,
                ][..],
            ),
            (Body::Values, &[SenmlJson, SenmlCbor, Tlv, Json, Lwm2mCbor]),
            (
                Body::Names,
                &[SenmlJson, SenmlCbor, SenmlEtchJson, SenmlEtchCbor],
            ),
            (
                Body::NamedValues,
                &[
                    SenmlJson,
                    SenmlCbor,
                    SenmlEtchJson,
                    SenmlEtchCbor,
                    Lwm2mCbor,
                ],
            ),
        ] {
            for format in ContentFormat::ALL {
                let chosen = of_write(&device, body, &records, Some(format));
                match fits.contains(&format) {
                    true => assert_eq!(chosen, Ok(format)),
                    false => assert!(matches!(chosen, Err(RequestError::Invalid(_)))),
                }
            }
        }
    }
}
