//! The simulated device of `plugin run`: it does what the plugin has hooks for.
//!
//! ```text
//! credentials   the plugin is asked for a key ─> the device has this key, and a DTLS handshake;
//!               it is asked again when the handshake has failed. Or the device has a key of its
//!               own, raw or with a certificate, and the plugin accepts it in the handshake
//! bootstrap     the device asks for an account ─> registers with the one that was written
//! neither       it registers without security
//! ```
//!
//! Whatever server an account names, the device goes to the one on loopback, which knows the keys that
//! were written into it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use lwm2m_core::{Path, Value, Version};
use lwm2m_device::objects::{DeviceObject, Firmware, Temperature};
use lwm2m_device::{BootstrapAccount, Device, DeviceEvent, DeviceHandle, DtlsAccount, StandIn};
use lwm2m_dtls::Timing;
use lwm2m_plugins::PluginHost;
use lwm2m_server::bootstrap::{AccountSecurity, BootstrapPlan, ServerAccount};
use lwm2m_server::credentials::{Credential, CredentialId, NamePattern, Proof, SecretKey};
use lwm2m_server::hooks::{CredentialAnswer, CredentialRequest};
use lwm2m_server::{Answer, Hook, HookSet, Interceptor, PeerIdentity};
use tokio::sync::broadcast;

use super::keys::RunKeys;

/// Who the device is, and where its server is.
pub(super) struct Simulation {
    /// Its endpoint name.
    pub(super) endpoint: String,
    /// The identity of its key.
    pub(super) identity: String,
    /// What it proves itself with.
    pub(super) security: Security,
    /// For those that are no pre-shared keys.
    pub(super) keys: RunKeys,
    /// The server.
    pub(super) coap: SocketAddr,
    /// The same with DTLS.
    pub(super) coaps: SocketAddr,
}

/// What the device proves itself with to a plugin that has `credentials`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Security {
    Psk,
    Rpk,
    X509,
}

/// A device that was started.
pub(super) struct Started {
    pub(super) device: DeviceHandle,
    /// What it does.
    pub(super) told: String,
    events: broadcast::Receiver<DeviceEvent>,
    /// The key that the plugin had for it; none where it was not asked.
    key: Option<Option<SecretKey>>,
}

/// The device that runs.
#[derive(Clone, Default)]
pub(super) struct Running(Arc<Mutex<Option<DeviceHandle>>>);

/// Instances of object 0 that may hold an account which was written.
const ACCOUNTS: u16 = 8;

/// The key of a device for which the plugin has none: it knocks, and stays outside.
const NO_KEY: &[u8] = b"the wrong key, a";

/// How long it tries one handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// What is written into the device when the plugin leaves that to the server. The address does not
/// matter: the device goes to the server on loopback.
pub(super) fn account() -> BootstrapPlan {
    let security = AccountSecurity::NoSec;
    BootstrapPlan::replacing_accounts().account(&ServerAccount::new(
        1,
        "coap://127.0.0.1",
        security,
    ))
}

impl Simulation {
    /// Starts the device for a plugin with these hooks; `key` is one that the plugin has said already.
    ///
    /// # Errors
    /// There is no socket.
    pub(super) async fn start(
        &self,
        host: &PluginHost,
        hooks: &[Hook],
        key: Option<SecretKey>,
    ) -> anyhow::Result<Started> {
        let version = Version::V1_1;
        let device = Device::builder(&self.endpoint)
            .version(version)
            .lifetime_s(30)
            .object(DeviceObject::new(version, "Meter M3", "M3-000042"))
            .object(Firmware::new("1.0.0"))
            .object(Temperature::new(1).drifting(Duration::from_secs(2), 42));
        let mut told = Vec::new();
        let mut dtls = None;
        let mut asked = None;
        if hooks.contains(&Hook::Credentials) {
            let account = match self.security {
                Security::Psk => {
                    let key = match key {
                        Some(key) => Some(key),
                        None => self.key(host).await,
                    };
                    told.push(self.told_of(key.as_ref()));
                    let bytes = key.as_ref().map_or(NO_KEY, SecretKey::expose);
                    let account = DtlsAccount::psk(self.identity.as_bytes(), bytes);
                    asked = Some(key.clone());
                    account.context("the key of the plugin is of no use")?
                }
                Security::Rpk => {
                    told.push("with a raw public key".to_owned());
                    self.keys.rpk()
                }
                Security::X509 => {
                    told.push(format!("with a certificate of {:?}", self.endpoint));
                    self.keys.x509()
                }
            };
            // Each time it starts, the plugin is asked.
            let account = account.resumes(false).timing(Timing {
                retransmission_initial: Duration::from_secs(1),
                handshake_timeout: HANDSHAKE_TIMEOUT,
                ..Timing::default()
            });
            dtls = Some(account);
        }
        let server = match dtls {
            Some(_) => self.coaps,
            None => self.coap,
        };
        let device = if hooks.contains(&Hook::Bootstrap) || hooks.contains(&Hook::OnBootstrapped) {
            told.push("asks for an account".to_owned());
            let account = BootstrapAccount::new(server).stand_in(StandIn {
                coap: self.coap,
                coaps: self.coaps,
            });
            device.bootstrap(match dtls {
                Some(dtls) => account.dtls(dtls),
                None => account,
            })
        } else {
            told.push("registers".to_owned());
            let device = device.server(server);
            match dtls {
                Some(dtls) => device.dtls(dtls),
                None => device,
            }
        };
        let device = device.start().await?;
        Ok(Started {
            events: device.events(),
            told: format!("{} {}", self.endpoint, told.join(" ")),
            key: asked,
            device,
        })
    }

    fn told_of(&self, key: Option<&SecretKey>) -> String {
        let identity = &self.identity;
        match key {
            Some(_) => format!("with the key that the plugin has for {identity:?}"),
            None => format!(
                "with a key of its own, as the plugin has none for {identity:?} (--identity names \
                 another; it is asked again when the handshake has failed)"
            ),
        }
    }

    /// Another key than the device has, when it could not get in with that one and the plugin has one
    /// by now.
    pub(super) async fn other_key(
        &self,
        host: &PluginHost,
        started: &mut Started,
    ) -> Option<SecretKey> {
        let had = started.key.clone()?;
        if !started.has_failed() {
            return None;
        }
        self.key(host).await.filter(|key| had.as_ref() != Some(key))
    }

    /// The key that the plugin has for the device.
    async fn key(&self, host: &PluginHost) -> Option<SecretKey> {
        let identity = PeerIdentity::psk(self.identity.as_bytes(), None);
        let request = Arc::new(CredentialRequest::new(identity));
        match host.credentials(&request).await {
            CredentialAnswer::Grant { credential, .. } => match &credential.proof {
                Proof::Psk { key, .. } => Some(key.clone()),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Started {
    /// True when it could not get in since this was asked last.
    fn has_failed(&mut self) -> bool {
        let mut has_failed = false;
        loop {
            match self.events.try_recv() {
                Ok(
                    DeviceEvent::RegistrationFailed(_)
                    | DeviceEvent::BootstrapFailed(_)
                    | DeviceEvent::SessionDown { .. },
                ) => has_failed = true,
                Ok(DeviceEvent::Registered { .. } | DeviceEvent::Bootstrapped { .. }) => {
                    has_failed = false;
                }
                Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return has_failed,
            }
        }
    }
}

impl Running {
    /// Another device takes the place of the one that runs, which stops without a word.
    pub(super) async fn replace(&self, device: Option<DeviceHandle>) {
        let before = {
            let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *running, device)
        };
        if let Some(before) = before {
            before.stop().await;
        }
    }

    fn device(&self) -> Option<DeviceHandle> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The key that was written into the device with an identity.
    async fn written(self, presented: PeerIdentity) -> Option<Credential> {
        let PeerIdentity::Psk(psk) = presented else {
            return None;
        };
        let device = self.device()?;
        let wanted = psk.identity.clone();
        let key = device.with(move |client, _| {
            let bytes = |instance, resource| {
                let path = Path::resource(0, instance, resource);
                match client.objects().stored(&path) {
                    Some(Value::Opaque(bytes)) => Some(bytes.to_vec()),
                    _ => None,
                }
            };
            let has = |instance: &u16| bytes(*instance, 3).as_deref() == Some(&wanted);
            let instance = (0..ACCOUNTS).find(has)?;
            SecretKey::new(&bytes(instance, 5)?)
        });
        let proof = Proof::Psk {
            identity: psk.identity.clone(),
            key: key.await.ok()??,
        };
        let credential = Credential::new(CredentialId::random(), proof);
        Some(credential.endpoints([NamePattern::exact(device.endpoint_name())]))
    }
}

/// Behind the plugin: the server knows what was written into the device.
impl Interceptor for Running {
    fn name(&self) -> &str {
        "accounts-written"
    }

    fn hooks(&self) -> HookSet {
        HookSet::EMPTY.with(Hook::Credentials)
    }

    fn credentials(&self, request: &Arc<CredentialRequest>) -> Answer<CredentialAnswer> {
        let written = self.clone().written(request.presented.clone());
        Answer::later(async move {
            match written.await {
                Some(credential) => CredentialAnswer::Grant {
                    credential: Arc::new(credential),
                    cache: Duration::ZERO,
                },
                None => CredentialAnswer::Unknown,
            }
        })
    }
}
