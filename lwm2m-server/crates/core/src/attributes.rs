//! Notification attributes: when a device reports a value (Core 1.2.2 §5.1.2).

mod validate;

use crate::value_text::parse_decimal;
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

    /// Reads `pmin=10`, `gt=3.5`, `st`, the form of the CoAP query and of the HTTP API.
    ///
    /// # Errors
    /// An unknown key, a key named twice, a value outside its grammar.
    pub fn from_query<'a>(
        items: impl IntoIterator<Item = &'a str>,
    ) -> Result<Attributes, AttributeError> {
        let mut attributes = Attributes::default();
        for item in items {
            match item.split_once('=') {
                Some((name, value)) => attributes.set(name, Some(value))?,
                None => attributes.set(item, None)?,
            }
        }
        Ok(attributes)
    }

    /// The Uri-Query items of a Write-Attributes or Observe request, `pmin=10` or bare `pmin`.
    pub fn query_items(&self) -> Vec<String> {
        let mut items = Vec::new();
        let mut item = |name: &str, value: Option<Option<String>>| {
            items.extend(value.map(|value| match value {
                Some(value) => format!("{name}={value}"),
                None => name.to_owned(),
            }));
        };
        let flag = |flag: bool| if flag { "1" } else { "0" }.to_owned();
        item("pmin", text(self.pmin));
        item("pmax", text(self.pmax));
        item("gt", text(self.gt));
        item("lt", text(self.lt));
        item("st", text(self.st));
        item("epmin", text(self.epmin));
        item("epmax", text(self.epmax));
        item(
            "edge",
            self.edge
                .map(|edge| edge.map(|edge| flag(edge == Edge::Rising))),
        );
        item("con", self.con.map(|con| con.map(flag)));
        item("hqmax", text(self.hqmax));
        items
    }

    /// Checks scope and consistency before anything is sent: attributes that `version` does not
    /// have, that do not apply at `level` or to `data_type` (none: not known, not checked), and
    /// sets that contradict themselves (`lt >= gt`, `lt + 2*st >= gt`, `pmin > pmax`,
    /// `epmin >= epmax`).
    ///
    /// `level` is [`PathLevel::Root`] for the attributes of an Observe-Composite.
    ///
    /// # Errors
    /// The first of these.
    pub fn validate(
        &self,
        version: Version,
        level: PathLevel,
        data_type: Option<DataType>,
    ) -> Result<(), AttributeError> {
        validate::scope(self, version, level, data_type)?;
        validate::numbers(self)?;
        validate::consistency(self)
    }

    /// Names one attribute, `value` none to unset it.
    ///
    /// # Errors
    /// An unknown name, one that is there already, a value outside its grammar.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), AttributeError> {
        match name {
            "pmin" => put(&mut self.pmin, "pmin", value, seconds),
            "pmax" => put(&mut self.pmax, "pmax", value, seconds),
            "gt" => put(&mut self.gt, "gt", value, decimal),
            "lt" => put(&mut self.lt, "lt", value, decimal),
            "st" => put(&mut self.st, "st", value, step),
            "epmin" => put(&mut self.epmin, "epmin", value, seconds),
            "epmax" => put(&mut self.epmax, "epmax", value, seconds),
            "edge" => put(&mut self.edge, "edge", value, edge),
            "con" => put(&mut self.con, "con", value, flag),
            "hqmax" => put(&mut self.hqmax, "hqmax", value, count),
            _ => Err(AttributeError::Unknown(name.to_owned())),
        }
    }
}

/// Reads a value, or says what was expected.
type Grammar<T> = fn(&str) -> Result<T, &'static str>;

fn put<T>(
    field: &mut Option<Option<T>>,
    name: &'static str,
    value: Option<&str>,
    grammar: Grammar<T>,
) -> Result<(), AttributeError> {
    if field.is_some() {
        return Err(AttributeError::Duplicate { name });
    }
    let read = |text: &str| {
        grammar(text).map_err(|expected| AttributeError::Value {
            name,
            value: text.to_owned(),
            expected,
        })
    };
    *field = Some(value.map(read).transpose()?);
    Ok(())
}

fn seconds(text: &str) -> Result<u32, &'static str> {
    digits(text).ok_or("whole seconds, 0 to 4294967295")
}

fn count(text: &str) -> Result<u32, &'static str> {
    digits(text).ok_or("a whole number, 0 to 4294967295")
}

fn digits(text: &str) -> Option<u32> {
    // A sign would get through.
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

fn decimal(text: &str) -> Result<f64, &'static str> {
    parse_decimal(text)
        .filter(|number| number.is_finite())
        .ok_or("a decimal number such as 42 or -7.5")
}

fn step(text: &str) -> Result<f64, &'static str> {
    decimal(text)
        .ok()
        .filter(|step| *step >= 0.0)
        .ok_or("a decimal number such as 0.5, not negative")
}

fn edge(text: &str) -> Result<Edge, &'static str> {
    match text {
        "0" => Ok(Edge::Falling),
        "1" => Ok(Edge::Rising),
        _ => Err("0 (falling) or 1 (rising)"),
    }
}

fn flag(text: &str) -> Result<bool, &'static str> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err("0 (as the device likes) or 1 (confirmable)"),
    }
}

/// Decimals come without exponent, which the grammar of the attributes does not have.
fn text<T: ToString>(value: Option<Option<T>>) -> Option<Option<String>> {
    value.map(|value| value.map(|value| value.to_string()))
}

/// Why a set of attributes is refused, and what to write instead.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributeError {
    /// No attribute of this name can be written.
    #[error(
        "'{0}' is no attribute that can be written; there are pmin, pmax, gt, lt, st, epmin, \
         epmax, edge, con and hqmax"
    )]
    Unknown(String),
    /// One attribute twice.
    #[error("{name} is given twice; give it once")]
    Duplicate {
        /// The attribute.
        name: &'static str,
    },
    /// A value outside the grammar of its attribute.
    #[error("{name}={value}: expected {expected}")]
    Value {
        /// The attribute.
        name: &'static str,
        /// What was given.
        value: String,
        /// What can be given.
        expected: &'static str,
    },
    /// An attribute that the device's version does not have.
    #[error("{name} needs LwM2M {since}, and the device speaks {version}; leave it out")]
    Version {
        /// The attribute.
        name: &'static str,
        /// The first version that has it.
        since: Version,
        /// The version of the device.
        version: Version,
    },
    /// An attribute of values on something that has no value.
    #[error("{name} works on a resource or resource instance; give it there")]
    Level {
        /// The attribute.
        name: &'static str,
        /// Where it was given.
        level: PathLevel,
    },
    /// An attribute that a Composite observation cannot have.
    #[error("{name} does not apply to several paths at once; write it to each resource")]
    Composite {
        /// The attribute.
        name: &'static str,
    },
    /// An attribute for another type of values.
    #[error("{name} works on {expected} values, and this resource is {data_type}; leave it out")]
    DataType {
        /// The attribute.
        name: &'static str,
        /// What it works on.
        expected: &'static str,
        /// What the resource is.
        data_type: DataType,
    },
    /// `lt` not below `gt`.
    #[error("lt={lt} must lie below gt={gt}")]
    Limits {
        /// The lower limit.
        lt: f64,
        /// The upper limit.
        gt: f64,
    },
    /// No room for two steps between the limits.
    #[error("lt + 2*st must lie below gt, and {lt} + 2*{st} does not lie below {gt}")]
    Step {
        /// The lower limit.
        lt: f64,
        /// The upper limit.
        gt: f64,
        /// The step.
        st: f64,
    },
    /// `pmin` above `pmax`.
    #[error("pmin={pmin} must not exceed pmax={pmax}")]
    Period {
        /// The minimum period.
        pmin: u32,
        /// The maximum period.
        pmax: u32,
    },
    /// `epmin` not below `epmax`.
    #[error("epmin={epmin} must be less than epmax={epmax}")]
    EvaluationPeriod {
        /// The minimum period.
        epmin: u32,
        /// The maximum period.
        epmax: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(query: &str) -> Result<Attributes, AttributeError> {
        Attributes::from_query(query.split('&').filter(|item| !item.is_empty()))
    }

    #[test]
    fn tells_absent_unset_and_set() {
        let attributes = read("pmin=10&gt=-3.5&st&edge=1&con=0").unwrap();
        assert_eq!(attributes.pmin, Some(Some(10)));
        assert_eq!(attributes.pmax, None);
        assert_eq!(attributes.gt, Some(Some(-3.5)));
        assert_eq!(attributes.st, Some(None));
        assert_eq!(attributes.edge, Some(Some(Edge::Rising)));
        assert_eq!(
            attributes.query_items(),
            ["pmin=10", "gt=-3.5", "st", "edge=1", "con=0"]
        );
        assert!(!attributes.is_empty());
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn says_what_is_wrong_with_a_query() {
        for (query, message) in [
            (
                "pmn=1",
                "'pmn' is no attribute that can be written; there are pmin, pmax, gt, lt, st, \
                 epmin, epmax, edge, con and hqmax",
            ),
            ("pmin=1&pmin", "pmin is given twice; give it once"),
            (
                "pmin=-1",
                "pmin=-1: expected whole seconds, 0 to 4294967295",
            ),
            (
                "pmin=+1",
                "pmin=+1: expected whole seconds, 0 to 4294967295",
            ),
            ("pmax=", "pmax=: expected whole seconds, 0 to 4294967295"),
            (
                "pmax=4294967296",
                "pmax=4294967296: expected whole seconds, 0 to 4294967295",
            ),
            (
                "gt=inf",
                "gt=inf: expected a decimal number such as 42 or -7.5",
            ),
            (
                "gt=1e999",
                "gt=1e999: expected a decimal number such as 42 or -7.5",
            ),
            (
                "st=-1",
                "st=-1: expected a decimal number such as 0.5, not negative",
            ),
            ("edge=2", "edge=2: expected 0 (falling) or 1 (rising)"),
            (
                "con=true",
                "con=true: expected 0 (as the device likes) or 1 (confirmable)",
            ),
        ] {
            assert_eq!(read(query).unwrap_err().to_string(), message);
        }
    }

    fn any_attributes() -> impl Strategy<Value = Attributes> {
        use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, ZERO};
        use proptest::option::of;
        let number = || of(of(any::<u32>()));
        let float = || of(of(POSITIVE | NEGATIVE | NORMAL | ZERO));
        let edge = of(of(any::<bool>()));
        let step = of(of(POSITIVE | ZERO));
        (
            (number(), number(), number(), number(), number()),
            (float(), float(), step, edge, of(of(any::<bool>()))),
        )
            .prop_map(
                |((pmin, pmax, epmin, epmax, hqmax), (gt, lt, st, edge, con))| {
                    let rising = |rising| if rising { Edge::Rising } else { Edge::Falling };
                    Attributes {
                        pmin,
                        pmax,
                        gt,
                        lt,
                        st,
                        epmin,
                        epmax,
                        edge: edge.map(|edge| edge.map(rising)),
                        con,
                        hqmax,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn a_query_comes_back(attributes in any_attributes()) {
            let items = attributes.query_items();
            let read = Attributes::from_query(items.iter().map(String::as_str));
            prop_assert_eq!(read, Ok(attributes));
        }
    }
}
