//! The fields of a plan.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::BootstrapDocumentError;
use crate::credentials::SecretText;

/// A plan as text, for a kind of device: one `[[device]]` of a file, and what the HTTP API takes.
///
/// ```
/// use lwm2m_server::bootstrap::BootstrapDocument;
///
/// let plans = BootstrapDocument::read_all(
///     r#"
///     [[device]]
///     endpoint = "urn:imei:35*"
///     [[device.server]]
///     short_server_id = 101
///     uri             = "coaps://lwm2m.example.com:5685"
///     credential      = "psk"
///     "#,
/// )?;
/// assert_eq!(plans[0].endpoint(), "urn:imei:35*");
/// # Ok::<(), lwm2m_server::bootstrap::BootstrapDocumentError>(())
/// ```
///
/// Printing it shows which devices it is for, and nothing else: it may have keys.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootstrapDocument(pub(super) Device);

impl BootstrapDocument {
    /// Reads the plans of a file of TOML.
    ///
    /// # Errors
    /// Text that is no TOML, or has other fields; what values mean is not looked at yet.
    pub fn read_all(text: &str) -> Result<Vec<BootstrapDocument>, BootstrapDocumentError> {
        let file: File = toml::from_str(text).map_err(|error| {
            // The error itself would show the line, which may be a key.
            let before = error.span().map_or(text.len(), |span| span.start);
            let lines = text.as_bytes().iter().take(before);
            let line = 1 + lines.filter(|byte| **byte == b'\n').count();
            BootstrapDocumentError {
                place: format!("line {line}"),
                message: error.message().to_owned(),
            }
        })?;
        Ok(file.device)
    }

    /// Writes plans as a file of TOML, keys included.
    pub(in crate::bootstrap) fn write_all(documents: &[BootstrapDocument]) -> Option<String> {
        let device = documents.to_vec();
        toml::to_string(&File { device }).ok()
    }

    /// The endpoint names that it is for: a name, or a pattern.
    pub fn endpoint(&self) -> &str {
        &self.0.endpoint
    }

    /// The same without keys, for people.
    pub fn without_keys(&self) -> BootstrapDocument {
        let mut device = self.0.clone();
        for server in &mut device.server {
            server.psk_key = None;
        }
        // What is written beside the accounts may be anything.
        for (path, value) in &mut device.write {
            if ["/0/", "/21/"]
                .iter()
                .any(|object| path.starts_with(object))
            {
                *value = toml::Value::String("(not shown)".to_owned());
            }
        }
        BootstrapDocument(device)
    }
}

impl fmt::Debug for BootstrapDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootstrapDocument")
            .field("endpoint", &self.0.endpoint)
            .finish_non_exhaustive()
    }
}

/// A credential that the server has the keys of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    Psk,
    Oscore,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    device: Vec<BootstrapDocument>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Device {
    pub(super) endpoint: String,
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub(super) discover: bool,
    #[serde(
        default = "account_objects",
        skip_serializing_if = "is_account_objects"
    )]
    pub(super) delete: Vec<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) verify: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) content_format: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) on_failure: Policy,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) server: Vec<Server>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) write: BTreeMap<String, toml::Value>,
}

#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Policy {
    #[default]
    Accounts,
    Continue,
    Stop,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) short_server_id: u16,
    pub(super) uri: String,
    #[serde(default = "lifetime")]
    pub(super) lifetime: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) binding: Option<String>,
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub(super) notification_storing: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) credential: Option<Mode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) psk_identity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) psk_key: Option<SecretText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) private_key: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) server_certificate: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) server_public_key: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) certificate_usage: Option<u8>,
}

fn yes() -> bool {
    true
}

fn lifetime() -> u32 {
    300
}

fn account_objects() -> Vec<String> {
    vec!["/0".to_owned(), "/1".to_owned()]
}

fn is_account_objects(paths: &[String]) -> bool {
    paths == account_objects()
}

fn is_true(value: &bool) -> bool {
    *value
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_default(policy: &Policy) -> bool {
    *policy == Policy::default()
}
