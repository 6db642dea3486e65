//! The object list of a Register or Update request (Core 1.2.2 §6.2.1).

use crate::{ContentFormat, ObjectVersion, Path};

/// What a device says it has: objects with their versions, instances, and the formats it reads.
///
/// Reads leniently: links that are no LwM2M paths, paths deeper than an instance, unknown
/// parameters and the objects that servers never see (0, 21, 23) are left out.
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
    /// Reads the payload of a Register or Update.
    pub fn parse(_payload: &[u8]) -> Result<ObjectList, ObjectListError> {
        todo!()
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

    /// Writes the list as a device does.
    pub fn to_link_format(&self) -> String {
        todo!()
    }
}

/// Why an object list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectListError {
    /// Not a list of links.
    #[error(transparent)]
    Link(#[from] crate::link::LinkError),
    /// More links than [`ObjectList::MAX_LINKS`].
    #[error("more than {} links", ObjectList::MAX_LINKS)]
    TooMany,
}

impl ObjectList {
    /// The most links that one list may have.
    pub const MAX_LINKS: usize = 8192;
}
