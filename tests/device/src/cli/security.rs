//! Who a device is, and whom it takes for its server: the arguments.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lwm2m_device::DtlsAccount;
use lwm2m_dtls::{CertificateChain, ClientCredentials, PrivateKey, PublicKey, ServerExpectation};

/// What stands for the endpoint name in the arguments below.
const ENDPOINT: &str = "{}";

/// Credentials, for coaps://. In each of them `{}` stands for the endpoint name.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Security, for coaps://; {} stands for the endpoint name")]
pub(super) struct Security {
    /// Identity of the pre-shared key
    #[arg(long, value_name = "TEXT", requires = "psk_key", default_value = ENDPOINT)]
    psk_identity: String,

    /// Pre-shared key: hexadecimal digits, or text:...
    #[arg(long, value_name = "HEX", conflicts_with = "key")]
    psk_key: Option<String>,

    /// Private key of the device (PEM or DER), as `lwm2m-server keygen --device` writes it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// Certificate of the device (PEM or DER)
    #[arg(long, value_name = "FILE", requires_all = ["key", "server_certificate"])]
    certificate: Option<PathBuf>,

    /// The certificate that the server has to show
    #[arg(long, value_name = "FILE", requires = "certificate")]
    server_certificate: Option<PathBuf>,

    /// The raw public key that the server has to show; the device then shows its own
    #[arg(
        long,
        value_name = "FILE",
        requires = "key",
        conflicts_with = "certificate"
    )]
    server_public_key: Option<PathBuf>,
}

impl Security {
    /// True when there are credentials.
    pub(super) fn is_given(&self) -> bool {
        self.psk_key.is_some() || self.key.is_some()
    }

    /// The account of one device.
    ///
    /// # Errors
    /// Says which argument or file is wrong.
    pub(super) fn account(&self, endpoint: &str) -> Result<DtlsAccount> {
        let credentials = match (&self.psk_key, &self.key) {
            (Some(key), _) => {
                let key = psk_key(&key.replace(ENDPOINT, endpoint))?;
                let identity = self.psk_identity.replace(ENDPOINT, endpoint);
                return DtlsAccount::psk(identity.as_bytes(), &key).context("--psk-key");
            }
            (None, Some(key)) => self.with_key(&in_path(key, endpoint), endpoint)?,
            (None, None) => bail!(
                "coaps:// needs --psk-key, or --key with --server-public-key or --certificate"
            ),
        };
        Ok(DtlsAccount::new(credentials))
    }

    /// The account of one device for TLS.
    ///
    /// # Errors
    /// Says which argument is wrong.
    #[cfg(feature = "tls-psk")]
    pub(super) fn tls_account(&self, endpoint: &str) -> Result<lwm2m_device::TlsAccount> {
        let Some(key) = &self.psk_key else {
            bail!(
                "coaps+tcp:// needs --psk-key: certificates and raw public keys are for coaps://"
            );
        };
        let key = psk_key(&key.replace(ENDPOINT, endpoint))?;
        let identity = self.psk_identity.replace(ENDPOINT, endpoint);
        lwm2m_device::TlsAccount::psk(identity.as_bytes(), &key).context("--psk-key")
    }

    fn with_key(&self, path: &Path, endpoint: &str) -> Result<ClientCredentials> {
        let key = file("--key", path, PrivateKey::parse)?;
        if let Some(server) = &self.server_public_key {
            let server = in_path(server, endpoint);
            let server = file("--server-public-key", &server, PublicKey::parse)?;
            return Ok(ClientCredentials::RawPublicKey { key, server });
        }
        let (Some(own), Some(server)) = (&self.certificate, &self.server_certificate) else {
            bail!("--key goes with --server-public-key, or with --certificate");
        };
        let chain = |name, path| file(name, &in_path(path, endpoint), CertificateChain::parse);
        let own = chain("--certificate", own)?;
        let server = chain("--server-certificate", server)?;
        Ok(ClientCredentials::X509 {
            own: Some((own, key)),
            server: ServerExpectation::exactly(server.leaf().as_der()),
        })
    }
}

fn file<T, E: std::error::Error + Send + Sync + 'static>(
    argument: &str,
    path: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<T> {
    let name = || format!("{argument} {}", path.display());
    let bytes = std::fs::read(path).with_context(name)?;
    parse(&bytes).with_context(name)
}

fn in_path(path: &Path, endpoint: &str) -> PathBuf {
    match path.to_str() {
        Some(text) => text.replace(ENDPOINT, &file_name(endpoint)).into(),
        None => path.to_owned(),
    }
}

/// An endpoint name as `lwm2m-server keygen` puts it into the names of files.
fn file_name(endpoint: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let letters = endpoint.chars();
    letters.map(|c| if plain(c) { c } else { '-' }).collect()
}

fn psk_key(text: &str) -> Result<Vec<u8>> {
    if let Some(text) = text.strip_prefix("text:") {
        return Ok(text.as_bytes().to_vec());
    }
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    match digits {
        Some(digits) if digits.len().is_multiple_of(2) => Ok(digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()),
        _ => bail!("--psk-key: an even number of hexadecimal digits, or text: and the text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_has_an_identity_and_a_key_for_each_device() {
        let security = Security {
            psk_identity: "id-{}".to_owned(),
            psk_key: Some("text:key of {}".to_owned()),
            ..Security::default()
        };
        let account = security.account("device-7").unwrap();
        let ClientCredentials::Psk { identity, key } = account.credentials() else {
            panic!("a pre-shared key");
        };
        assert_eq!(&identity[..], b"id-device-7");
        assert_eq!(*key, lwm2m_dtls::Psk::new(b"key of device-7").unwrap());
    }

    #[test]
    fn keys_are_hexadecimal_or_text() {
        assert_eq!(psk_key("00ff").unwrap(), [0, 255]);
        assert_eq!(psk_key("text:00ff").unwrap(), b"00ff");
        for wrong in ["00f", "secret"] {
            let error = psk_key(wrong).unwrap_err().to_string();
            assert!(error.contains("hexadecimal"), "{error}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Security::default().account("a").unwrap_err().to_string();
        assert!(error.contains("coaps:// needs"), "{error}");
        let security = Security {
            key: Some("/nowhere/device-{}-key.pem".into()),
            ..Security::default()
        };
        let error = security.account("urn:a").unwrap_err().to_string();
        assert!(error.contains("/nowhere/device-urn-a-key.pem"), "{error}");
    }
}
