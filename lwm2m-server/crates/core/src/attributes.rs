//! Notification attributes: when a device reports a value (Core 1.2.2 §5.1.2).

use crate::{DataType, PathLevel, Version};

/// Which change of a Boolean is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// `edge=0`: true to false.
    Falling,
    /// `edge=1`: false to true.
    Rising,
}

/// A set of notification attributes.
///
/// Each attribute is absent (`None`: leave as it is), unset (`Some(None)`: `?pmin`) or set
/// (`Some(Some(10))`: `?pmin=10`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes {
    /// Minimum period between notifications, in seconds.
    pub pmin: Option<Option<u32>>,
    /// Maximum period between notifications, in seconds; 0 means none.
    pub pmax: Option<Option<u32>>,
    /// Report when the value crosses this limit upwards or downwards.
    pub gt: Option<Option<f64>>,
    /// Report when the value crosses this limit downwards or upwards.
    pub lt: Option<Option<f64>>,
    /// Report when the value has changed by at least this much.
    pub st: Option<Option<f64>>,
    /// Minimum period between evaluations, in seconds (1.1).
    pub epmin: Option<Option<u32>>,
    /// Maximum period between evaluations, in seconds (1.1).
    pub epmax: Option<Option<u32>>,
    /// Which change of a Boolean is reported (1.2).
    pub edge: Option<Option<Edge>>,
    /// Confirmable notifications (1.2).
    pub con: Option<Option<bool>>,
    /// How many undelivered notifications the device keeps (1.2).
    pub hqmax: Option<Option<u32>>,
}

impl Attributes {
    /// True when no attribute is named.
    pub fn is_empty(&self) -> bool {
        *self == Attributes::default()
    }

    /// Reads `pmin=10&gt=3.5&st`, the form of the CoAP query and of the HTTP API.
    ///
    /// # Errors
    /// An unknown key, a key named twice, a value outside its grammar.
    pub fn from_query<'a>(
        _items: impl IntoIterator<Item = &'a str>,
    ) -> Result<Attributes, AttributeError> {
        todo!()
    }

    /// The Uri-Query items of a Write-Attributes or Observe request, `pmin=10` or bare `pmin`.
    pub fn query_items(&self) -> Vec<String> {
        todo!()
    }

    /// Checks scope and consistency before anything is sent: attributes that `version` does not
    /// have, that do not apply at `level` or to `data_type` (none: not known, not checked), and
    /// sets that contradict themselves (`lt >= gt`, `lt + 2*st >= gt`, `pmin > pmax`,
    /// `epmin >= epmax`).
    pub fn validate(
        &self,
        _version: Version,
        _level: PathLevel,
        _data_type: Option<DataType>,
    ) -> Result<(), AttributeError> {
        todo!()
    }
}

/// Why a set of attributes is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributeError {
    /// No attribute of this name can be written.
    #[error("'{0}' is no attribute that can be written")]
    Unknown(String),
}
