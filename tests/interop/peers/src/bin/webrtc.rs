//! webrtc-dtls.

use std::error::Error;
use std::sync::Arc;

use lwm2m_interop_peers::Options;
use rustls::RootCertStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use webrtc_dtls::cipher_suite::CipherSuiteId;
use webrtc_dtls::config::{ClientAuthType, Config, ExtendedMasterSecretType};
use webrtc_dtls::conn::DTLSConn;
use webrtc_dtls::crypto::Certificate;
use webrtc_dtls::listener::listen;
use webrtc_util::Conn;
use webrtc_util::conn::Listener;

/// The longest datagram.
const DATAGRAM_MAX: usize = 16_384;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // It asks rustls for the provider of the process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let options = Options::read()?;
    let config = config(&options)?;
    if options.is_client {
        return client(&options, config).await;
    }
    let listener = listen(options.address(), config).await?;
    loop {
        match listener.accept().await {
            Ok((session, _)) => drop(tokio::spawn(echo(session))),
            Err(error) => eprintln!("refused {error}"),
        }
    }
}

async fn client(options: &Options, config: Config) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(options.address()).await?;
    let session = DTLSConn::new(Arc::new(socket), config, true, None).await?;
    let mut input = tokio::io::stdin();
    let mut output = tokio::io::stdout();
    let (mut said, mut heard) = ([0; DATAGRAM_MAX], [0; DATAGRAM_MAX]);
    loop {
        tokio::select! {
            length = input.read(&mut said) => match length? {
                0 => break,
                length => drop(session.send(&said[..length]).await?),
            },
            length = session.recv(&mut heard) => {
                output.write_all(&heard[..length?]).await?;
                output.flush().await?;
            }
        }
    }
    session.close().await?;
    Ok(())
}

async fn echo(session: Arc<dyn Conn + Send + Sync>) {
    let mut heard = [0; DATAGRAM_MAX];
    while let Ok(length) = session.recv(&mut heard).await {
        if session.send(&heard[..length]).await.is_err() {
            return;
        }
    }
}

fn config(options: &Options) -> Result<Config, Box<dyn Error>> {
    let mut config = Config {
        extended_master_secret: ExtendedMasterSecretType::Require,
        cipher_suites: suites(options),
        ..Config::default()
    };
    if let Some((identity, key)) = options.psk.clone() {
        let (is_client, known) = (options.is_client, identity.clone());
        config.psk = Some(Arc::new(move |named| {
            // A client is told the hint of the server, which may be anything.
            match is_client || named == known {
                true => Ok(key.clone()),
                false => Err(webrtc_dtls::Error::ErrIdentityNoPsk),
            }
        }));
        config.psk_identity_hint = Some(identity);
        return Ok(config);
    }
    if let (Some(key), Some(certificate)) = (&options.key, &options.certificate) {
        // It wants this tag.
        let key = key.replace("PRIVATE KEY", "PRIVATE_KEY");
        config.certificates = vec![Certificate::from_pem(&format!("{key}{certificate}"))?];
    }
    let mut trust = RootCertStore::empty();
    if let Some(authority) = options.trust.clone() {
        trust.add(authority)?;
    }
    config.roots_cas = trust.clone();
    config.client_cas = trust;
    config.server_name = options.name.clone();
    config.client_auth = ClientAuthType::RequireAndVerifyClientCert;
    Ok(config)
}

fn suites(options: &Options) -> Vec<CipherSuiteId> {
    let all = match options.psk {
        Some(_) => [
            ("CCM_8", CipherSuiteId::Tls_Psk_With_Aes_128_Ccm_8),
            ("CCM", CipherSuiteId::Tls_Psk_With_Aes_128_Ccm),
            ("GCM", CipherSuiteId::Tls_Psk_With_Aes_128_Gcm_Sha256),
        ],
        None => [
            ("CCM_8", CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Ccm_8),
            ("CCM", CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Ccm),
            (
                "GCM",
                CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
            ),
        ],
    };
    let wanted = |name: &str| options.suite.is_empty() || name == options.suite;
    let mut suites = Vec::new();
    for (name, suite) in all {
        if wanted(name) {
            suites.push(suite);
        }
    }
    suites
}
