//! Where attributes apply, and which sets contradict themselves (Core 1.2.2 §5.1.2).

use super::{AttributeError, Attributes};
use crate::{DataType, PathLevel, Version};

/// What an attribute works on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    /// Anything that can be observed, several paths at once included.
    Anything,
    /// Anything with one path.
    OnePath,
    /// Numbers.
    Numbers,
    /// Booleans.
    Booleans,
}

/// Checks version, level and type of each attribute that is named, also where it is unset.
pub(super) fn scope(
    attributes: &Attributes,
    version: Version,
    level: PathLevel,
    data_type: Option<DataType>,
) -> Result<(), AttributeError> {
    for (named, name, since, on) in [
        (
            attributes.pmin.is_some(),
            "pmin",
            Version::V1_0,
            On::Anything,
        ),
        (
            attributes.pmax.is_some(),
            "pmax",
            Version::V1_0,
            On::Anything,
        ),
        (attributes.gt.is_some(), "gt", Version::V1_0, On::Numbers),
        (attributes.lt.is_some(), "lt", Version::V1_0, On::Numbers),
        (attributes.st.is_some(), "st", Version::V1_0, On::Numbers),
        (
            attributes.epmin.is_some(),
            "epmin",
            Version::V1_1,
            On::Anything,
        ),
        (
            attributes.epmax.is_some(),
            "epmax",
            Version::V1_1,
            On::Anything,
        ),
        (
            attributes.edge.is_some(),
            "edge",
            Version::V1_2,
            On::Booleans,
        ),
        (attributes.con.is_some(), "con", Version::V1_2, On::Anything),
        (
            attributes.hqmax.is_some(),
            "hqmax",
            Version::V1_2,
            On::OnePath,
        ),
    ] {
        if !named {
            continue;
        }
        if version < since {
            return Err(AttributeError::Version {
                name,
                since,
                version,
            });
        }
        check_level(name, on, level)?;
        check_type(name, on, data_type)?;
    }
    Ok(())
}

fn check_level(name: &'static str, on: On, level: PathLevel) -> Result<(), AttributeError> {
    match (on, level) {
        (On::Anything, _) => Ok(()),
        (_, PathLevel::Root) => Err(AttributeError::Composite { name }),
        (On::OnePath, _) | (_, PathLevel::Resource | PathLevel::ResourceInstance) => Ok(()),
        _ => Err(AttributeError::Level { name, level }),
    }
}

fn check_type(
    name: &'static str,
    on: On,
    data_type: Option<DataType>,
) -> Result<(), AttributeError> {
    let Some(data_type) = data_type else {
        return Ok(());
    };
    let expected = match (on, data_type) {
        (On::Anything | On::OnePath, _) | (On::Booleans, DataType::Boolean) => return Ok(()),
        (
            On::Numbers,
            DataType::Integer | DataType::Unsigned | DataType::Float | DataType::Time,
        ) => return Ok(()),
        (On::Numbers, _) => "numeric",
        (On::Booleans, _) => "Boolean",
    };
    Err(AttributeError::DataType {
        name,
        expected,
        data_type,
    })
}

/// Checks numbers that were not read from text: finite, and no negative step.
pub(super) fn numbers(attributes: &Attributes) -> Result<(), AttributeError> {
    for (name, value, lowest) in [
        ("gt", attributes.gt, f64::MIN),
        ("lt", attributes.lt, f64::MIN),
        ("st", attributes.st, 0.0),
    ] {
        if let Some(number) = value.flatten()
            && !(lowest..=f64::MAX).contains(&number)
        {
            return Err(AttributeError::Value {
                name,
                value: number.to_string(),
                expected: "a finite decimal number, and for st none below 0",
            });
        }
    }
    Ok(())
}

/// Checks the attributes that are set against each other.
pub(super) fn consistency(attributes: &Attributes) -> Result<(), AttributeError> {
    let (lt, gt) = (attributes.lt.flatten(), attributes.gt.flatten());
    if let (Some(lt), Some(gt)) = (lt, gt) {
        if lt >= gt {
            return Err(AttributeError::Limits { lt, gt });
        }
        if let Some(st) = attributes.st.flatten()
            && lt + 2.0 * st >= gt
        {
            return Err(AttributeError::Step { lt, gt, st });
        }
    }
    // A maximum period of 0 is none.
    if let (Some(pmin), Some(pmax @ 1..)) = (attributes.pmin.flatten(), attributes.pmax.flatten())
        && pmin > pmax
    {
        return Err(AttributeError::Period { pmin, pmax });
    }
    if let (Some(epmin), Some(epmax)) = (attributes.epmin.flatten(), attributes.epmax.flatten())
        && epmin >= epmax
    {
        return Err(AttributeError::EvaluationPeriod { epmin, epmax });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        query: &str,
        version: Version,
        level: PathLevel,
        data_type: Option<DataType>,
    ) -> Result<(), String> {
        Attributes::from_query(query.split('&'))
            .unwrap()
            .validate(version, level, data_type)
            .map_err(|error| error.to_string())
    }

    fn contradiction(query: &str) -> Option<String> {
        check(query, Version::V1_2, PathLevel::Resource, None).err()
    }

    #[test]
    fn attributes_apply_where_they_say() {
        use DataType::{Boolean, Float, String};
        use PathLevel::{Object, Resource, ResourceInstance, Root};
        use Version::{V1_0, V1_1, V1_2};
        for (query, version, level, data_type, fine) in [
            ("pmin=1&pmax=9", V1_0, Object, None, true),
            ("gt=1", V1_0, Resource, Some(Float), true),
            ("gt=1", V1_0, ResourceInstance, None, true),
            ("gt=1", V1_2, Object, None, false),
            ("gt", V1_2, Object, None, false),
            ("st=1", V1_2, Resource, Some(String), false),
            ("epmin=1", V1_0, Resource, None, false),
            ("epmin=1", V1_1, Resource, None, true),
            ("edge=1", V1_1, Resource, Some(Boolean), false),
            ("edge=1", V1_2, Resource, Some(Boolean), true),
            ("edge=1", V1_2, Resource, Some(Float), false),
            ("con=1&hqmax=3", V1_2, Object, None, true),
            ("con", V1_1, Object, None, false),
            ("pmin=1&epmax=2&con=1", V1_2, Root, None, true),
            ("hqmax=3", V1_2, Root, None, false),
            ("lt=3", V1_2, Root, None, false),
        ] {
            let result = check(query, version, level, data_type);
            assert_eq!(
                result.is_ok(),
                fine,
                "{query} {version} {level:?}: {result:?}"
            );
        }
    }

    #[test]
    fn messages_tell_how_to_mend() {
        let message = |query, level, data_type| check(query, Version::V1_1, level, data_type);
        for (given, expected) in [
            (
                message("edge=1", PathLevel::Resource, None),
                "edge needs LwM2M 1.2, and the device speaks 1.1; leave it out",
            ),
            (
                message("gt=1", PathLevel::Object, None),
                "gt works on a resource or resource instance; give it there",
            ),
            (
                message("gt=1", PathLevel::Resource, Some(DataType::Opaque)),
                "gt works on numeric values, and this resource is Opaque; leave it out",
            ),
            (
                message("gt=1", PathLevel::Root, None),
                "gt does not apply to several paths at once; write it to each resource",
            ),
        ] {
            assert_eq!(given.unwrap_err(), expected);
        }
    }

    #[test]
    fn contradictions_are_refused_before_the_device_does() {
        for query in [
            "lt=5&gt=5",
            "lt=6&gt=5",
            "lt=1&gt=5&st=2",
            "pmin=10&pmax=9",
            "epmin=5&epmax=5",
        ] {
            assert!(contradiction(query).is_some(), "{query}");
        }
        for query in [
            "lt=4&gt=5",
            "lt=1&gt=5&st=1.9",
            "lt=6&gt",
            "pmin=10&pmax=10",
            "pmin=10&pmax=0",
            "pmin=10&pmax",
            "epmin=4&epmax=5",
        ] {
            assert_eq!(contradiction(query), None, "{query}");
        }
        assert_eq!(
            contradiction("lt=1&gt=5&st=2").unwrap(),
            "lt + 2*st must lie below gt, and 1 + 2*2 does not lie below 5"
        );
    }

    #[test]
    fn numbers_that_no_text_gives_are_refused() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let attributes = Attributes {
                gt: Some(Some(number)),
                ..Attributes::default()
            };
            let result = attributes.validate(Version::V1_2, PathLevel::Resource, None);
            assert!(result.is_err(), "{number}");
        }
        let attributes = Attributes {
            st: Some(Some(-1.0)),
            ..Attributes::default()
        };
        let result = attributes.validate(Version::V1_2, PathLevel::Resource, None);
        assert!(result.is_err());
    }
}
