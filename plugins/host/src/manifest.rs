//! What a plugin says about itself: `plugin.toml`.

use std::path::PathBuf;

use serde::Deserialize;

use crate::Permission;
use crate::config::check_name;

/// `plugin.toml`, in the folder of a plugin.
///
/// ```toml
/// name = "fleet"
/// version = "1.2.0"
/// description = "Lets only our devices in."
/// source = "fleet.rhai"
/// permissions = ["kv", "device:read:/3/**"]
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version, for people.
    #[serde(default)]
    pub version: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The script or component, beside the manifest.
    pub source: PathBuf,
    /// What it asks for; all of it must be granted.
    #[serde(default)]
    pub permissions: Vec<String>,
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

    /// Reads a manifest.
    ///
    /// # Errors
    /// What is wrong, with line and column where they are known.
    pub(crate) fn parse(text: &str) -> Result<Manifest, String> {
        let manifest: Manifest = toml::from_str(text).map_err(|error| error.to_string())?;
        check_name(&manifest.name).map_err(|why| format!("name: {why}"))?;
        let is_beside = manifest.source.components().count() == 1 && manifest.source.is_relative();
        if !is_beside || manifest.source.file_name().is_none() {
            return Err("source: name a file beside the manifest".to_owned());
        }
        manifest.permissions()?;
        Ok(manifest)
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
        let manifest = Manifest::parse(good).expect("good");
        assert_eq!(manifest.permissions(), Ok(vec![Permission::Kv]));
        for (bad, told) in [
            ("name = 'a'", "missing field `source`"),
            ("name = 'a'\nsource = '../b.rhai'", "beside the manifest"),
            ("name = 'a'\nsource = '/b.rhai'", "beside the manifest"),
            ("name = 'a'\nsource = '..'", "beside the manifest"),
            ("name = 'a b'\nsource = 'b.rhai'", "1 to 64 letters"),
            (
                "name = 'a'\nsource = 'b.rhai'\npermissions = ['root']",
                "is no permission",
            ),
            ("name = 'a'\nsource = 'b'\nauthor = 'x'", "line 3"),
        ] {
            let error = Manifest::parse(bad).expect_err(bad);
            assert!(error.contains(told), "{error}");
        }
    }
}
