//! The object list of a Register or Update request (Core 1.2.2 §6.2.1).

use std::fmt::Write;

use crate::link::{self, RawLink, scan};
use crate::{ContentFormat, ObjectVersion, Path, PathLevel};

/// What a device says it has: objects with their versions, instances, and the formats it reads.
///
/// Reads leniently: links that are no LwM2M paths, paths deeper than an instance, unknown
/// parameters and the objects that servers never see (0, 21, 23, 24) are left out. A list without
/// the mandatory objects 1 and 3 is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectList {
    /// The alternate path without trailing slash (`/lwm2m`), empty for none.
    pub alternate_path: String,
    /// The formats of the root link's `ct`, in their order; numbers we do not know are left out.
    pub content_formats: Vec<ContentFormat>,
    /// Objects and object instances, sorted, without duplicates.
    pub paths: Vec<Path>,
    /// Object versions given by `ver`, by object id, sorted.
    pub versions: Vec<(u16, ObjectVersion)>,
    /// Targets that were left out, as they stood, at most 16; for the timeline.
    pub ignored: Vec<String>,
}

impl ObjectList {
    /// Reads the payload of a Register or Update; an empty one is an empty list.
    ///
    /// # Errors
    /// Text that is no list of links, more than [`ObjectList::MAX_LINKS`] links.
    pub fn parse(payload: &[u8]) -> Result<ObjectList, ObjectListError> {
        let text = link::text(payload)?;
        let mut list = ObjectList::default();
        let openings = text.bytes().filter(|b| *b == b'<').count();
        list.paths = Vec::with_capacity(openings.min(ObjectList::MAX_LINKS));
        let mut of_objects = Vec::new();
        if list.take_all(text, &mut of_objects)? == Pass::RootMoved {
            // The root link comes after others, and says how to read them.
            list.clear_links();
            of_objects.clear();
            list.take_all(text, &mut of_objects)?;
        }
        // The version at the object's own link goes before those at its instances.
        of_objects.append(&mut list.versions);
        list.versions = of_objects;
        list.paths.sort_unstable();
        list.paths.dedup();
        list.versions.sort_by_key(|(object, _)| *object);
        list.versions.dedup_by_key(|(object, _)| *object);
        Ok(list)
    }

    /// True when the list names the object or an instance of it.
    pub fn has_object(&self, object: u16) -> bool {
        let at = self
            .paths
            .partition_point(|path| *path < Path::object(object));
        self.paths
            .get(at)
            .is_some_and(|path| path.object_id() == Some(object))
    }

    /// The instances of an object that the list names.
    pub fn instances(&self, object: u16) -> impl Iterator<Item = u16> + '_ {
        self.paths
            .iter()
            .filter(move |path| path.object_id() == Some(object))
            .filter_map(Path::instance_id)
    }

    /// The version that the list gives for an object.
    pub fn version(&self, object: u16) -> Option<ObjectVersion> {
        let index = self
            .versions
            .binary_search_by_key(&object, |(id, _)| *id)
            .ok()?;
        self.versions.get(index).map(|(_, version)| *version)
    }

    /// Writes the list as a device does: the root link where it says something, then objects and
    /// instances. An object whose version is given gets a link of its own, except where the version
    /// can stand at its only instance.
    pub fn to_link_format(&self) -> String {
        let mut out = String::new();
        self.write_root(&mut out);
        for objects in self.paths.chunk_by(|a, b| a.object_id() == b.object_id()) {
            let Some(object) = objects[0].object_id() else {
                continue;
            };
            let mut version = self.version(object);
            if version.is_some() && objects.len() > 1 && objects[0].instance_id().is_some() {
                self.write_link(Path::object(object), version.take(), &mut out);
            }
            for path in objects {
                self.write_link(*path, version.take(), &mut out);
            }
        }
        out
    }

    fn write_root(&self, out: &mut String) {
        if self.alternate_path.is_empty() && self.content_formats.is_empty() {
            return;
        }
        let target = match self.alternate_path.as_str() {
            "" => "/",
            path => path,
        };
        // Writing to a String does not fail.
        let _ = write!(out, "<{target}>;rt=\"{ROOT_TYPE}\"");
        match self.content_formats.as_slice() {
            [] => {}
            [format] => {
                let _ = write!(out, ";ct={}", format.number());
            }
            formats => {
                let numbers: Vec<String> = formats.iter().map(|f| f.number().to_string()).collect();
                let _ = write!(out, ";ct=\"{}\"", numbers.join(" "));
            }
        }
    }

    fn write_link(&self, path: Path, version: Option<ObjectVersion>, out: &mut String) {
        if !out.is_empty() {
            out.push(',');
        }
        let _ = write!(out, "<{}{path}>", self.alternate_path);
        if let Some(version) = version {
            let _ = write!(out, ";ver={version}");
        }
    }

    /// Takes every link, or stops at a root link that gives a path which the links before it were
    /// not read with.
    fn take_all(
        &mut self,
        text: &str,
        of_objects: &mut Vec<(u16, ObjectVersion)>,
    ) -> Result<Pass, ObjectListError> {
        let mut rooted = !self.alternate_path.is_empty();
        for (index, link) in scan(text).enumerate() {
            if index == ObjectList::MAX_LINKS {
                return Err(ObjectListError::TooMany);
            }
            let link = link?;
            if !rooted && is_root(&link) {
                rooted = true;
                self.take_root(&link);
                if index > 0 && !self.alternate_path.is_empty() {
                    return Ok(Pass::RootMoved);
                }
            }
            self.take(&link, of_objects);
        }
        Ok(Pass::Done)
    }

    fn clear_links(&mut self) {
        self.paths.clear();
        self.versions.clear();
        self.ignored.clear();
        self.content_formats.clear();
    }

    fn take_root(&mut self, link: &RawLink<'_>) {
        let target = link.target.trim_start_matches('/');
        if !target.is_empty() && !has_numeric_segment(target) && is_uri_path(target) {
            self.alternate_path = format!("/{target}");
        }
    }

    fn take(&mut self, link: &RawLink<'_>, of_objects: &mut Vec<(u16, ObjectVersion)>) {
        let root = match self.alternate_path.as_str() {
            "" => "/",
            path => path,
        };
        if link.target == root || is_root(link) {
            self.take_formats(link);
            return;
        }
        match self.path(link.target) {
            Some(path) => {
                let versions = match path.level() {
                    PathLevel::Object => of_objects,
                    _ => &mut self.versions,
                };
                versions.extend(version(path, link));
                self.paths.push(path);
            }
            None if self.ignored.len() < ObjectList::MAX_IGNORED => {
                self.ignored.push(link.target.to_owned());
            }
            None => {}
        }
    }

    /// The path of a target, none when the server has no use for it.
    fn path(&self, target: &str) -> Option<Path> {
        let rest = target.strip_prefix(self.alternate_path.as_str())?;
        // Some devices leave out the first slash.
        let rest = rest.strip_prefix('/').unwrap_or(rest).as_bytes();
        let mut ids = [0_u32; 2];
        let mut level = 0;
        let mut digits = 0;
        for byte in rest {
            match byte {
                b'0'..=b'9' => {
                    ids[level] = ids[level] * 10 + u32::from(byte - b'0');
                    if ids[level] > u32::from(Path::MAX_ID) {
                        return None;
                    }
                    digits += 1;
                }
                b'/' if level == 0 && digits > 0 => {
                    level = 1;
                    digits = 0;
                }
                _ => return None,
            }
        }
        let [object, instance] = ids.map(|id| id as u16);
        if digits == 0 || CLOSED_OBJECTS.contains(&object) {
            return None;
        }
        Some(match level {
            0 => Path::object(object),
            _ => Path::instance(object, instance),
        })
    }

    fn take_formats(&mut self, link: &RawLink<'_>) {
        let formats = link.raw("ct").map(unquoted).unwrap_or_default();
        let numbers = formats.split(|c: char| c == ',' || c.is_ascii_whitespace());
        for format in numbers
            .filter_map(|number| number.parse().ok())
            .filter_map(ContentFormat::from_number)
        {
            if !self.content_formats.contains(&format) {
                self.content_formats.push(format);
            }
        }
    }
}

/// How a walk over the links ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Done,
    RootMoved,
}

/// The resource type of the root link.
const ROOT_TYPE: &str = "oma.lwm2m";

/// Objects that only the bootstrap server reaches (Core 1.2.2 §7.1).
const CLOSED_OBJECTS: [u16; 4] = [0, 21, 23, 24];

fn version(path: Path, link: &RawLink<'_>) -> Option<(u16, ObjectVersion)> {
    let version = unquoted(link.raw("ver")?).parse().ok()?;
    Some((path.object_id()?, version))
}

fn is_root(link: &RawLink<'_>) -> bool {
    link.raw("rt").is_some_and(|types| {
        unquoted(types)
            .split_ascii_whitespace()
            .any(|rt| rt == ROOT_TYPE)
    })
}

/// True for the characters of a URI path, and `%` (RFC 3986 §3.3): the alternate path goes into
/// every request and every SenML name.
fn is_uri_path(path: &str) -> bool {
    path.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&b))
}

fn has_numeric_segment(path: &str) -> bool {
    path.split('/')
        .any(|segment| segment.bytes().all(|b| b.is_ascii_digit()))
}

/// The text without the single quotes that some devices use.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('\'')
        .and_then(|text| text.strip_suffix('\''))
        .unwrap_or(text)
}

/// Why an object list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectListError {
    /// Not a list of links.
    #[error(transparent)]
    Link(#[from] crate::link::LinkError),
    /// More links than [`ObjectList::MAX_LINKS`].
    #[error("the object list has more than {} links", ObjectList::MAX_LINKS)]
    TooMany,
}

impl ObjectList {
    /// The most links that one list may have.
    pub const MAX_LINKS: usize = 8192;

    /// The most targets that are kept in [`ObjectList::ignored`].
    pub const MAX_IGNORED: usize = 16;
}

#[cfg(test)]
mod tests;
