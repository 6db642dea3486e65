//! Plans as text: TOML, or JSON of the same fields.

mod text;

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use lwm2m_core::{ContentFormat, DataType, ObjectModels, Path, PathLevel, Record, Value};
use text::{Device, Mode, Policy, Server};

use super::{
    AccountSecurity, BootstrapPlan, BootstrapRequest, FailurePolicy, OscoreAccount, ServerAccount,
};
use crate::credentials::{Credential, NamePattern, Proof, SecretKey, from_hex};
use crate::keys::{CertificateChain, PrivateKey, PublicKey, read_key_file};

/// One kind of device, as a file says it.
#[derive(Debug)]
pub(super) struct DevicePlan {
    pub(super) endpoint: NamePattern,
    /// What comes before the accounts.
    first: BootstrapPlan,
    accounts: Vec<Account>,
    /// What comes behind them.
    rest: Vec<Record<'static>>,
    reads: bool,
}

/// An account, whose security may be that of a credential.
#[derive(Debug)]
struct Account {
    account: ServerAccount,
    credential: Option<Mode>,
}

pub use text::BootstrapDocument;

/// What is wrong in a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct BootstrapDocumentError {
    /// Where, as in `device 2 (urn:a), server 1` or `line 7`.
    pub place: String,
    /// What.
    pub message: String,
}

impl DevicePlan {
    /// Reads documents; key files are looked for in `folder`. What a value is, the models say.
    pub(super) fn read_all(
        documents: &[BootstrapDocument],
        folder: &FilePath,
        models: &dyn ObjectModels,
    ) -> Result<Vec<DevicePlan>, BootstrapDocumentError> {
        let devices = documents.iter().enumerate();
        devices
            .map(|(index, BootstrapDocument(device))| {
                let place = format!("device {} ({})", index + 1, device.endpoint);
                device.plan(&place, folder, models)
            })
            .collect()
    }

    /// True when a credential of the device has to be known.
    pub(super) fn wants_credentials(&self) -> bool {
        self.accounts.iter().any(|a| a.credential.is_some())
    }

    /// The plan for a device, with its credentials; none when one is missing.
    pub(super) fn plan(
        &self,
        request: Option<&BootstrapRequest>,
        credentials: &[Arc<Credential>],
    ) -> Option<BootstrapPlan> {
        let mut plan = self.first.clone();
        for Account {
            account,
            credential,
        } in &self.accounts
        {
            plan = match credential {
                None => plan.account(account),
                Some(mode) => {
                    let credential = chosen(*mode, request, credentials)?;
                    plan.account(&with_credential(account.clone(), &credential.proof))
                }
            };
        }
        plan = plan.write(self.rest.iter().cloned());
        Some(match self.reads {
            true => plan.read(Path::object(1)),
            false => plan,
        })
    }
}

/// The credential for an account: not the one that the device bootstraps with, where there is
/// another one.
fn chosen<'c>(
    mode: Mode,
    request: Option<&BootstrapRequest>,
    credentials: &'c [Arc<Credential>],
) -> Option<&'c Arc<Credential>> {
    let of_mode = |credential: &&Arc<Credential>| {
        matches!(
            (mode, &credential.proof),
            (Mode::Psk, Proof::Psk { .. }) | (Mode::Oscore, Proof::Oscore(_))
        )
    };
    let session = request.and_then(|request| request.authenticated.as_deref());
    let in_session = |credential: &Arc<Credential>| {
        session.is_some_and(|s| s.credentials.iter().any(|own| own.id == credential.id))
    };
    let mut of_mode = credentials.iter().filter(of_mode);
    let first = of_mode.clone().next();
    of_mode.find(|credential| !in_session(credential)).or(first)
}

/// The device's side of a credential, which is the server's.
fn with_credential(account: ServerAccount, proof: &Proof) -> ServerAccount {
    match proof {
        Proof::Psk { identity, key } => ServerAccount {
            security: AccountSecurity::Psk {
                identity: identity.to_vec(),
                key: key.clone(),
            },
            ..account
        },
        Proof::Oscore(context) => account.oscore(OscoreAccount {
            master_secret: context.master_secret.clone(),
            sender_id: context.recipient_id.clone(),
            recipient_id: context.sender_id.clone(),
            master_salt: context.master_salt.clone(),
            id_context: context.id_context.clone(),
        }),
        Proof::Rpk { .. } | Proof::X509(_) => account,
    }
}

impl Device {
    fn plan(
        &self,
        place: &str,
        folder: &FilePath,
        models: &dyn ObjectModels,
    ) -> Result<DevicePlan, BootstrapDocumentError> {
        let wrong = |message: String| BootstrapDocumentError {
            place: place.to_owned(),
            message,
        };
        let endpoint = self.endpoint.parse();
        let endpoint = endpoint.map_err(|error| wrong(format!("endpoint: {error}")))?;
        let mut first = BootstrapPlan::new();
        first.on_failure = match self.on_failure {
            Policy::Accounts => FailurePolicy::Accounts,
            Policy::Continue => FailurePolicy::Continue,
            Policy::Stop => FailurePolicy::Stop,
        };
        if let Some(format) = &self.content_format {
            let format = format.parse::<ContentFormat>().ok();
            let format = format.filter(|f| super::parameters::FORMATS.contains(f));
            let unknown = || {
                wrong("content_format: use senml-json, senml-cbor, tlv or lwm2m-cbor".to_owned())
            };
            first.content_format = Some(format.ok_or_else(unknown)?);
        }
        if self.discover {
            first = first.discover(Path::ROOT);
        }
        for path in &self.delete {
            let parsed = path.parse::<Path>().ok();
            let parsed = parsed.filter(|path| path.level() <= PathLevel::ObjectInstance);
            let shallow = || wrong(format!("delete: {path} is not /, an object or an instance"));
            first = first.delete(parsed.ok_or_else(shallow)?);
        }
        let accounts = self.server.iter().enumerate().map(|(index, server)| {
            let place = format!("{place}, server {}", index + 1);
            server.account(&place, folder)
        });
        let accounts = accounts.collect::<Result<_, _>>()?;
        let mut rest = Vec::new();
        for (path, value) in &self.write {
            let parsed = path.parse::<Path>().ok();
            let parsed = parsed.filter(|path| path.level() >= PathLevel::Resource);
            let shallow = || wrong(format!("write: {path} is no resource"));
            let parsed = parsed.ok_or_else(shallow)?;
            let value = typed(&parsed, value, models)
                .ok_or_else(|| wrong(format!("write: {path} has a value of another type")))?;
            rest.push(Record::new(parsed, value));
        }
        rest.sort_by_key(|record| record.path);
        Ok(DevicePlan {
            endpoint,
            first,
            accounts,
            rest,
            reads: self.verify,
        })
    }
}

/// A value of the type that the newest model of the object gives.
fn typed(path: &Path, value: &toml::Value, models: &dyn ObjectModels) -> Option<Value<'static>> {
    let model = models.object(path.object_id()?, None);
    let resource = path.resource_id()?;
    let known = model.and_then(|model| model.resource(resource)?.data_type);
    let value = match (value, known) {
        (toml::Value::String(text), Some(DataType::String)) => Value::from(text.clone()),
        (toml::Value::String(text), Some(known)) => {
            Value::from_text(known, text).ok()?.into_owned()
        }
        (toml::Value::String(text), None) => Value::from(text.clone()),
        (toml::Value::Integer(number), _) => Value::Integer(*number),
        (toml::Value::Float(number), _) => Value::Float(*number),
        (toml::Value::Boolean(truth), _) => Value::Boolean(*truth),
        _ => return None,
    };
    match known {
        Some(known) => Some(value.cast(known).ok()?.into_owned()),
        None => Some(value),
    }
}

impl Server {
    fn account(&self, place: &str, folder: &FilePath) -> Result<Account, BootstrapDocumentError> {
        let wrong = |field: &str, message: &dyn std::fmt::Display| BootstrapDocumentError {
            place: place.to_owned(),
            message: format!("{field}: {message}"),
        };
        if !(1..=65534).contains(&self.short_server_id) {
            return Err(wrong("short_server_id", &"use 1 to 65534"));
        }
        let scheme = self.uri.split_once("://").map(|(scheme, _)| scheme);
        let is_secure = match scheme {
            Some("coap" | "coap+tcp") => false,
            Some("coaps" | "coaps+tcp") => true,
            _ => {
                return Err(wrong(
                    "uri",
                    &"use coap://, coaps://, coap+tcp:// or coaps+tcp://",
                ));
            }
        };
        let security = self.security(&wrong, folder)?;
        let is_psk = self.credential == Some(Mode::Psk);
        match (is_secure, security != AccountSecurity::NoSec || is_psk) {
            (true, false) => return Err(wrong("uri", &"it is secure, and there is no key for it")),
            (false, true) => return Err(wrong("uri", &"it is not secure, and there is a key")),
            _ => {}
        }
        let mut account = ServerAccount::new(self.short_server_id, self.uri.clone(), security);
        account.lifetime_s = self.lifetime;
        account.notification_storing = self.notification_storing;
        if let Some(binding) = &self.binding {
            account.binding.clone_from(binding);
        }
        Ok(Account {
            account,
            credential: self.credential,
        })
    }

    fn security(
        &self,
        wrong: &dyn Fn(&str, &dyn std::fmt::Display) -> BootstrapDocumentError,
        folder: &FilePath,
    ) -> Result<AccountSecurity, BootstrapDocumentError> {
        let read = |field: &str, path: &PathBuf| {
            let path = folder.join(path);
            read_key_file(&path)
                .map_err(|error| wrong(field, &format!("{}: {error}", path.display())))
        };
        match (&self.psk_identity, &self.psk_key, &self.private_key) {
            (None, None, None) => Ok(AccountSecurity::NoSec),
            (Some(identity), Some(key), None) => {
                let key = from_hex("psk_key", key.as_str());
                let key = key.map_err(|error| wrong("psk_key", &error.message))?;
                let key = zeroize::Zeroizing::new(key);
                let key = SecretKey::new(&key);
                Ok(AccountSecurity::Psk {
                    identity: identity.clone().into_bytes(),
                    key: key.ok_or_else(|| wrong("psk_key", &"use 1 to 64 bytes"))?,
                })
            }
            (None, None, Some(path)) => {
                let key = PrivateKey::parse(&read("private_key", path)?);
                let key = key.map_err(|error| wrong("private_key", &error))?;
                let made = match (
                    &self.server_public_key,
                    &self.certificate,
                    &self.server_certificate,
                ) {
                    (Some(server), None, None) => {
                        let server = PublicKey::parse(&read("server_public_key", server)?);
                        let server = server.map_err(|error| wrong("server_public_key", &error))?;
                        AccountSecurity::rpk(&key, &server)
                    }
                    (None, Some(own), Some(server)) => {
                        let chain = |field: &str, path| {
                            let chain = CertificateChain::parse(&read(field, path)?);
                            chain.map_err(|error| wrong(field, &error))
                        };
                        let own = chain("certificate", own)?;
                        let server = chain("server_certificate", server)?;
                        let (own, server) = (own.leaf().as_der(), server.leaf().as_der());
                        AccountSecurity::x509(own, &key, server)
                    }
                    _ => {
                        let message = "it goes with server_public_key, or with certificate and \
                                       server_certificate";
                        return Err(wrong("private_key", &message));
                    }
                };
                let made = made.map_err(|error| wrong("private_key", &error))?;
                Ok(with_usage(made, self.certificate_usage))
            }
            (Some(_), None, _) | (None, Some(_), _) => {
                Err(wrong("psk_key", &"it goes with psk_identity"))
            }
            (Some(_), Some(_), Some(_)) => {
                Err(wrong("private_key", &"a pre-shared key is there already"))
            }
        }
    }
}

fn with_usage(security: AccountSecurity, usage: Option<u8>) -> AccountSecurity {
    match security {
        AccountSecurity::X509 {
            certificate,
            private_key,
            server_certificate,
            ..
        } => AccountSecurity::X509 {
            certificate,
            private_key,
            server_certificate,
            certificate_usage: usage,
        },
        other => other,
    }
}

#[cfg(test)]
mod tests;
