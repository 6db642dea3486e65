//! Paths and bodies of the API, from what was typed.

use anyhow::{Context, bail};
use lwm2m_core::{Path, PathLevel};
use serde_json::{Map, Value, json};

use super::api::encode;

/// The resource of a device, below its endpoint name.
pub(crate) fn at(endpoint: &str, rest: &str) -> String {
    format!("/clients/{}{rest}", encode(endpoint))
}

/// The resource of an LwM2M path, checked before anything is sent.
pub(crate) fn object(endpoint: &str, operation: &str, path: &str) -> anyhow::Result<String> {
    let path = parse(path)?;
    Ok(at(endpoint, &format!("/{operation}{path}")))
}

/// The body of a Write: one value, or pairs below an instance or a multiple resource.
pub(crate) fn write_body(
    path: &str,
    values: &[String],
    data_type: Option<&str>,
) -> anyhow::Result<Value> {
    let path = parse(path)?;
    let pairs: Vec<&String> = values.iter().collect();
    match (path.level(), values) {
        (_, []) => bail!("nothing to write: give a value, or ID=VALUE pairs below an instance"),
        (PathLevel::Resource | PathLevel::ResourceInstance, [value]) if !is_pair(value) => {
            Ok(match data_type {
                None => json!({ "value": value }),
                Some(data_type) => json!({ "value": value, "type": data_type }),
            })
        }
        (PathLevel::ObjectInstance | PathLevel::Resource, _) => {
            Ok(json!({ "values": pairs_to_object(&pairs)? }))
        }
        _ => bail!("{path} takes one value; pairs are written below an instance, as in /1/0"),
    }
}

/// True for `5=…` and `6/0=…`, which name what they write.
fn is_pair(text: &str) -> bool {
    text.split_once('=').is_some_and(|(key, _)| {
        !key.is_empty()
            && key
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'/')
    })
}

/// `0=text 6/0=1` as the object that the API takes.
pub(crate) fn pairs_to_object(pairs: &[&String]) -> anyhow::Result<Value> {
    let mut object = Map::new();
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=') else {
            bail!("'{pair}' is no pair: write ID=VALUE, as in 5=86400");
        };
        if object
            .insert(key.to_owned(), Value::String(value.to_owned()))
            .is_some()
        {
            bail!("'{key}' is named twice");
        }
    }
    Ok(Value::Object(object))
}

/// `/3/0/14=text /16/0/0/2` as the object that a Write-Composite takes: a path alone is null.
pub(crate) fn composite_to_object(pairs: &[&String]) -> anyhow::Result<Value> {
    let (removed, written): (Vec<&String>, _) =
        pairs.iter().copied().partition(|pair| !pair.contains('='));
    let mut object = pairs_to_object(&written)?;
    for path in removed {
        parse(path)?;
        if let Value::Object(object) = &mut object
            && object.insert(path.clone(), Value::Null).is_some()
        {
            bail!("'{path}' is named twice");
        }
    }
    Ok(object)
}

/// The body of an Observe: one path, or several in one composite, and its own attributes.
pub(crate) fn observe_body(paths: &[String], attributes: &[String]) -> anyhow::Result<Value> {
    let attributes: Vec<&String> = attributes.iter().collect();
    let attributes = pairs_to_object(&attributes)?;
    Ok(match paths {
        [path] => json!({ "path": path, "attributes": attributes }),
        _ => json!({ "paths": paths, "attributes": attributes }),
    })
}

fn parse(path: &str) -> anyhow::Result<Path> {
    path.parse()
        .with_context(|| format!("'{path}' is no LwM2M path, as in /3/0/9"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(path: &str, values: &[&str]) -> anyhow::Result<String> {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        write_body(path, &values, None).map(|body| body.to_string())
    }

    #[test]
    fn one_value_or_pairs() {
        assert_eq!(
            body("/3/0/14", &["+02:00"]).unwrap(),
            r#"{"value":"+02:00"}"#
        );
        assert_eq!(body("/3/0/15", &["a=b"]).unwrap(), r#"{"value":"a=b"}"#);
        assert_eq!(
            body("/1/0", &["2=5", "3=60"]).unwrap(),
            r#"{"values":{"2":"5","3":"60"}}"#
        );
        assert_eq!(
            body("/16/0/0", &["1=x"]).unwrap(),
            r#"{"values":{"1":"x"}}"#
        );
    }

    #[test]
    fn a_composite_removes_what_has_no_value() {
        let of = |pairs: &[&str]| {
            let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
            let pairs: Vec<&String> = pairs.iter().collect();
            composite_to_object(&pairs).map(|body| body.to_string())
        };
        assert_eq!(
            of(&["/16/0/0/2", "/16/0/0/1=a=b"]).unwrap(),
            r#"{"/16/0/0/1":"a=b","/16/0/0/2":null}"#
        );
        assert!(of(&["/16/0/0/2", "/16/0/0/2=x"]).is_err());
        assert!(of(&["16"]).is_err());
    }

    #[test]
    fn an_observe_has_attributes_of_its_own() {
        let of = |paths: &[&str], attributes: &[&str]| {
            let owned = |texts: &[&str]| -> Vec<String> {
                texts.iter().map(|text| (*text).to_owned()).collect()
            };
            observe_body(&owned(paths), &owned(attributes)).map(|body| body.to_string())
        };
        assert_eq!(
            of(&["/3/0/9"], &["pmin=5", "con=1"]).unwrap(),
            r#"{"attributes":{"con":"1","pmin":"5"},"path":"/3/0/9"}"#
        );
        assert_eq!(
            of(&["/3/0/9", "/1/0/1"], &[]).unwrap(),
            r#"{"attributes":{},"paths":["/3/0/9","/1/0/1"]}"#
        );
        assert!(of(&["/3/0/9"], &["pmin"]).is_err());
        assert!(of(&["/3/0/9"], &["pmin=5", "pmin=6"]).is_err());
    }

    #[test]
    fn says_what_is_wrong_with_the_arguments() {
        for (path, values, part) in [
            ("/3/0/14", &[][..], "nothing to write"),
            ("/1/0", &["5"][..], "ID=VALUE"),
            ("/1/0", &["2=1", "2=2"][..], "twice"),
            ("/3", &["1"][..], "below an instance"),
            ("3/0", &["1"][..], "no LwM2M path"),
        ] {
            let error = body(path, values).unwrap_err();
            assert!(format!("{error:#}").contains(part), "{path}: {error:#}");
        }
    }
}
