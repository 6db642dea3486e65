//! An account of a LwM2M server: what a device has to know of it, as objects 0, 1 and 21.

use std::fmt;

use lwm2m_core::{ObjectLink, Path, Record, Value};
use zeroize::Zeroizing;

use crate::credentials::SecretKey;
use crate::keys::{KeyError, PrivateKey, PublicKey};

/// An account of a LwM2M server, as a device keeps it (Core 1.2.2 Appendices E.1, E.2, E.8).
///
/// What has no field here is written by [`BootstrapPlan::write`](super::BootstrapPlan::write).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerAccount {
    /// What ties the objects together and names the server to the device: 1 to 65534.
    pub short_server_id: u16,
    /// Where the server is, as in `coaps://lwm2m.example.com:5684`.
    pub uri: String,
    /// How the device proves itself, and the server to it.
    pub security: AccountSecurity,
    /// OSCORE, alone with [`AccountSecurity::NoSec`] or within DTLS or TLS.
    pub oscore: Option<OscoreAccount>,
    /// The lifetime of the registration, in seconds; 300.
    pub lifetime_s: u32,
    /// The bindings; `U`, or `T` where the URI says TCP.
    pub binding: String,
    /// Whether notifications are kept while the server cannot be reached; true.
    pub notification_storing: bool,
}

/// How the two prove themselves to each other (`/0/x/2` and what goes with it).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccountSecurity {
    /// Not at all, or by OSCORE.
    NoSec,
    /// By a pre-shared key.
    Psk {
        /// The identity.
        identity: Vec<u8>,
        /// The key.
        key: SecretKey,
    },
    /// By raw public keys.
    Rpk {
        /// The device's own: SubjectPublicKeyInfo in DER.
        public_key: Vec<u8>,
        /// The device's own.
        private_key: DeviceKey,
        /// The server's: SubjectPublicKeyInfo in DER.
        server_public_key: Vec<u8>,
    },
    /// By certificates.
    X509 {
        /// The device's own, in DER.
        certificate: Vec<u8>,
        /// The device's own.
        private_key: DeviceKey,
        /// What the server's is held against, in DER.
        server_certificate: Vec<u8>,
        /// How it is (`/0/x/15`): 0 to 3. None leaves it to the device, which takes 3: exactly this
        /// certificate.
        certificate_usage: Option<u8>,
    },
}

/// A private key of a device, PKCS#8 in DER: wiped when it goes, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceKey(Zeroizing<Vec<u8>>);

impl DeviceKey {
    /// The bytes of a key that is not of a kind which [`PrivateKey`] reads.
    pub fn from_pkcs8(der: Vec<u8>) -> DeviceKey {
        DeviceKey(Zeroizing::new(der))
    }

    /// The bytes, for the device.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&PrivateKey> for DeviceKey {
    type Error = KeyError;

    fn try_from(key: &PrivateKey) -> Result<DeviceKey, KeyError> {
        key.to_pkcs8().map(DeviceKey)
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey(…)")
    }
}

/// An OSCORE context from the side of the device (object 21).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OscoreAccount {
    /// The Master Secret.
    pub master_secret: SecretKey,
    /// The device's Sender ID, which is the server's Recipient ID.
    pub sender_id: Vec<u8>,
    /// The device's Recipient ID, which is the server's Sender ID.
    pub recipient_id: Vec<u8>,
    /// The Master Salt; empty for none.
    pub master_salt: Vec<u8>,
    /// The ID Context.
    pub id_context: Option<Vec<u8>>,
}

impl AccountSecurity {
    /// Raw public keys: the device's, and the one that the server shows.
    ///
    /// # Errors
    /// The key cannot be written as PKCS#8.
    pub fn rpk(key: &PrivateKey, server: &PublicKey) -> Result<AccountSecurity, KeyError> {
        Ok(AccountSecurity::Rpk {
            public_key: key.public_key().as_spki().to_vec(),
            private_key: key.try_into()?,
            server_public_key: server.as_spki().to_vec(),
        })
    }

    /// Certificates in DER: the device's with its key, and the one that the server shows.
    ///
    /// # Errors
    /// The key cannot be written as PKCS#8.
    pub fn x509(
        certificate: &[u8],
        key: &PrivateKey,
        server_certificate: &[u8],
    ) -> Result<AccountSecurity, KeyError> {
        Ok(AccountSecurity::X509 {
            certificate: certificate.to_vec(),
            private_key: key.try_into()?,
            server_certificate: server_certificate.to_vec(),
            certificate_usage: None,
        })
    }
}

impl ServerAccount {
    /// An account with a lifetime of 300 s.
    pub fn new(
        short_server_id: u16,
        uri: impl Into<String>,
        security: AccountSecurity,
    ) -> ServerAccount {
        let uri = uri.into();
        let binding = match uri.starts_with("coap+tcp:") || uri.starts_with("coaps+tcp:") {
            true => "T",
            false => "U",
        };
        ServerAccount {
            short_server_id,
            uri,
            security,
            oscore: None,
            lifetime_s: 300,
            binding: binding.to_owned(),
            notification_storing: true,
        }
    }

    /// The account with OSCORE.
    pub fn oscore(mut self, oscore: OscoreAccount) -> ServerAccount {
        self.oscore = Some(oscore);
        self
    }

    /// The account with another lifetime, in seconds.
    pub fn lifetime_s(mut self, lifetime_s: u32) -> ServerAccount {
        self.lifetime_s = lifetime_s;
        self
    }

    /// The records of the account: its Security, OSCORE and Server object in these instances.
    pub fn records(&self, security: u16, oscore: u16, server: u16) -> Vec<Record<'static>> {
        let id = i64::from(self.short_server_id);
        let mut records = Vec::new();
        let mut at = |resource, value: Value<'static>| {
            records.push(Record::new(Path::resource(0, security, resource), value));
        };
        at(0, self.uri.clone().into());
        at(1, false.into());
        at(2, self.security.mode().into());
        // Resources 3, 4 and 5 are mandatory in object 0: what a mode does not use is empty, and a
        // device that is strict about it (the client of Leshan) does not fail for its absence.
        let empty = Vec::new;
        match &self.security {
            AccountSecurity::NoSec => (3..=5).for_each(|resource| at(resource, empty().into())),
            AccountSecurity::Psk { identity, key } => {
                at(3, identity.clone().into());
                at(4, empty().into());
                at(5, key.expose().to_vec().into());
            }
            AccountSecurity::Rpk {
                public_key,
                private_key,
                server_public_key,
            } => {
                at(3, public_key.clone().into());
                at(4, server_public_key.clone().into());
                at(5, private_key.expose().to_vec().into());
            }
            AccountSecurity::X509 {
                certificate,
                private_key,
                server_certificate,
                certificate_usage,
            } => {
                at(3, certificate.clone().into());
                at(4, server_certificate.clone().into());
                at(5, private_key.expose().to_vec().into());
                if let Some(usage) = certificate_usage {
                    at(15, u64::from(*usage).into());
                }
            }
        }
        at(10, id.into());
        if let Some(context) = &self.oscore {
            let object = 21;
            let link = ObjectLink {
                object,
                instance: oscore,
            };
            at(17, link.into());
            context.write(oscore, &mut records);
        }
        let mut at = |resource, value: Value<'static>| {
            records.push(Record::new(Path::resource(1, server, resource), value));
        };
        at(0, id.into());
        at(1, i64::from(self.lifetime_s).into());
        at(6, self.notification_storing.into());
        at(7, self.binding.clone().into());
        records
    }
}

impl OscoreAccount {
    fn write(&self, instance: u16, records: &mut Vec<Record<'static>>) {
        let mut at = |resource, value: &[u8]| {
            let path = Path::resource(21, instance, resource);
            records.push(Record::new(path, value.to_vec()));
        };
        at(0, self.master_secret.expose());
        at(1, &self.sender_id);
        at(2, &self.recipient_id);
        if !self.master_salt.is_empty() {
            at(5, &self.master_salt);
        }
        if let Some(context) = &self.id_context {
            at(6, context);
        }
    }
}

impl AccountSecurity {
    /// `/0/x/2`
    fn mode(&self) -> i64 {
        match self {
            AccountSecurity::Psk { .. } => 0,
            AccountSecurity::Rpk { .. } => 1,
            AccountSecurity::X509 { .. } => 2,
            AccountSecurity::NoSec => 3,
        }
    }
}

impl fmt::Debug for AccountSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AccountSecurity::Psk { .. } => "Psk(…)",
            AccountSecurity::Rpk { .. } => "Rpk(…)",
            AccountSecurity::X509 { .. } => "X509(…)",
            AccountSecurity::NoSec => "NoSec",
        })
    }
}
