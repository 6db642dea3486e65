//! Object models: what the resources of an object are.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The data type of a resource (Core 1.2.2 Appendix C).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataType {
    /// UTF-8 text.
    String,
    /// A signed integer of up to 64 bits.
    Integer,
    /// An unsigned integer of up to 64 bits (1.1).
    Unsigned,
    /// A float or double.
    Float,
    /// A boolean.
    Boolean,
    /// Bytes.
    Opaque,
    /// Seconds since 1970-01-01 UTC.
    Time,
    /// A reference to an object instance.
    ObjectLink,
    /// CoRE links as text (1.1).
    CoreLink,
}

impl DataType {
    /// The name that OMA's object definitions use.
    pub const fn as_str(self) -> &'static str {
        match self {
            DataType::String => "String",
            DataType::Integer => "Integer",
            DataType::Unsigned => "Unsigned Integer",
            DataType::Float => "Float",
            DataType::Boolean => "Boolean",
            DataType::Opaque => "Opaque",
            DataType::Time => "Time",
            DataType::ObjectLink => "Objlnk",
            DataType::CoreLink => "Corelnk",
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a server may do with a resource.
///
/// None of the three: only a bootstrap server reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Operations {
    /// R: Read, Observe, Discover, Write-Attributes.
    pub read: bool,
    /// W: Write.
    pub write: bool,
    /// E: Execute.
    pub execute: bool,
}

impl Operations {
    /// Only a bootstrap server reaches it.
    pub const NONE: Operations = Operations::new(false, false, false);
    /// R
    pub const R: Operations = Operations::new(true, false, false);
    /// W
    pub const W: Operations = Operations::new(false, true, false);
    /// RW
    pub const RW: Operations = Operations::new(true, true, false);
    /// E
    pub const E: Operations = Operations::new(false, false, true);

    /// Any of the three.
    pub const fn new(read: bool, write: bool, execute: bool) -> Operations {
        Operations {
            read,
            write,
            execute,
        }
    }
}

/// The `major.minor` version of an object definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectVersion {
    /// Changes when the definition breaks.
    pub major: u16,
    /// Changes when something is added.
    pub minor: u16,
}

impl ObjectVersion {
    /// 1.0, what an object has when nothing else is said.
    pub const V1_0: ObjectVersion = ObjectVersion { major: 1, minor: 0 };
}

impl fmt::Display for ObjectVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for ObjectVersion {
    type Err = ObjectVersionError;

    fn from_str(text: &str) -> Result<ObjectVersion, ObjectVersionError> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits
                .then(|| part.parse().ok())
                .flatten()
                .ok_or(ObjectVersionError)
        };
        let (major, minor) = text.split_once('.').ok_or(ObjectVersionError)?;
        Ok(ObjectVersion {
            major: number(major)?,
            minor: number(minor)?,
        })
    }
}

/// A text that is no object version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an object version has the form major.minor, as in 1.1")]
pub struct ObjectVersionError;

/// One version of an object definition.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectModel {
    /// The object id.
    pub id: u16,
    /// The version of this definition.
    pub version: ObjectVersion,
    /// The name, as in `Device`.
    pub name: Box<str>,
    /// What the object is for.
    pub description: Box<str>,
    /// True when there may be more than one instance.
    pub multiple: bool,
    /// True when every device has it.
    pub mandatory: bool,
    /// The resources, by id, ascending.
    pub resources: Vec<ResourceModel>,
}

impl ObjectModel {
    /// The model of a resource.
    pub fn resource(&self, id: u16) -> Option<&ResourceModel> {
        let index = self
            .resources
            .binary_search_by_key(&id, |resource| resource.id)
            .ok()?;
        self.resources.get(index)
    }
}

/// The definition of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceModel {
    /// The resource id.
    pub id: u16,
    /// The name, as in `Battery Level`.
    pub name: Box<str>,
    /// What the resource is for.
    pub description: Box<str>,
    /// What a server may do with it.
    pub operations: Operations,
    /// True when it may have more than one instance.
    pub multiple: bool,
    /// True when every instance of the object has it.
    pub mandatory: bool,
    /// The type of its values; none when it has no value, as with an executable resource.
    pub data_type: Option<DataType>,
    /// The range as the definition prints it, for people; empty for none.
    pub range: Box<str>,
    /// The unit as the definition prints it; empty for none.
    pub units: Box<str>,
}

/// Where object models come from.
pub trait ObjectModels: Send + Sync {
    /// The model for an object at a version.
    ///
    /// Without the exact version, the highest known version of the same major not above it
    /// answers, else the lowest known of the same major (Core 1.2.2 §7.2). No version asks for
    /// the newest.
    fn object(&self, id: u16, version: Option<ObjectVersion>) -> Option<Arc<ObjectModel>>;

    /// Every model, by id and then by version, for people who look; nothing where the source
    /// cannot tell.
    fn all(&self) -> Vec<Arc<ObjectModel>> {
        Vec::new()
    }
}

/// What a decoder must know of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceType {
    /// The type of its values.
    pub data_type: DataType,
    /// True when it may have more than one instance.
    pub multiple: bool,
}

/// The look-up that codecs need: the type of a resource.
///
/// Resources that are not known decode to what the payload itself says of them, and to
/// [`Value::Opaque`](crate::Value::Opaque) where it says nothing.
pub trait ResourceTypes {
    /// The type of `/object/*/resource`, none when it is not known.
    fn resource_type(&self, object: u16, resource: u16) -> Option<ResourceType>;
}

impl ResourceTypes for ObjectModel {
    fn resource_type(&self, object: u16, resource: u16) -> Option<ResourceType> {
        if object != self.id {
            return None;
        }
        let model = self.resource(resource)?;
        Some(ResourceType {
            data_type: model.data_type?,
            multiple: model.multiple,
        })
    }
}

/// Knows no resource.
#[derive(Debug, Clone, Copy, Default)]
pub struct Untyped;

impl ResourceTypes for Untyped {
    fn resource_type(&self, _object: u16, _resource: u16) -> Option<ResourceType> {
        None
    }
}
