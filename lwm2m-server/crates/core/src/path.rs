//! LwM2M paths: `/object[/instance[/resource[/resource instance]]]`.

use std::fmt;
use std::str::FromStr;

/// How deep a [`Path`] reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathLevel {
    /// `/`, everything.
    Root,
    /// `/3`
    Object,
    /// `/3/0`
    ObjectInstance,
    /// `/3/0/9`
    Resource,
    /// `/3/0/6/1`
    ResourceInstance,
}

/// A path of zero to four identifiers, each 0 to 65534 (Core 1.2.2 §7.3).
///
/// Identifier 65535 is reserved. A path may carry it only where the specification gives it a
/// meaning (Create without an instance id in LwM2M CBOR); the text form refuses it.
///
/// Paths order as trees: a path sorts before everything below it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path {
    // Unused identifiers are zero, so that the derived comparisons are those of the tree: ids are
    // compared first, and a shorter path with the same ids sorts first.
    ids: [u16; 4],
    len: u8,
}

impl Path {
    /// `/`
    pub const ROOT: Path = Path {
        ids: [0; 4],
        len: 0,
    };

    /// The highest identifier that a path may carry.
    pub const MAX_ID: u16 = 65534;

    /// `/object`
    pub const fn object(object: u16) -> Path {
        Path {
            ids: [object, 0, 0, 0],
            len: 1,
        }
    }

    /// `/object/instance`
    pub const fn instance(object: u16, instance: u16) -> Path {
        Path {
            ids: [object, instance, 0, 0],
            len: 2,
        }
    }

    /// `/object/instance/resource`
    pub const fn resource(object: u16, instance: u16, resource: u16) -> Path {
        Path {
            ids: [object, instance, resource, 0],
            len: 3,
        }
    }

    /// `/object/instance/resource/resource instance`
    pub const fn resource_instance(
        object: u16,
        instance: u16,
        resource: u16,
        resource_instance: u16,
    ) -> Path {
        Path {
            ids: [object, instance, resource, resource_instance],
            len: 4,
        }
    }

    /// A path of the given identifiers, at most four.
    pub fn from_ids(ids: &[u16]) -> Result<Path, PathError> {
        if ids.len() > 4 {
            return Err(PathError::TooDeep);
        }
        let mut path = Path {
            ids: [0; 4],
            len: ids.len() as u8,
        };
        path.ids[..ids.len()].copy_from_slice(ids);
        Ok(path)
    }

    /// The identifiers, from the object down.
    pub fn ids(&self) -> &[u16] {
        &self.ids[..usize::from(self.len)]
    }

    /// How deep the path reaches.
    pub fn level(&self) -> PathLevel {
        match self.len {
            0 => PathLevel::Root,
            1 => PathLevel::Object,
            2 => PathLevel::ObjectInstance,
            3 => PathLevel::Resource,
            _ => PathLevel::ResourceInstance,
        }
    }

    /// True for `/`.
    pub fn is_root(&self) -> bool {
        self.len == 0
    }

    /// The object id, none for `/`.
    pub fn object_id(&self) -> Option<u16> {
        self.ids().first().copied()
    }

    /// The object instance id.
    pub fn instance_id(&self) -> Option<u16> {
        self.ids().get(1).copied()
    }

    /// The resource id.
    pub fn resource_id(&self) -> Option<u16> {
        self.ids().get(2).copied()
    }

    /// The resource instance id.
    pub fn resource_instance_id(&self) -> Option<u16> {
        self.ids().get(3).copied()
    }

    /// The path one level up, none for `/`.
    pub fn parent(&self) -> Option<Path> {
        self.len
            .checked_sub(1)
            .map(|len| self.truncated(usize::from(len)))
    }

    /// The path one level down; refused below a resource instance.
    pub fn child(&self, id: u16) -> Result<Path, PathError> {
        if self.len == 4 {
            return Err(PathError::TooDeep);
        }
        let mut path = *self;
        path.ids[usize::from(self.len)] = id;
        path.len += 1;
        Ok(path)
    }

    /// The first `levels` identifiers of this path; the whole path when it is shorter.
    pub fn truncated(&self, levels: usize) -> Path {
        let len = levels.min(usize::from(self.len));
        let mut path = Path {
            ids: [0; 4],
            len: len as u8,
        };
        path.ids[..len].copy_from_slice(&self.ids[..len]);
        path
    }

    /// True when `other` is this path or lies below it.
    pub fn contains(&self, other: &Path) -> bool {
        other.ids().starts_with(self.ids())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str("/");
        }
        for id in self.ids() {
            write!(f, "/{id}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Path {
    type Err = PathError;

    /// Reads `/3/0/9`: decimal identifiers without leading zeros, no empty segment, no trailing
    /// slash.
    fn from_str(text: &str) -> Result<Path, PathError> {
        let rest = text.strip_prefix('/').ok_or(PathError::NoLeadingSlash)?;
        if rest.is_empty() {
            return Ok(Path::ROOT);
        }
        let mut path = Path::ROOT;
        for segment in rest.split('/') {
            path = path.child(parse_id(segment)?)?;
        }
        Ok(path)
    }
}

fn parse_id(segment: &str) -> Result<u16, PathError> {
    let digits = segment.as_bytes();
    if digits.is_empty() {
        return Err(PathError::EmptySegment);
    }
    if digits.len() > 1 && digits[0] == b'0' {
        return Err(PathError::LeadingZero);
    }
    let mut id: u32 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(PathError::NotANumber);
        }
        id = id * 10 + u32::from(digit - b'0');
        if id > u32::from(Path::MAX_ID) {
            return Err(PathError::IdOutOfRange);
        }
    }
    Ok(id as u16)
}

/// Why a text is no LwM2M path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// A path starts with `/`.
    #[error("a path starts with '/'")]
    NoLeadingSlash,
    /// Two slashes in a row, or a trailing slash.
    #[error("a path has no empty segment and no trailing '/'")]
    EmptySegment,
    /// A segment with something else than digits.
    #[error("a path segment is a decimal number")]
    NotANumber,
    /// A segment such as `00`.
    #[error("a path segment has no leading zero")]
    LeadingZero,
    /// An identifier above 65534.
    #[error("an identifier is 0 to 65534")]
    IdOutOfRange,
    /// More than four identifiers.
    #[error("a path has at most four identifiers")]
    TooDeep,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_text_form() {
        for text in ["/", "/3", "/3/0", "/3/0/9", "/3/0/6/65534"] {
            assert_eq!(text.parse::<Path>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_path() {
        for (text, why) in [
            ("", PathError::NoLeadingSlash),
            ("3/0", PathError::NoLeadingSlash),
            ("/3/", PathError::EmptySegment),
            ("//3", PathError::EmptySegment),
            ("/3/00", PathError::LeadingZero),
            ("/3/a", PathError::NotANumber),
            ("/3/-1", PathError::NotANumber),
            ("/65535", PathError::IdOutOfRange),
            ("/99999999999999999999", PathError::IdOutOfRange),
            ("/1/2/3/4/5", PathError::TooDeep),
        ] {
            assert_eq!(text.parse::<Path>(), Err(why), "{text}");
        }
    }

    #[test]
    fn a_path_sorts_before_what_lies_below_it() {
        let mut paths: Vec<Path> = ["/3/1", "/3/0/9", "/3", "/3/0", "/"]
            .iter()
            .map(|p| p.parse().unwrap())
            .collect();
        paths.sort();
        let sorted: Vec<String> = paths.iter().map(Path::to_string).collect();
        assert_eq!(sorted, ["/", "/3", "/3/0", "/3/0/9", "/3/1"]);
    }

    #[test]
    fn contains_itself_and_what_lies_below() {
        let instance = Path::instance(3, 0);
        assert!(instance.contains(&instance));
        assert!(instance.contains(&Path::resource(3, 0, 9)));
        assert!(!instance.contains(&Path::instance(3, 1)));
        assert!(!instance.contains(&Path::object(3)));
        assert!(Path::ROOT.contains(&instance));
    }
}
