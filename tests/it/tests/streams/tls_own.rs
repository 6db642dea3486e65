//! Devices that are connected over TLS 1.2 with what libraries of TLS do not have there: raw public
//! keys, and pre-shared keys without OpenSSL.

use std::net::SocketAddr;
use std::sync::Arc;

use lwm2m_coap::Code;
use lwm2m_dtls::{
    ClientConfig, ClientCredentials, Failure, Limits, PrivateKey, SystemRandom, TlsEvent,
    TlsSession,
};
use lwm2m_server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::peer::Peer;
use super::tls::{Site, lives};
use crate::site::PATIENCE;

/// Connects over TLS 1.2; what goes through the stream that is answered is encrypted.
async fn connect(server: &Server, config: ClientConfig) -> Result<Peer<DuplexStream>, Failure> {
    connect_to(server.local_addresses()[0], config).await
}

/// The same to one of several listeners.
pub(crate) async fn connect_to(
    server: SocketAddr,
    config: ClientConfig,
) -> Result<Peer<DuplexStream>, Failure> {
    let config = ClientConfig {
        application_protocol: Some(b"coap"[..].into()),
        ..config
    };
    let session = TlsSession::client(Arc::new(config), Limits::default(), SystemRandom)?;
    let io = TcpStream::connect(server).await;
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (up, is_up) = oneshot::channel();
    tokio::spawn(carry(session, io.expect("connected"), theirs, up));
    let outcome = timeout(PATIENCE, is_up).await.expect("in time");
    outcome.expect("no panic").map(|()| Peer::over(ours))
}

/// Carries what is said to and fro, until either side ends it.
async fn carry(
    mut session: TlsSession,
    mut io: TcpStream,
    mut plain: DuplexStream,
    up: oneshot::Sender<Result<(), Failure>>,
) {
    let mut up = Some(up);
    let mut said = Vec::new();
    let (mut encrypted, mut data) = (vec![0; 4096], vec![0; 4096]);
    loop {
        session.take_output(&mut said);
        if io.write_all(&said).await.is_err() {
            return;
        }
        said.clear();
        tokio::select! {
            count = io.read(&mut encrypted) => {
                let count = count.unwrap_or(0);
                if count == 0 {
                    return;
                }
                let outcome = session.receive(&encrypted[..count], 0);
                let is_up = matches!(session.poll_event(), Some(TlsEvent::Up(_)));
                let failed = outcome.is_err();
                if (is_up || failed) && let Some(up) = up.take() {
                    up.send(outcome).expect("somebody waits");
                }
                while session.readable() > 0 {
                    let count = session.read(&mut data);
                    if plain.write_all(&data[..count]).await.is_err() {
                        return;
                    }
                }
                if failed {
                    return;
                }
            }
            count = plain.read(&mut data), if up.is_none() => {
                match count.unwrap_or(0) {
                    0 => return,
                    count => assert!(session.write(&data[..count])),
                }
            }
        }
    }
}

fn raw_public_key(site: &Site, key: &PrivateKey) -> ClientConfig {
    ClientConfig::new(ClientCredentials::RawPublicKey {
        key: key.clone(),
        server: site.public_key(),
    })
}

#[tokio::test]
async fn a_device_with_a_raw_public_key_lives_its_life() {
    let mut site = Site::open(|_| {}).await;
    let device = connect(&site.server, raw_public_key(&site, &site.raw_key())).await;
    let mut device = device.expect("connected");
    device.exchange_capabilities().await;
    let location = lives(&site.server, &mut device, "urn:raw").await;
    let registration = site.server.registration("urn:raw").await;
    let identity = registration.expect("registered").identity;
    assert_eq!(identity.mode(), "rpk");
    let answer = device.ask(Code::DELETE, &location, b"").await;
    assert_eq!(answer.code, Code::DELETED);
    // Another key proves nothing.
    let other = PrivateKey::generate().expect("a key");
    let stranger = connect(&site.server, raw_public_key(&site, &other)).await;
    assert_eq!(stranger.expect("TLS").until_closed().await, []);
    assert_eq!(site.refusal().await, "rpk-unknown");
}

#[cfg(not(feature = "tls-psk"))]
#[tokio::test]
async fn a_device_with_a_pre_shared_key_lives_its_life_without_openssl() {
    use lwm2m_dtls::{Alert, CipherSuite, Psk};
    use lwm2m_server::credentials::{CredentialId, CredentialStore, MemoryCredentials};
    use lwm2m_server::{EventKind, Listener};

    use crate::peer::event;
    use crate::secure::{KEY, psk};

    const OLD: &[u8] = b"the key of yesterday";
    let store = Arc::new(MemoryCredentials::default());
    let credentials = vec![psk("a", b"a", KEY), psk("old", b"a", OLD)];
    store.add(credentials).await.expect("taken");
    let server = Server::builder()
        .listen(Listener::coaps_tcp(([127, 0, 0, 1], 0).into()))
        .credentials(store.clone())
        .start()
        .await
        .expect("the server starts");
    let mut events = server.events();
    let account =
        |identity: &[u8], key: &[u8]| ClientConfig::psk(identity, Psk::new(key).expect("a key"));
    let suites = CipherSuite::ALL.iter().copied();
    let suites: Vec<_> = suites
        .filter(|suite| suite.name().contains("_PSK_"))
        .collect();
    assert_eq!(suites.len(), 3);
    for (suite, key) in suites.into_iter().zip([KEY, OLD, KEY]) {
        let config = ClientConfig {
            suites: vec![suite],
            ..account(b"a", key)
        };
        let mut device = connect(&server, config).await.expect("connected");
        device.exchange_capabilities().await;
        let location = lives(&server, &mut device, "a").await;
        let registration = server.registration("a").await.expect("registered");
        assert_eq!(registration.identity.to_string(), "psk a");
        let answer = device.ask(Code::DELETE, &location, b"").await;
        assert_eq!(answer.code, Code::DELETED);
    }
    let mut refusal = async || {
        event(&mut events, |event| match &event.kind {
            EventKind::Refused {
                operation: "handshake",
                reason,
                ..
            } => Some(reason.code),
            _ => None,
        })
        .await
    };
    for (config, alert, word) in [
        (
            account(b"b", KEY),
            Alert::UNKNOWN_PSK_IDENTITY,
            "psk-identity-unknown",
        ),
        (
            account(b"a", b"some other key"),
            Alert::BAD_RECORD_MAC,
            "psk-wrong-key",
        ),
    ] {
        let outcome = connect(&server, config).await.map(|_| ());
        assert_eq!(outcome, Err(Failure::PeerAlert(alert)));
        assert_eq!(refusal().await, word);
    }
    // A key that is taken away ends the session that stands on it.
    let mut device = connect(&server, account(b"a", OLD))
        .await
        .expect("connected");
    device.exchange_capabilities().await;
    device.register("ep=a").await;
    let id = CredentialId::new("old").expect("an id");
    store.remove(id).await.expect("removed");
    device.until_closed().await;
}
