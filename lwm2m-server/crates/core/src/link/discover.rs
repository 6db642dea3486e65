//! The answer to a Discover or Bootstrap-Discover (Core 1.2.2 §6.3.2).

use std::borrow::Cow;

use super::{LinkError, RawLink, scan, text};
use crate::{Attributes, ObjectVersion, Path};

/// A link of a Discover answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DiscoveredLink {
    /// What the link names; `/` for the root link of a Bootstrap-Discover.
    pub path: Path,
    /// The notification attributes that the device has for the asking server.
    pub attributes: Attributes,
    /// `dim`: how many instances a multiple resource has.
    pub dim: Option<u16>,
    /// `ver`: the version of the object.
    pub version: Option<ObjectVersion>,
    /// `ssid`: the short server id of an account (Bootstrap-Discover).
    pub short_server_id: Option<u16>,
    /// Every other parameter, in its order: `uri` and `lwm2m` of a Bootstrap-Discover, values that
    /// are not what their name promises.
    pub other: Vec<(String, Option<String>)>,
}

impl DiscoveredLink {
    /// The value of the first other parameter of this name; `Some("")` for a key without a value.
    pub fn param(&self, key: &str) -> Option<&str> {
        self.other
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value.as_deref().unwrap_or(""))
    }
}

/// Reads the answer to a Discover in the order in which the device wrote it; `prefix` is the
/// alternate path, empty for none.
///
/// Links to something else than LwM2M paths are left out; a path without the prefix, and one
/// without its first slash, is taken too.
///
/// # Errors
/// The payload is no list of links.
pub fn parse_discover(payload: &[u8], prefix: &str) -> Result<Vec<DiscoveredLink>, LinkError> {
    let mut discovered = Vec::new();
    for link in scan(text(payload)?) {
        let link = link?;
        if let Some(path) = target_path(link.target, prefix) {
            discovered.push(read(path, &link));
        }
    }
    Ok(discovered)
}

/// The path of a target, none when it is no LwM2M path.
fn target_path(target: &str, prefix: &str) -> Option<Path> {
    let stripped = match target.strip_prefix(prefix) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => target,
    };
    match stripped.starts_with('/') {
        true => stripped.parse().ok(),
        false => format!("/{stripped}").parse().ok(),
    }
}

fn read(path: Path, link: &RawLink<'_>) -> DiscoveredLink {
    let mut discovered = DiscoveredLink {
        path,
        ..DiscoveredLink::default()
    };
    for param in link.params() {
        let value = param.value();
        if !known(&mut discovered, param.key, value.as_deref()) {
            discovered
                .other
                .push((param.key.to_owned(), value.map(Cow::into_owned)));
        }
    }
    discovered
}

/// Takes a parameter that has a field; false when it has none, or has it already.
fn known(link: &mut DiscoveredLink, key: &str, value: Option<&str>) -> bool {
    let text = value.unwrap_or_default();
    match key {
        "dim" => set(&mut link.dim, text.parse().ok()),
        "ver" => set(&mut link.version, text.parse().ok()),
        "ssid" => set(&mut link.short_server_id, text.parse().ok()),
        _ => value.is_some() && link.attributes.set(key, value).is_ok(),
    }
}

fn set<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    let free = field.is_none() && value.is_some();
    if free {
        *field = value;
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discover(text: &str) -> Vec<DiscoveredLink> {
        parse_discover(text.as_bytes(), "").unwrap()
    }

    #[test]
    fn reads_attributes_and_dimensions() {
        let links = discover("</3>;ver=1.1;pmin=10,</3/0/7>;dim=2;gt=50;lt=42.2;con=1,</16/0/0/>");
        assert_eq!(links.len(), 3);
        assert_eq!(links[0].version, "1.1".parse().ok());
        assert_eq!(links[0].attributes.pmin, Some(Some(10)));
        assert_eq!(links[1].path, Path::resource(3, 0, 7));
        assert_eq!(links[1].dim, Some(2));
        assert_eq!(links[1].attributes.gt, Some(Some(50.0)));
        assert_eq!(links[1].attributes.lt, Some(Some(42.2)));
        assert_eq!(links[1].attributes.con, Some(Some(true)));
        assert_eq!(links[2].path, Path::resource(16, 0, 0));
    }

    #[test]
    fn keeps_what_it_does_not_know() {
        let links = discover("</3/0>;pmin=soon;pmin=3;pmin=4;obs;dim=x;title=\"a\\\"b\"");
        let link = &links[0];
        assert_eq!(link.attributes.pmin, Some(Some(3)));
        assert_eq!(link.param("obs"), Some(""));
        assert_eq!(link.param("title"), Some("a\"b"));
        let keys: Vec<&str> = link.other.iter().map(|(key, _)| &**key).collect();
        assert_eq!(keys, ["pmin", "pmin", "obs", "dim", "title"]);
    }

    #[test]
    fn reads_bootstrap_discover_of_every_version() {
        let links = discover("</>;lwm2m=1.1,</0/0>;ssid=101;uri=\"coaps://a\",</21/0>;ssid=101");
        assert_eq!(links[0].path, Path::ROOT);
        assert_eq!(links[0].param("lwm2m"), Some("1.1"));
        assert_eq!(links[1].short_server_id, Some(101));
        assert_eq!(links[1].param("uri"), Some("coaps://a"));
        assert_eq!(links[2].path, Path::instance(21, 0));

        let links = discover("lwm2m=\"1.0\",</0>,</1/24>;ssid=12");
        assert_eq!(links[0].path, Path::ROOT);
        assert_eq!(links[0].param("lwm2m"), Some("1.0"));
        assert_eq!(links[2].short_server_id, Some(12));
    }

    #[test]
    fn strips_the_alternate_path() {
        let payload = b"</lwm2m>,</lwm2m/3/0>,<5>,</sensors/temp>,</lwm2mx/3>";
        let links = parse_discover(payload, "/lwm2m").unwrap();
        let paths: Vec<Path> = links.iter().map(|link| link.path).collect();
        assert_eq!(paths, [Path::ROOT, Path::instance(3, 0), Path::object(5)]);
    }
}
