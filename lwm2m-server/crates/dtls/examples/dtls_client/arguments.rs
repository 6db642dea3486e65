//! What the program is told at its start.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_dtls::{
    CertificateChain, CertificateUsage, CidOffer, CipherSuite, ClientConfig, ClientCredentials,
    MatchingType, PrivateKey, Psk, PublicKey, ServerExpectation, Timing, TrustStore,
};

pub(crate) struct Arguments {
    pub(crate) server: SocketAddr,
    pub(crate) client: ClientConfig,
    pub(crate) timing: Timing,
}

/// The files of keys and certificates.
#[derive(Default)]
struct Files {
    key: Option<PathBuf>,
    server_key: Option<PathBuf>,
    certificate: Option<PathBuf>,
    authority: Option<PathBuf>,
    name: Option<Box<str>>,
}

impl Arguments {
    /// # Errors
    /// Says which argument or file is wrong.
    pub(crate) fn read(
        mut arguments: impl Iterator<Item = String>,
    ) -> Result<Arguments, Box<dyn Error>> {
        let server = arguments.next().ok_or("the server is missing")?.parse()?;
        let mut files = Files::default();
        let mut psk = None;
        let mut suites = CipherSuite::ALL.to_vec();
        let mut cid = CidOffer::None;
        let mut timing = Timing {
            retransmission_initial: Duration::from_secs(2),
            ..Timing::default()
        };
        for argument in arguments {
            let (name, value) = argument.split_once('=').unwrap_or((&argument, ""));
            match name {
                "psk" => psk = Some(pre_shared_key(value)?),
                "key" => files.key = Some(value.into()),
                "server-key" => files.server_key = Some(value.into()),
                "certificate" => files.certificate = Some(value.into()),
                "authority" => files.authority = Some(value.into()),
                "name" => files.name = Some(value.into()),
                "suite" => {
                    let code = u16::from_str_radix(value, 16)?;
                    suites = vec![CipherSuite::from_code(code).ok_or("no such suite")?];
                }
                "cid" => {
                    cid = match value {
                        "empty" => CidOffer::Empty,
                        "both" => CidOffer::Both,
                        _ => CidOffer::None,
                    }
                }
                "patience" => timing.handshake_timeout = Duration::from_secs(value.parse()?),
                _ => return Err(format!("'{argument}' is no argument").into()),
            }
        }
        let mut client = ClientConfig::new(match psk {
            Some(psk) => psk,
            None => files.credentials()?,
        });
        client.server_name = files.name;
        client.suites = suites;
        client.cid = cid;
        Ok(Arguments {
            server,
            client,
            timing,
        })
    }
}

impl Files {
    fn credentials(&self) -> Result<ClientCredentials, Box<dyn Error>> {
        let key = match &self.key {
            Some(file) => Some(PrivateKey::parse(&std::fs::read(file)?)?),
            None => None,
        };
        if let Some(file) = &self.server_key {
            return Ok(ClientCredentials::RawPublicKey {
                key: key.ok_or("key=FILE is missing")?,
                server: PublicKey::parse(&std::fs::read(file)?)?,
            });
        }
        let authority = self
            .authority
            .as_ref()
            .ok_or("psk=, server-key= or authority= is missing")?;
        let authority = CertificateChain::parse(&std::fs::read(authority)?)?;
        let own = match (&self.certificate, key) {
            (Some(file), Some(key)) => Some((CertificateChain::parse(&std::fs::read(file)?)?, key)),
            (None, None) => None,
            _ => return Err("key=FILE goes with certificate=FILE or server-key=FILE".into()),
        };
        Ok(ClientCredentials::X509 {
            own,
            server: ServerExpectation {
                usage: CertificateUsage::TrustAnchorAssertion,
                matching: MatchingType::Exact,
                certificate: authority.leaf().as_der().into(),
                name: self.name.clone(),
                store: Arc::new(TrustStore::new()),
            },
        })
    }
}

fn pre_shared_key(value: &str) -> Result<ClientCredentials, Box<dyn Error>> {
    let (identity, key) = value.split_once(':').ok_or("psk=IDENTITY:HEX")?;
    Ok(ClientCredentials::Psk {
        identity: identity.as_bytes().into(),
        key: Psk::new(&bytes(key)?)?,
    })
}

/// Hexadecimal digits as bytes.
///
/// # Errors
/// They are none, or an odd number of them.
pub(crate) fn bytes(digits: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    (0..digits.len())
        .step_by(2)
        .map(|at| {
            let pair = digits.get(at..at + 2).ok_or("an odd number of digits")?;
            Ok(u8::from_str_radix(pair, 16)?)
        })
        .collect()
}
