//! The DTLS credentials that a device shares with its server (object 0, modes 0 to 2).

use std::sync::Arc;
use std::time::Duration;

use lwm2m_dtls::{
    CidOffer, ClientConfig, ClientCredentials, ExtendedMasterSecret, Psk, PskError, Timing,
};

/// An account with DTLS: who the device is, and whom it takes for its server.
///
/// ```
/// use lwm2m_device::DtlsAccount;
///
/// let account = DtlsAccount::psk(b"urn:dev:1", b"sixteen bytes ok")?;
/// # Ok::<(), lwm2m_dtls::PskError>(())
/// ```
#[derive(Debug, Clone)]
pub struct DtlsAccount {
    pub(super) client: Arc<ClientConfig>,
    pub(super) timing: Timing,
    pub(super) resumes: bool,
    pub(super) waiting_max: usize,
}

impl DtlsAccount {
    /// A pre-shared key: `/0/x/3` and `/0/x/5`.
    ///
    /// # Errors
    /// The key is empty or too long.
    pub fn psk(identity: &[u8], key: &[u8]) -> Result<DtlsAccount, PskError> {
        let key = Psk::new(key)?;
        Ok(DtlsAccount::new(ClientCredentials::Psk {
            identity: identity.into(),
            key,
        }))
    }

    /// An account with these credentials. It asks for a Connection ID and resumes its sessions;
    /// flights are repeated after 1 s, and a handshake is given up after 60 s.
    pub fn new(credentials: ClientCredentials) -> DtlsAccount {
        DtlsAccount {
            client: Arc::new(ClientConfig::new(credentials)),
            timing: Timing {
                retransmission_initial: Duration::from_secs(1),
                handshake_timeout: Duration::from_secs(60),
                ..Timing::default()
            },
            resumes: true,
            waiting_max: 16,
        }
    }

    /// What is asked for in the way of Connection IDs.
    pub fn cid(mut self, offer: CidOffer) -> DtlsAccount {
        Arc::make_mut(&mut self.client).cid = offer;
        self
    }

    /// The name of the server, for servers with several certificates (`/0/x/14`).
    pub fn server_name(mut self, name: impl Into<Box<str>>) -> DtlsAccount {
        Arc::make_mut(&mut self.client).server_name = Some(name.into());
        self
    }

    /// Whether a new handshake continues the session before; true.
    pub fn resumes(mut self, resumes: bool) -> DtlsAccount {
        self.resumes = resumes;
        self
    }

    /// Whether the server must have the extended master secret.
    pub fn extended_master_secret(mut self, wanted: ExtendedMasterSecret) -> DtlsAccount {
        Arc::make_mut(&mut self.client).extended_master_secret = wanted;
        self
    }

    /// When flights are repeated and handshakes given up.
    pub fn timing(mut self, timing: Timing) -> DtlsAccount {
        self.timing = timing;
        self
    }

    /// How many messages wait for a session at most; 16, and 1 at least. The oldest goes.
    pub fn waiting_max(mut self, max: usize) -> DtlsAccount {
        self.waiting_max = max;
        self
    }

    /// The credentials.
    pub fn credentials(&self) -> &ClientCredentials {
        &self.client.credentials
    }
}

/// The same account, not one with the same keys: those are not compared.
impl PartialEq for DtlsAccount {
    fn eq(&self, other: &DtlsAccount) -> bool {
        Arc::ptr_eq(&self.client, &other.client)
    }
}
