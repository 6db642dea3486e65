//! `webrtc-dtls` as the server: tasks and channels on a runtime of this thread.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use rustls::pki_types::CertificateDer;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use webrtc_dtls::cipher_suite::CipherSuiteId;
use webrtc_dtls::config::{ClientAuthType, Config, ExtendedMasterSecretType};
use webrtc_dtls::conn::DTLSConn;
use webrtc_dtls::crypto::Certificate;
use webrtc_util::Conn;

use super::material::{KEY, Material, Mode};
use super::wire::{Datagrams, Server};

/// Turns of the runtime in which nothing is sent, after which nothing is left to do.
const QUIET_TURNS: u32 = 32;

/// One connection for each device.
pub(super) struct Webrtc {
    runtime: Runtime,
    config: Config,
    connections: HashMap<SocketAddr, mpsc::UnboundedSender<Vec<u8>>>,
    sent: Arc<Mutex<Datagrams>>,
}

impl Webrtc {
    /// The server, and the certificate that it shows.
    pub(super) fn new(mode: Mode, material: &Material) -> anyhow::Result<(Webrtc, Vec<u8>)> {
        // The first call decides; the later ones change nothing.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut config = Config {
            extended_master_secret: ExtendedMasterSecretType::Require,
            ..Config::default()
        };
        let mut shown = Vec::new();
        match mode {
            Mode::Psk => {
                config.cipher_suites = vec![CipherSuiteId::Tls_Psk_With_Aes_128_Ccm_8];
                config.psk = Some(Arc::new(|_| Ok(KEY.to_vec())));
                config.psk_identity_hint = Some(b"lwm2m".to_vec());
            }
            Mode::X509 | Mode::RawPublicKey => {
                let name = ["server.example".to_owned()];
                let own = Certificate::generate_self_signed(name)?;
                let certificate = own.certificate.first();
                shown = certificate.context("no certificate was made")?.to_vec();
                config.cipher_suites = vec![CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Ccm_8];
                config.certificates = vec![own];
                config.client_auth = ClientAuthType::RequireAndVerifyClientCert;
                let authority = material.authority.as_der().to_vec();
                config.client_cas.add(CertificateDer::from(authority))?;
            }
        }
        let server = Webrtc {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()?,
            config,
            connections: HashMap::new(),
            sent: Arc::default(),
        };
        Ok((server, shown))
    }

    fn connection(&mut self, device: SocketAddr) -> &mpsc::UnboundedSender<Vec<u8>> {
        self.connections.entry(device).or_insert_with(|| {
            let (datagrams, received) = mpsc::unbounded_channel();
            let pipe = Pipe {
                device,
                received: tokio::sync::Mutex::new(received),
                sent: Arc::clone(&self.sent),
            };
            self.runtime.spawn(echo(pipe, self.config.clone()));
            datagrams
        })
    }
}

/// Shakes hands and echoes. Who fails shows by the echo that does not come.
async fn echo(pipe: Pipe, config: Config) -> Option<()> {
    let connection = DTLSConn::new(Arc::new(pipe), config, false, None).await;
    let connection = connection.ok()?;
    let mut buffer = [0; 256];
    loop {
        let length = connection.recv(&mut buffer).await.ok()?;
        connection.send(&buffer[..length]).await.ok()?;
    }
}

impl Server for Webrtc {
    fn take(&mut self, device: SocketAddr, datagram: &mut [u8], _: &mut Datagrams) {
        // A connection that has ended gives no echo.
        let _ = self.connection(device).send(datagram.to_vec());
    }

    fn settle(&mut self, out: &mut Datagrams) {
        let sent = Arc::clone(&self.sent);
        self.runtime.block_on(async {
            let mut quiet = 0;
            while quiet < QUIET_TURNS {
                tokio::task::yield_now().await;
                let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
                quiet = if sent.is_empty() { quiet + 1 } else { 0 };
                out.append(&mut sent);
            }
        });
    }
}

/// What the library takes for the socket of one device.
struct Pipe {
    device: SocketAddr,
    received: tokio::sync::Mutex<mpsc::UnboundedReceiver<Vec<u8>>>,
    sent: Arc<Mutex<Datagrams>>,
}

type UtilResult<T> = Result<T, webrtc_util::Error>;

#[async_trait::async_trait]
impl Conn for Pipe {
    async fn connect(&self, _: SocketAddr) -> UtilResult<()> {
        Ok(())
    }

    async fn recv(&self, buffer: &mut [u8]) -> UtilResult<usize> {
        let datagram = self.received.lock().await.recv().await;
        let datagram = datagram.ok_or(webrtc_util::Error::ErrAlreadyClosed)?;
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> UtilResult<(usize, SocketAddr)> {
        Ok((self.recv(buffer).await?, self.device))
    }

    async fn send(&self, datagram: &[u8]) -> UtilResult<usize> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.push(self.device, datagram);
        Ok(datagram.len())
    }

    async fn send_to(&self, datagram: &[u8], _: SocketAddr) -> UtilResult<usize> {
        self.send(datagram).await
    }

    fn local_addr(&self) -> UtilResult<SocketAddr> {
        Ok((Ipv4Addr::UNSPECIFIED, 0).into())
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        Some(self.device)
    }

    async fn close(&self) -> UtilResult<()> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn std::any::Any + Send + Sync) {
        self
    }
}
