//! TLS with a pre-shared key between a device and its server: OpenSSL.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use lwm2m_dtls::{Psk, PskError};
use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslVersion};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;
use zeroize::Zeroizing;

/// The suites that a device offers: those of TLS 1.2 that LwM2M names first.
const SUITES: &str = "PSK-AES128-CCM8:PSK-AES128-CCM:PSK-AES128-GCM-SHA256:@SECLEVEL=0";

/// The suites of TLS 1.3; a key stands for SHA-256.
const SUITES_1_3: &str = "TLS_AES_128_CCM_8_SHA256:TLS_AES_128_CCM_SHA256:TLS_AES_128_GCM_SHA256";

/// An account with TLS: who the device is, and the key that proves it and the server.
#[derive(Clone)]
pub struct TlsAccount {
    identity: Box<[u8]>,
    key: Arc<Zeroizing<Vec<u8>>>,
    newest: TlsVersion,
    server_name: Option<Box<str>>,
}

/// Versions of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// TLS 1.2, which LwM2M 1.0 to 1.2 demand.
    Tls12,
    /// TLS 1.3.
    #[default]
    Tls13,
}

impl TlsAccount {
    /// A pre-shared key: `/0/x/3` and `/0/x/5`. The newest version is TLS 1.3.
    ///
    /// # Errors
    /// The key is empty or too long.
    pub fn psk(identity: &[u8], key: &[u8]) -> Result<TlsAccount, PskError> {
        Psk::new(key)?;
        Ok(TlsAccount {
            identity: identity.into(),
            key: Arc::new(Zeroizing::new(key.to_vec())),
            newest: TlsVersion::default(),
            server_name: None,
        })
    }

    /// The newest version that the device has.
    pub fn newest(mut self, version: TlsVersion) -> TlsAccount {
        self.newest = version;
        self
    }

    /// The name of the server, for servers with tenants (`/0/x/14`).
    pub fn server_name(mut self, name: impl Into<Box<str>>) -> TlsAccount {
        self.server_name = Some(name.into());
        self
    }

    /// The identity.
    pub fn identity(&self) -> &[u8] {
        &self.identity
    }

    pub(super) async fn connect(&self, io: TcpStream) -> io::Result<SslStream<TcpStream>> {
        let mut stream = SslStream::new(self.ssl()?, io)?;
        let connected = Pin::new(&mut stream).connect().await;
        connected.map_err(|error| match error.into_io_error() {
            Ok(error) => error,
            Err(error) => io::Error::other(error),
        })?;
        Ok(stream)
    }

    fn ssl(&self) -> Result<Ssl, ErrorStack> {
        let account = self.clone();
        let mut context = SslContext::builder(SslMethod::tls_client())?;
        context.set_psk_client_callback(move |_, _, identity, key| {
            let (own, secret) = (&account.identity, account.key.as_slice());
            let (Some(place), Some(room)) = (
                identity.get_mut(..own.len() + 1),
                key.get_mut(..secret.len()),
            ) else {
                return Ok(0);
            };
            place[..own.len()].copy_from_slice(own);
            place[own.len()] = 0;
            room.copy_from_slice(secret);
            Ok(secret.len())
        });
        context.set_options(SslOptions::NO_TICKET | SslOptions::NO_RENEGOTIATION);
        context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        context.set_max_proto_version(Some(match self.newest {
            TlsVersion::Tls12 => SslVersion::TLS1_2,
            TlsVersion::Tls13 => SslVersion::TLS1_3,
        }))?;
        context.set_cipher_list(SUITES)?;
        context.set_ciphersuites(SUITES_1_3)?;
        context.set_alpn_protos(b"\x04coap")?;
        let mut ssl = Ssl::new(&context.build())?;
        if let Some(name) = &self.server_name {
            ssl.set_hostname(name)?;
        }
        Ok(ssl)
    }
}

impl fmt::Debug for TlsAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAccount")
            .field("identity", &self.identity.escape_ascii().to_string())
            .field("newest", &self.newest)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
