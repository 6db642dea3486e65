//! Which payload formats a client reads and writes.

use lwm2m_core::codec::{self, Scope};
use lwm2m_core::{ContentFormat, DataType, Path, PathLevel, Record, ResourceTypes, Version};

use super::ClientConfig;
use crate::{ObjectTree, Refusal};

/// The formats of one client.
#[derive(Debug, Clone)]
pub(super) struct Formats {
    version: Version,
    optional: Vec<ContentFormat>,
    default: Option<ContentFormat>,
}

impl Formats {
    pub(super) fn new(config: &ClientConfig, version: Version) -> Formats {
        let optional = config
            .formats
            .clone()
            .unwrap_or_else(|| all(version).to_vec());
        Formats {
            version,
            optional,
            default: config.default_format,
        }
    }

    /// What the root link of the registration tells.
    pub(super) fn registered(&self) -> &[ContentFormat] {
        match self.version {
            Version::V1_0 => &[],
            _ => &self.optional,
        }
    }

    /// The format of a received payload.
    pub(super) fn of_payload(&self, number: u16) -> Result<ContentFormat, Refusal> {
        let known = ContentFormat::from_number(number).filter(|format| {
            self.writes(*format) || *format == ContentFormat::Json || self.is_etch(*format)
        });
        known.ok_or(match self.version {
            Version::V1_0 => Refusal::bad_request("unsupported content format"),
            _ => Refusal::unsupported_format("unsupported content format"),
        })
    }

    /// Encodes an answer; `accept` as in the request, none to choose.
    pub(super) fn encode(
        &self,
        tree: &ObjectTree,
        scope: Scope<'_>,
        records: &[Record<'_>],
        accept: Option<u16>,
    ) -> Result<(ContentFormat, Vec<u8>), Refusal> {
        const REFUSED: Refusal = Refusal::not_acceptable("the accepted format is not available");
        let mut out = Vec::new();
        if let Some(number) = accept {
            let format = ContentFormat::from_number(number)
                .filter(|format| self.writes(*format))
                .ok_or(REFUSED)?;
            codec::encode(format, scope, records, tree, &mut out).map_err(|_| REFUSED)?;
            return Ok((format, out));
        }
        for format in self.preferred(tree, &scope.path) {
            if codec::encode(format, scope, records, tree, &mut out).is_ok() {
                return Ok((format, out));
            }
        }
        Err(REFUSED)
    }

    /// The format of the answer to a composite request whose body had this format.
    pub(super) fn composite_default(&self, body: ContentFormat) -> ContentFormat {
        match body {
            ContentFormat::SenmlJson | ContentFormat::SenmlEtchJson => ContentFormat::SenmlJson,
            _ => self.default.unwrap_or(ContentFormat::SenmlCbor),
        }
    }

    /// The format of a Send.
    pub(super) fn of_send(&self) -> ContentFormat {
        [
            ContentFormat::SenmlCbor,
            ContentFormat::SenmlJson,
            ContentFormat::Lwm2mCbor,
        ]
        .into_iter()
        .find(|format| self.optional.contains(format))
        .unwrap_or(ContentFormat::SenmlCbor)
    }

    /// What to try without Accept, best first.
    fn preferred(&self, tree: &ObjectTree, path: &Path) -> Vec<ContentFormat> {
        let mut formats: Vec<ContentFormat> = self.default.into_iter().collect();
        if self.version >= Version::V1_1 {
            formats.extend(single(tree, path));
            formats.push(ContentFormat::SenmlCbor);
            formats.push(ContentFormat::SenmlJson);
            formats.retain(|format| self.writes(*format) || Some(*format) == self.default);
        }
        formats.push(ContentFormat::Tlv);
        formats
    }

    fn writes(&self, format: ContentFormat) -> bool {
        match format {
            ContentFormat::Text | ContentFormat::Opaque => true,
            ContentFormat::Tlv | ContentFormat::Json if self.version == Version::V1_0 => true,
            format => self.optional.contains(&format) && !self.is_etch(format),
        }
    }

    fn is_etch(&self, format: ContentFormat) -> bool {
        let etch = [ContentFormat::SenmlEtchJson, ContentFormat::SenmlEtchCbor];
        etch.contains(&format) && self.optional.contains(&format)
    }
}

/// Every optional format of a version.
fn all(version: Version) -> &'static [ContentFormat] {
    match version {
        Version::V1_0 => &[],
        Version::V1_1 => &[
            ContentFormat::Cbor,
            ContentFormat::SenmlJson,
            ContentFormat::SenmlCbor,
            ContentFormat::Tlv,
        ],
        Version::V1_2 => &[
            ContentFormat::Cbor,
            ContentFormat::SenmlJson,
            ContentFormat::SenmlCbor,
            ContentFormat::SenmlEtchJson,
            ContentFormat::SenmlEtchCbor,
            ContentFormat::Tlv,
            ContentFormat::Lwm2mCbor,
        ],
    }
}

/// The plain format of a single value, none where there may be several.
fn single(tree: &ObjectTree, path: &Path) -> Option<ContentFormat> {
    let (object, resource) = (path.object_id()?, path.resource_id()?);
    let resource_type = tree.resource_type(object, resource)?;
    if resource_type.multiple && path.level() == PathLevel::Resource {
        return None;
    }
    Some(match resource_type.data_type {
        DataType::Opaque => ContentFormat::Opaque,
        _ => ContentFormat::Text,
    })
}
