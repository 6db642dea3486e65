//! What a plugin may do: asked for in its manifest, granted by who runs the server.
//!
//! ```text
//! kv                         its own durable keys
//! registry                   look at registrations
//! device:read:/3/**          read, write, execute, write-attributes, discover: paths by pattern
//! http:https://idp.example/  requests to URLs that start so
//! events                     publish northbound
//! ```
//!
//! A path pattern has numbers and `*` for one segment; `/**` at its end stands for what is below,
//! and the path itself. Logging, metrics and the clock need no permission.

use std::fmt;
use std::str::FromStr;

use lwm2m_core::Path;

/// One permission, as manifests ask for it and configurations grant it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Permission {
    /// `kv`
    Kv,
    /// `registry`
    Registry,
    /// `device:OPERATION:PATTERN`
    Device(DeviceOperation, PathPattern),
    /// `http:PREFIX`
    Http(UrlPrefix),
    /// `events`
    Events,
}

/// What is done with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceOperation {
    /// Read and Read-Composite.
    Read,
    /// Write.
    Write,
    /// Execute.
    Execute,
    /// Write-Attributes.
    WriteAttributes,
    /// Discover.
    Discover,
}

/// Paths that are alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    /// None for `*`.
    segments: Vec<Option<u16>>,
    /// What is below as well.
    below: bool,
}

/// URLs that start alike: scheme, host and port are the same, the path starts with the path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UrlPrefix {
    origin: String,
    path: String,
}

/// A text that is no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no permission: {why}")]
pub struct PermissionError {
    text: String,
    why: &'static str,
}

impl Permission {
    /// True when whoever has this one has the other as well.
    pub fn covers(&self, other: &Permission) -> bool {
        match (self, other) {
            (Permission::Device(a, mine), Permission::Device(b, wanted)) => {
                a == b && mine.covers(wanted)
            }
            (Permission::Http(mine), Permission::Http(wanted)) => mine.covers(wanted),
            (mine, wanted) => mine == wanted,
        }
    }
}

impl DeviceOperation {
    const ALL: [(DeviceOperation, &str); 5] = [
        (DeviceOperation::Read, "read"),
        (DeviceOperation::Write, "write"),
        (DeviceOperation::Execute, "execute"),
        (DeviceOperation::WriteAttributes, "write-attributes"),
        (DeviceOperation::Discover, "discover"),
    ];

    /// As in `write-attributes`.
    pub fn name(self) -> &'static str {
        let named = DeviceOperation::ALL.iter().find(|(one, _)| *one == self);
        named.map_or("", |(_, name)| name)
    }
}

impl PathPattern {
    /// The pattern of one path.
    pub fn exactly(path: &Path) -> PathPattern {
        PathPattern {
            segments: path.ids().iter().copied().map(Some).collect(),
            below: false,
        }
    }

    /// True for a path that is one of them.
    pub fn matches(&self, path: &Path) -> bool {
        let ids = path.ids();
        let long_enough = match self.below {
            true => ids.len() >= self.segments.len(),
            false => ids.len() == self.segments.len(),
        };
        let fits = |(segment, id): (&Option<u16>, &u16)| segment.is_none_or(|own| own == *id);
        long_enough && self.segments.iter().zip(ids).all(fits)
    }

    /// True when all paths of the other are among these.
    fn covers(&self, other: &PathPattern) -> bool {
        let long_enough = match self.below {
            true => other.segments.len() >= self.segments.len(),
            false => !other.below && other.segments.len() == self.segments.len(),
        };
        let fits = |(own, wanted): (&Option<u16>, &Option<u16>)| own.is_none() || own == wanted;
        long_enough && self.segments.iter().zip(&other.segments).all(fits)
    }
}

impl UrlPrefix {
    /// True for a URL that starts so. Nothing is decoded or normalised: a URL with `..`, a user name
    /// or a backslash never does.
    pub fn matches(&self, url: &str) -> bool {
        UrlPrefix::split(url).is_ok_and(|url| self.covers(&url))
    }

    fn covers(&self, other: &UrlPrefix) -> bool {
        let path = other.path.strip_prefix(&self.path);
        let at_border = |rest: &str| {
            self.path.ends_with('/') || rest.is_empty() || rest.starts_with(['/', '?'])
        };
        self.origin == other.origin && path.is_some_and(at_border)
    }

    fn split(url: &str) -> Result<UrlPrefix, &'static str> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '@' | '#');
        if url.contains(odd) || url.contains("/..") || url.to_ascii_lowercase().contains("%2e") {
            return Err("the URL has a part that hides where it leads");
        }
        let rest = (url.strip_prefix("https://"))
            .or_else(|| url.strip_prefix("http://"))
            .ok_or("write http:https://host/path")?;
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        if host.is_empty() {
            return Err("the URL has no host");
        }
        let (origin, path) = url.split_at(url.len() - rest.len() + host.len());
        Ok(UrlPrefix {
            origin: origin.to_ascii_lowercase(),
            path: match path {
                "" => "/".to_owned(),
                path => path.to_owned(),
            },
        })
    }
}

impl FromStr for Permission {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Permission, PermissionError> {
        let refuse = |why| PermissionError {
            text: text.to_owned(),
            why,
        };
        match text.split_once(':') {
            None => match text {
                "kv" => Ok(Permission::Kv),
                "registry" => Ok(Permission::Registry),
                "events" => Ok(Permission::Events),
                _ => Err(refuse(
                    "there are kv, registry, events, device:OPERATION:PATH and http:URL",
                )),
            },
            Some(("http", prefix)) => UrlPrefix::split(prefix)
                .map(Permission::Http)
                .map_err(refuse),
            Some(("device", rest)) => {
                let (operation, pattern) = rest
                    .split_once(':')
                    .ok_or_else(|| refuse("write device:read:/3/**"))?;
                let known = DeviceOperation::ALL.iter().find(|(_, n)| *n == operation);
                let (operation, _) = known.ok_or_else(|| {
                    refuse("the operations are read, write, execute, write-attributes, discover")
                })?;
                let pattern = pattern.parse().map_err(refuse)?;
                Ok(Permission::Device(*operation, pattern))
            }
            Some(_) => Err(refuse("there are device:OPERATION:PATH and http:URL")),
        }
    }
}

impl FromStr for PathPattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<PathPattern, &'static str> {
        let (text, below) = match text.strip_suffix("/**") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let segments = match text {
            "" if below => Vec::new(),
            _ => text
                .strip_prefix('/')
                .ok_or("a path starts with /, as in /3/0/9 or /3/**")?
                .split('/')
                .map(|segment| match segment {
                    "*" => Ok(None),
                    id => match id.parse() {
                        Ok(id) => Ok(Some(id)),
                        Err(_) => Err("a path has numbers and *, as in /3303/*/5700"),
                    },
                })
                .collect::<Result<_, _>>()?,
        };
        match segments.len() {
            0..=4 => Ok(PathPattern { segments, below }),
            _ => Err("a path has at most four segments"),
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Permission::Kv => f.write_str("kv"),
            Permission::Registry => f.write_str("registry"),
            Permission::Events => f.write_str("events"),
            Permission::Device(operation, pattern) => {
                write!(f, "device:{}:{pattern}", operation.name())
            }
            Permission::Http(prefix) => write!(f, "http:{}{}", prefix.origin, prefix.path),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Some(id) => write!(f, "/{id}")?,
                None => f.write_str("/*")?,
            }
        }
        f.write_str(if self.below { "/**" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(text: &str) -> Permission {
        text.parse().expect("a permission")
    }

    #[test]
    fn permissions_are_written_as_they_are_read() {
        for text in [
            "kv",
            "registry",
            "events",
            "device:read:/3/**",
            "device:write-attributes:/3303/*/5700",
            "device:discover:/**",
            "http:https://idp.example/keys/",
        ] {
            assert_eq!(permission(text).to_string(), text);
        }
        for text in [
            "",
            "files",
            "kv:all",
            "device:read",
            "device:reboot:/3",
            "device:read:3/0",
            "device:read:/3/x",
            "device:read:/1/2/3/4/5",
            "http:idp.example",
            "http:ftp://idp.example/",
            "http:https://",
            "http:https://a/../b",
            "http:https://user@a/",
        ] {
            assert!(text.parse::<Permission>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_is_one_of_a_pattern_or_not() {
        for (pattern, path, fits) in [
            ("/3/**", "/3", true),
            ("/3/**", "/3/0/9", true),
            ("/3/**", "/33", false),
            ("/3/0/9", "/3/0/9", true),
            ("/3/0/9", "/3/0", false),
            ("/3/0/9", "/3/0/9/0", false),
            ("/3303/*/5700", "/3303/7/5700", true),
            ("/3303/*/5700", "/3303/7/5701", false),
            ("/**", "/1/2", true),
        ] {
            let pattern: PathPattern = pattern.parse().expect("a pattern");
            let path: Path = path.parse().expect("a path");
            assert_eq!(pattern.matches(&path), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn what_is_granted_covers_what_is_asked() {
        for (granted, asked, covered) in [
            ("kv", "kv", true),
            ("kv", "registry", false),
            ("device:read:/**", "device:read:/3/**", true),
            ("device:read:/3/**", "device:read:/3/0/9", true),
            ("device:read:/3/*/9", "device:read:/3/**", false),
            ("device:read:/3/0", "device:read:/3/**", false),
            ("device:read:/3/**", "device:write:/3/0", false),
            ("device:read:/3/0/*", "device:read:/3/*/1", false),
            ("http:https://a/x/", "http:https://a/x/y", true),
            ("http:https://a/x", "http:https://a/xy", false),
            ("http:https://a/x", "http:https://a/x/y", true),
            ("http:https://a", "http:https://a.evil/", false),
            ("http:https://a/", "http:http://a/", false),
        ] {
            assert_eq!(
                permission(granted).covers(&permission(asked)),
                covered,
                "{granted} {asked}"
            );
        }
    }

    #[test]
    fn a_url_that_hides_where_it_leads_is_not_one() {
        let Permission::Http(prefix) = permission("http:https://a.example/keys") else {
            unreachable!("http");
        };
        for url in ["https://a.example/keys", "https://A.example/keys/1?x=2"] {
            assert!(prefix.matches(url), "{url}");
        }
        for url in [
            "https://a.example/keysmith",
            "https://a.example/keys/../admin",
            "https://a.example/keys/%2e%2e/admin",
            "https://a.example@evil.example/keys",
            "https://evil.example\\@a.example/keys",
            "https://a.example:444/keys",
            "http://a.example/keys",
        ] {
            assert!(!prefix.matches(url), "{url}");
        }
    }
}
