//! What a plugin says about itself: `plugin.toml`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::config::check_name;
use crate::place::{at, explained};
use crate::{LoadError, Permission};

/// `plugin.toml`, in the folder of a plugin.
///
/// ```toml
/// name = "fleet"
/// version = "1.2.0"
/// description = "Lets only our devices in."
/// source = "fleet.rhai"
/// permissions = ["kv", "device:read:/3/**"]
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version, for people.
    pub version: String,
    /// What it is for, in a sentence.
    pub description: String,
    /// The script or component, beside the manifest.
    pub source: PathBuf,
    /// What it asks for; all of it must be granted.
    pub permissions: Vec<String>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: Spanned<String>,
    #[serde(default)]
    version: String,
    #[serde(default)]
    description: String,
    source: Spanned<PathBuf>,
    #[serde(default)]
    permissions: Vec<Spanned<String>>,
}

impl Manifest {
    /// The manifest of a plugin that is a single file.
    pub(crate) fn of_file(name: &str, source: PathBuf) -> Manifest {
        Manifest {
            name: name.to_owned(),
            version: String::new(),
            description: String::new(),
            source,
            permissions: Vec::new(),
        }
    }

    /// Reads the text of a manifest.
    ///
    /// # Errors
    /// What is wrong, with line and column, and the key.
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Manifest, LoadError> {
        const BOTH: &str =
            "it must have name = \"NAME\", and source = \"NAME.rhai\" or \"NAME.wasm\"";
        let document: Document = toml::from_str(text).map_err(|error| {
            let refused = explained(file, text, &error);
            match error.message().starts_with("missing field") {
                true => refused.hint(BOTH),
                false => refused,
            }
        })?;
        let wrong = |offset: usize, what: String| at(file, text, offset, what);
        let name = &document.name;
        check_name(name.as_ref())
            .map_err(|why| wrong(name.span().start, format!("name: {why}")))?;
        let source = document.source.as_ref();
        let is_beside = source.components().count() == 1 && source.is_relative();
        if !is_beside || source.file_name().is_none() {
            let what = "source: name a file beside the manifest".to_owned();
            return Err(wrong(document.source.span().start, what));
        }
        for permission in &document.permissions {
            let parsed = permission.as_ref().parse::<Permission>();
            parsed
                .map_err(|error| wrong(permission.span().start, format!("permissions: {error}")))?;
        }
        let permissions = document.permissions.into_iter().map(Spanned::into_inner);
        Ok(Manifest {
            name: document.name.into_inner(),
            version: document.version,
            description: document.description,
            source: document.source.into_inner(),
            permissions: permissions.collect(),
        })
    }

    /// What it asks for.
    ///
    /// # Errors
    /// A text that is no permission.
    pub(crate) fn permissions(&self) -> Result<Vec<Permission>, String> {
        let parse = |text: &String| {
            text.parse()
                .map_err(|error| format!("permissions: {error}"))
        };
        self.permissions.iter().map(parse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_a_file_beside_it_and_what_it_needs() {
        let good = "name = 'fleet'\nsource = 'fleet.rhai'\npermissions = ['kv']";
        let parse = |text: &str| Manifest::parse(Path::new("plugin.toml"), text);
        let manifest = parse(good).expect("good");
        assert_eq!(manifest.permissions(), Ok(vec![Permission::Kv]));
        for (bad, told) in [
            (
                "",
                "plugin.toml:1:1: missing field `name` (it must have name",
            ),
            ("name = 'a'", "missing field `source` (it must have name"),
            ("name = 'a", "plugin.toml:1:"),
            ("name = 5", "plugin.toml:1:8: name: invalid type"),
            (
                "name = 'a'\nsource = '../b.rhai'",
                "plugin.toml:2:10: source: name a file beside the manifest",
            ),
            ("name = 'a'\nsource = '/b.rhai'", ":2:10: source"),
            ("name = 'a'\nsource = '..'", ":2:10: source"),
            (
                "name = 'a b'\nsource = 'b.rhai'",
                "plugin.toml:1:8: name: a name has 1 to 64 letters",
            ),
            (
                "name = 'a'\nsource = 'b.rhai'\npermissions = ['kv', 'root']",
                "plugin.toml:3:22: permissions: \"root\" is no permission",
            ),
            (
                "name = 'a'\nsource = 'b'\nauthor = 'x'",
                "plugin.toml:3:1: unknown field `author`",
            ),
            (
                "name = 'a'\nsource = 'b'\npermission = ['kv']",
                "(did you mean permissions?)",
            ),
        ] {
            let error = parse(bad).expect_err(bad);
            let error = format!("{error} ({})", error.hint.clone().unwrap_or_default());
            assert!(error.contains(told), "{told}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
