//! A credential as text: one object of JSON, one line of CSV.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    CertificateRule, Credential, CredentialError, CredentialId, NamePattern, OscoreCredential,
    Proof, SecretKey,
};
use crate::identity::{hex, sha256};

mod text;

pub use text::SecretText;
use text::one_or_many;

/// A credential as text: what the HTTP API, files of JSON and files of CSV have in common.
///
/// | Mode | Fields |
/// | --- | --- |
/// | all | `id` (made up when missing), `mode`, `endpoints` (the identity itself when missing), `server_name` |
/// | `psk` | `identity` or `identity_hex`; `key` (hexadecimal), `key_base64` or `key_text` |
/// | `rpk` | `spki` (DER in base64) or `spki_sha256` (hexadecimal) |
/// | `x509` | any of `common_name`, `alternative_name`, `serial`, `fingerprint`, `spki_sha256` |
/// | `oscore` | `master_secret`, `master_salt`, `id_context` (hexadecimal); `sender_id` (ours), `recipient_id` (the device's) or with `_hex`; `aead`, `hmac`, `never_used` |
///
/// The mode may be missing where the fields tell it. In CSV endpoint names have `|` between them.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CredentialDocument {
    /// What the credential is called by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `psk`, `rpk`, `x509` or `oscore`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The endpoint names, as [`NamePattern`]s.
    #[serde(
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub endpoints: Vec<String>,
    /// The server name that a pre-shared key is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// The identity of a pre-shared key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The same in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_hex: Option<String>,
    /// A pre-shared key in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<SecretText>,
    /// The same in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_base64: Option<SecretText>,
    /// The same as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_text: Option<SecretText>,
    /// A raw public key: its SubjectPublicKeyInfo in base64, as in a PEM file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spki: Option<String>,
    /// The SHA-256 of a SubjectPublicKeyInfo in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spki_sha256: Option<String>,
    /// What the common name of a certificate looks like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// What one of its subject alternative names looks like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alternative_name: Option<String>,
    /// Its serial number in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The SHA-256 of a certificate in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The Master Secret of an OSCORE context in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_secret: Option<SecretText>,
    /// Its Master Salt in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_salt: Option<SecretText>,
    /// The server's Sender ID as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_id: Option<String>,
    /// The same in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_id_hex: Option<String>,
    /// The server's Recipient ID, which is the device's Sender ID, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient_id: Option<String>,
    /// The same in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient_id_hex: Option<String>,
    /// The ID Context in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_context: Option<String>,
    /// The COSE number of the AEAD; 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aead: Option<i32>,
    /// The COSE number of the HMAC; 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hmac: Option<i32>,
    /// True when nobody has ever protected a message with this context: its device is not challenged,
    /// then, when it first comes. Not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub never_used: Option<bool>,
}

impl CredentialDocument {
    /// The credential with its key: for a file that only the server reads.
    pub fn with_key(credential: &Credential) -> CredentialDocument {
        let mut document = CredentialDocument::without_key(credential);
        let secret = |key: &[u8]| Some(SecretText::from(hex(key)));
        match &credential.proof {
            Proof::Psk { key, .. } => document.key = secret(key.expose()),
            Proof::Oscore(oscore) => {
                document.master_secret = secret(oscore.master_secret.expose());
                document.master_salt = match oscore.master_salt.as_slice() {
                    [] => None,
                    salt => secret(salt),
                };
            }
            Proof::Rpk { .. } | Proof::X509(_) => {}
        }
        document
    }

    /// The credential without its key, for people.
    pub fn without_key(credential: &Credential) -> CredentialDocument {
        let mut document = CredentialDocument {
            id: Some(credential.id.to_string()),
            mode: Some(credential.mode().to_owned()),
            endpoints: credential.endpoints.iter().map(|p| p.to_string()).collect(),
            server_name: credential.server_name.clone(),
            ..CredentialDocument::default()
        };
        match &credential.proof {
            Proof::Psk { identity, .. } => {
                (document.identity, document.identity_hex) = text_or_hex(identity);
            }
            Proof::Rpk { spki_sha256 } => document.spki_sha256 = Some(hex(spki_sha256)),
            Proof::X509(rule) => {
                let text = |pattern: &NamePattern| pattern.to_string();
                document.common_name = rule.common_name.as_ref().map(text);
                document.alternative_name = rule.alternative_name.as_ref().map(text);
                document.serial = rule.serial.as_deref().map(hex);
                document.fingerprint = rule.fingerprint.as_ref().map(|hash| hex(hash));
                document.spki_sha256 = rule.spki_sha256.as_ref().map(|hash| hex(hash));
            }
            Proof::Oscore(oscore) => {
                (document.sender_id, document.sender_id_hex) = text_or_hex(&oscore.sender_id);
                (document.recipient_id, document.recipient_id_hex) =
                    text_or_hex(&oscore.recipient_id);
                document.id_context = oscore.id_context.as_deref().map(hex);
                document.aead = Some(oscore.aead);
                document.hmac = Some(oscore.hmac);
            }
        }
        document
    }

    /// Reads the credential.
    ///
    /// # Errors
    /// A field that is missing, malformed, or of another mode.
    pub fn credential(&self) -> Result<Credential, CredentialError> {
        let id = match &self.id {
            None => CredentialId::random(),
            Some(id) => CredentialId::new(id).ok_or_else(|| {
                error(
                    "id",
                    "use 1 to 64 letters, digits, dots, underscores, colons and hyphens",
                )
            })?,
        };
        let mode = self.mode()?;
        if let Some(stray) = self.given().find(|field| !fields_of(mode).contains(field)) {
            return Err(error(stray, format!("{mode} has no such field")));
        }
        let proof = match mode {
            "psk" => self.psk()?,
            "rpk" => self.rpk()?,
            "x509" => self.x509()?,
            _ => self.oscore()?,
        };
        let mut credential = Credential::new(id, proof);
        if !self.endpoints.is_empty() {
            credential.endpoints = self
                .endpoints
                .iter()
                .map(|text| pattern("endpoints", text))
                .collect::<Result<_, _>>()?;
        } else if mode == "rpk" {
            return Err(error("endpoints", "name them: a raw public key says none"));
        }
        credential.server_name = self.server_name.clone();
        credential.never_used = self.never_used == Some(true);
        credential.check()?;
        Ok(credential)
    }

    fn mode(&self) -> Result<&'static str, CredentialError> {
        const MODES: [&str; 4] = ["psk", "rpk", "x509", "oscore"];
        if let Some(mode) = &self.mode {
            let known = MODES.into_iter().find(|known| known == mode);
            return known.ok_or_else(|| error("mode", "use psk, rpk, x509 or oscore"));
        }
        // A field that only one mode has tells it.
        let only = |field: &'static str| {
            let mut having = MODES
                .into_iter()
                .filter(|mode| fields_of(mode).contains(&field));
            having.next().filter(|_| having.next().is_none())
        };
        self.given()
            .find_map(only)
            .ok_or_else(|| error("mode", "it is missing: use psk, rpk, x509 or oscore"))
    }

    /// The fields that are given and belong to some modes only.
    fn given(&self) -> impl Iterator<Item = &'static str> {
        [
            ("server_name", self.server_name.is_some()),
            ("identity", self.identity.is_some()),
            ("identity_hex", self.identity_hex.is_some()),
            ("key", self.key.is_some()),
            ("key_base64", self.key_base64.is_some()),
            ("key_text", self.key_text.is_some()),
            ("spki", self.spki.is_some()),
            ("spki_sha256", self.spki_sha256.is_some()),
            ("common_name", self.common_name.is_some()),
            ("alternative_name", self.alternative_name.is_some()),
            ("serial", self.serial.is_some()),
            ("fingerprint", self.fingerprint.is_some()),
            ("master_secret", self.master_secret.is_some()),
            ("master_salt", self.master_salt.is_some()),
            ("sender_id", self.sender_id.is_some()),
            ("sender_id_hex", self.sender_id_hex.is_some()),
            ("recipient_id", self.recipient_id.is_some()),
            ("recipient_id_hex", self.recipient_id_hex.is_some()),
            ("id_context", self.id_context.is_some()),
            ("aead", self.aead.is_some()),
            ("hmac", self.hmac.is_some()),
            ("never_used", self.never_used.is_some()),
        ]
        .into_iter()
        .filter_map(|(field, given)| given.then_some(field))
    }

    fn psk(&self) -> Result<Proof, CredentialError> {
        let identity = either(
            ("identity", &self.identity),
            ("identity_hex", &self.identity_hex),
        )?;
        let identity = identity.ok_or_else(|| error("identity", "it is missing"))?;
        let key = match (&self.key, &self.key_base64, &self.key_text) {
            (Some(key), None, None) => ("key", Zeroizing::new(from_hex("key", key.as_str())?)),
            (None, Some(key), None) => {
                let bytes = BASE64.decode(key.as_str());
                let bytes = bytes.map_err(|_| error("key_base64", "it is no base64"))?;
                ("key_base64", Zeroizing::new(bytes))
            }
            (None, None, Some(key)) => {
                ("key_text", Zeroizing::new(key.as_str().as_bytes().to_vec()))
            }
            (None, None, None) => return Err(error("key", "it is missing")),
            _ => return Err(error("key", "give one of key, key_base64 and key_text")),
        };
        Ok(Proof::Psk {
            identity: identity.into(),
            key: secret(key.0, &key.1)?,
        })
    }

    fn rpk(&self) -> Result<Proof, CredentialError> {
        let spki_sha256 = match (&self.spki, &self.spki_sha256) {
            (Some(_), Some(_)) => return Err(error("spki", "give it or spki_sha256")),
            (None, None) => return Err(error("spki", "it is missing")),
            (None, Some(hash)) => hash_from_hex("spki_sha256", hash)?,
            (Some(text), None) => {
                let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
                let bytes = BASE64.decode(text).ok();
                // SEQUENCE, with the length of the rest in short or long form.
                let der = bytes.filter(|der| match der.as_slice() {
                    [0x30, length, rest @ ..] if *length < 0x80 => {
                        usize::from(*length) == rest.len()
                    }
                    [0x30, 0x81, length, rest @ ..] => usize::from(*length) == rest.len(),
                    [0x30, 0x82, high, low, rest @ ..] => {
                        usize::from(u16::from_be_bytes([*high, *low])) == rest.len()
                    }
                    _ => false,
                });
                let no_key = "it is no SubjectPublicKeyInfo: use what stands between the lines of \
                              `openssl pkey -pubout`";
                sha256(&der.ok_or_else(|| error("spki", no_key))?)
            }
        };
        Ok(Proof::Rpk { spki_sha256 })
    }

    fn x509(&self) -> Result<Proof, CredentialError> {
        let rule = CertificateRule {
            common_name: optional(&self.common_name, |text| pattern("common_name", text))?,
            alternative_name: optional(&self.alternative_name, |text| {
                pattern("alternative_name", text)
            })?,
            serial: optional(&self.serial, |text| {
                let serial = from_hex("serial", text)?;
                let zeros = serial.iter().take_while(|byte| **byte == 0).count();
                Ok(serial[zeros.min(serial.len().saturating_sub(1))..].to_vec())
            })?,
            fingerprint: optional(&self.fingerprint, |text| hash_from_hex("fingerprint", text))?,
            spki_sha256: optional(&self.spki_sha256, |text| hash_from_hex("spki_sha256", text))?,
        };
        Ok(Proof::X509(rule))
    }

    fn oscore(&self) -> Result<Proof, CredentialError> {
        let key = self.master_secret.as_ref();
        let key = key.ok_or_else(|| error("master_secret", "it is missing"))?;
        let key = Zeroizing::new(from_hex("master_secret", key.as_str())?);
        let salt = optional(&self.master_salt, |salt| {
            from_hex("master_salt", salt.as_str())
        })?;
        let sender = either(
            ("sender_id", &self.sender_id),
            ("sender_id_hex", &self.sender_id_hex),
        )?;
        let recipient = either(
            ("recipient_id", &self.recipient_id),
            ("recipient_id_hex", &self.recipient_id_hex),
        )?;
        Ok(Proof::Oscore(OscoreCredential {
            master_secret: secret("master_secret", &key)?,
            master_salt: salt.unwrap_or_default(),
            sender_id: sender.unwrap_or_default(),
            recipient_id: recipient.unwrap_or_default(),
            id_context: optional(&self.id_context, |text| from_hex("id_context", text))?,
            aead: self.aead.unwrap_or(10),
            hmac: self.hmac.unwrap_or(5),
        }))
    }
}

/// The fields that a mode has besides `id`, `mode` and `endpoints`.
fn fields_of(mode: &str) -> &'static [&'static str] {
    match mode {
        "psk" => &[
            "server_name",
            "identity",
            "identity_hex",
            "key",
            "key_base64",
            "key_text",
        ],
        "rpk" => &["spki", "spki_sha256"],
        "x509" => &[
            "common_name",
            "alternative_name",
            "serial",
            "fingerprint",
            "spki_sha256",
        ],
        _ => &[
            "master_secret",
            "master_salt",
            "sender_id",
            "sender_id_hex",
            "recipient_id",
            "recipient_id_hex",
            "id_context",
            "aead",
            "hmac",
            "never_used",
        ],
    }
}

fn error(field: &'static str, message: impl Into<String>) -> CredentialError {
    let message = message.into();
    CredentialError { field, message }
}

fn optional<T, R>(
    field: &Option<T>,
    read: impl FnOnce(&T) -> Result<R, CredentialError>,
) -> Result<Option<R>, CredentialError> {
    field.as_ref().map(read).transpose()
}

/// The one of two fields that is given, as text or in hexadecimal.
fn either(
    text: (&'static str, &Option<String>),
    in_hex: (&'static str, &Option<String>),
) -> Result<Option<Vec<u8>>, CredentialError> {
    match (text.1, in_hex.1) {
        (None, None) => Ok(None),
        (Some(text), None) => Ok(Some(text.as_bytes().to_vec())),
        (None, Some(bytes)) => from_hex(in_hex.0, bytes).map(Some),
        (Some(_), Some(_)) => Err(error(text.0, format!("give it or {}", in_hex.0))),
    }
}

fn text_or_hex(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => (Some(text.to_owned()), None),
        _ => (None, Some(hex(bytes))),
    }
}

fn pattern(field: &'static str, text: &str) -> Result<NamePattern, CredentialError> {
    text.parse()
        .map_err(|wrong| error(field, format!("{text:?}: {wrong}")))
}

fn secret(field: &'static str, bytes: &[u8]) -> Result<SecretKey, CredentialError> {
    let wrong = || error(field, format!("use 1 to {} bytes", SecretKey::MAX));
    SecretKey::new(bytes).ok_or_else(wrong)
}

fn hash_from_hex(field: &'static str, text: &str) -> Result<[u8; 32], CredentialError> {
    // `openssl x509 -fingerprint` writes colons.
    let bytes = from_hex(field, &text.replace(':', ""))?;
    let wrong = |_| error(field, "use the 64 hexadecimal digits of a SHA-256");
    bytes.try_into().map_err(wrong)
}

/// Reads hexadecimal; the error says nothing of what was there, as it may be a key.
pub(crate) fn from_hex(field: &'static str, text: &str) -> Result<Vec<u8>, CredentialError> {
    let wrong = || error(field, "use hexadecimal digits, two for each byte");
    let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or_else(wrong);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Ok((digit(high)? << 4 | digit(low)?) as u8),
            _ => Err(wrong()),
        })
        .collect()
}

#[cfg(test)]
mod tests;
