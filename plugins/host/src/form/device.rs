//! Devices: registrations, and peers that present themselves.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use lwm2m_core::{ObjectList, Version};
use lwm2m_server::hooks::CredentialRequest;
use lwm2m_server::{Binding, PeerIdentity, Registration, X509Identity};
use serde::{Deserialize, Serialize};

use super::input::{endpoint, pairs, unix_ms};
use super::value::{BytesForm, from_hex, to_hex};

/// Where a device is that says nothing else: an address for documentation (RFC 5737).
pub(super) const ADDRESS: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5683);

/// A device that has registered, or wants to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistrationForm {
    endpoint: String,
    /// As in `1.1`; 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<VersionForm>,
    /// In seconds; 86400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifetime: Option<u32>,
    /// As in `UQ`; `U`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    binding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sms: Option<String>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    #[serde(default, skip_serializing_if = "IdentityForm::is_nosec")]
    identity: IdentityForm,
    #[serde(default, skip_serializing_if = "LinksForm::is_empty")]
    links: LinksForm,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    /// In milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registered_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct VersionForm(Version);

/// A list of paths, as in `["/3/0", "/3303;ver=1.1"]`, or link format as devices send it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "serde_json::Value")]
pub(super) struct LinksForm(pub(super) Arc<ObjectList>);

/// Who a device has proven to be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum IdentityForm {
    #[default]
    Nosec,
    Psk(BytesForm),
    /// The SubjectPublicKeyInfo.
    Rpk(BytesForm),
    X509(X509Form),
    /// The sender id.
    Oscore(BytesForm),
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct X509Form {
    #[serde(skip_serializing_if = "Option::is_none")]
    common_name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alternative_names: Vec<String>,
    /// The SHA-256, 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<DigestForm>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct DigestForm(pub(super) [u8; 32]);

/// A peer that presents itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestForm {
    identity: IdentityForm,
    /// Of a pre-shared key: the server name of the ClientHello.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scheme: Option<SchemeForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SchemeForm {
    #[serde(rename = "coap")]
    Coap,
    #[serde(rename = "coaps")]
    Coaps,
    #[serde(rename = "coap+tcp")]
    CoapTcp,
    #[serde(rename = "coaps+tcp")]
    CoapsTcp,
}

impl RegistrationForm {
    /// # Errors
    /// A name that no device can have.
    pub(crate) fn registration(&self) -> Result<Registration, String> {
        let peer = self.address.unwrap_or(ADDRESS);
        let mut registration = Registration::new(endpoint(&self.endpoint)?, peer);
        if let Some(VersionForm(version)) = self.version {
            registration.version = version;
        }
        if let Some(lifetime_s) = self.lifetime {
            registration.lifetime_s = lifetime_s;
        }
        if let Some(letters) = &self.binding {
            registration.binding = Binding::from_letters(letters);
        }
        registration.sms = self.sms.as_deref().map(Into::into);
        registration.identity = self.identity.identity(None);
        registration.objects = Arc::clone(&self.links.0);
        registration.annotations = pairs(&self.annotations);
        if let Some(ms) = self.registered_ms {
            registration.registered_at = UNIX_EPOCH + Duration::from_millis(ms);
            registration.updated_at = registration.registered_at;
        }
        Ok(registration)
    }
}

impl From<&Arc<Registration>> for RegistrationForm {
    fn from(registration: &Arc<Registration>) -> RegistrationForm {
        RegistrationForm {
            endpoint: registration.endpoint.to_string(),
            version: Some(VersionForm(registration.version)),
            lifetime: Some(registration.lifetime_s),
            binding: Some(registration.binding.to_string()),
            sms: registration.sms.as_deref().map(str::to_owned),
            address: Some(registration.peer),
            identity: IdentityForm::of(&registration.identity),
            links: LinksForm(Arc::clone(&registration.objects)),
            annotations: registration.annotations.iter().cloned().collect(),
            registered_ms: Some(unix_ms(registration.registered_at)),
        }
    }
}

impl IdentityForm {
    pub(super) fn is_nosec(&self) -> bool {
        *self == IdentityForm::Nosec
    }

    pub(super) fn of(identity: &PeerIdentity) -> IdentityForm {
        match identity {
            PeerIdentity::Psk(psk) => IdentityForm::Psk(BytesForm(psk.identity.to_vec())),
            PeerIdentity::Rpk(rpk) => IdentityForm::Rpk(BytesForm(rpk.spki.to_vec())),
            PeerIdentity::X509(x509) => IdentityForm::X509(X509Form {
                common_name: x509.common_name.clone(),
                alternative_names: x509.alternative_names.clone(),
                fingerprint: Some(DigestForm(x509.fingerprint)),
            }),
            PeerIdentity::Oscore(oscore) => {
                IdentityForm::Oscore(BytesForm(oscore.sender_id.to_vec()))
            }
            _ => IdentityForm::Nosec,
        }
    }

    pub(super) fn identity(&self, server_name: Option<&str>) -> PeerIdentity {
        match self {
            IdentityForm::Nosec => PeerIdentity::Anonymous,
            IdentityForm::Psk(identity) => PeerIdentity::psk(&identity.0, server_name),
            IdentityForm::Rpk(spki) => PeerIdentity::rpk(&spki.0),
            IdentityForm::X509(x509) => PeerIdentity::x509(X509Identity {
                common_name: x509.common_name.clone(),
                alternative_names: x509.alternative_names.clone(),
                fingerprint: x509.fingerprint.map_or([0; 32], |digest| digest.0),
                ..X509Identity::default()
            }),
            IdentityForm::Oscore(sender_id) => PeerIdentity::oscore(&sender_id.0, None),
        }
    }
}

impl RequestForm {
    pub(super) fn of(request: &CredentialRequest) -> RequestForm {
        RequestForm {
            identity: IdentityForm::of(&request.presented),
            server_name: match &request.presented {
                PeerIdentity::Psk(psk) => psk.server_name.as_deref().map(str::to_owned),
                _ => None,
            },
            scheme: request.scheme.and_then(SchemeForm::named),
            address: request.peer,
        }
    }

    pub(super) fn request(self) -> CredentialRequest {
        let presented = self.identity.identity(self.server_name.as_deref());
        let mut request = CredentialRequest::new(presented);
        request.scheme = self.scheme.map(SchemeForm::name);
        request.peer = self.address;
        request
    }
}

impl SchemeForm {
    const ALL: [SchemeForm; 4] = [
        SchemeForm::Coap,
        SchemeForm::Coaps,
        SchemeForm::CoapTcp,
        SchemeForm::CoapsTcp,
    ];

    pub(super) fn named(name: &str) -> Option<SchemeForm> {
        SchemeForm::ALL
            .into_iter()
            .find(|scheme| scheme.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            SchemeForm::Coap => "coap",
            SchemeForm::Coaps => "coaps",
            SchemeForm::CoapTcp => "coap+tcp",
            SchemeForm::CoapsTcp => "coaps+tcp",
        }
    }
}

impl LinksForm {
    fn is_empty(&self) -> bool {
        self.0.paths.is_empty()
    }
}

impl TryFrom<toml::Value> for LinksForm {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<LinksForm, String> {
        let refused = "links are a list of paths, as [\"/3/0\", \"/3303;ver=1.1\"]";
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Array(links) => {
                let link = |link: &toml::Value| {
                    let (path, rest) = match link.as_str()?.split_once(';') {
                        Some((path, rest)) => (path, format!(";{rest}")),
                        None => (link.as_str()?, String::new()),
                    };
                    let path: lwm2m_core::Path = path.parse().ok()?;
                    Some(format!("<{path}>{rest}"))
                };
                let links: Option<Vec<String>> = links.iter().map(link).collect();
                links.ok_or(refused)?.join(",")
            }
            _ => return Err(refused.to_owned()),
        };
        let list = ObjectList::parse(text.as_bytes());
        let list = list.map_err(|error| format!("{error}; {refused}"))?;
        Ok(LinksForm(Arc::new(list)))
    }
}

impl From<LinksForm> for serde_json::Value {
    fn from(LinksForm(list): LinksForm) -> serde_json::Value {
        list.to_link_format().into()
    }
}

impl TryFrom<String> for VersionForm {
    type Error = String;

    fn try_from(text: String) -> Result<VersionForm, String> {
        let version = text.parse();
        version
            .map(VersionForm)
            .map_err(|error| format!("{text:?}: {error}"))
    }
}

impl From<VersionForm> for String {
    fn from(VersionForm(version): VersionForm) -> String {
        version.to_string()
    }
}

impl TryFrom<String> for DigestForm {
    type Error = &'static str;

    fn try_from(text: String) -> Result<DigestForm, &'static str> {
        let bytes = from_hex(&text).and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(DigestForm)
            .ok_or("a SHA-256 has 64 hexadecimal digits")
    }
}

impl From<DigestForm> for String {
    fn from(DigestForm(digest): DigestForm) -> String {
        to_hex(&digest)
    }
}
