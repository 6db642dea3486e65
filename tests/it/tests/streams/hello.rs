//! Clients of TLS that the server cannot serve, by their first message.

use std::sync::Arc;

use lwm2m_server::credentials::{CredentialStore, MemoryCredentials};
use lwm2m_server::{EventKind, Listener, Server, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::peer::event;
use crate::secure::{KEY, psk};
use crate::site::PATIENCE;

/// A server that knows one key and has no certificate.
async fn server() -> Server {
    let store = MemoryCredentials::default();
    store
        .add(vec![psk("a", b"urn:a", KEY)])
        .await
        .expect("taken");
    let mut config = ServerConfig::default();
    config.shards = 1;
    Server::builder()
        .config(config)
        .listen(Listener::coaps_tcp(([127, 0, 0, 1], 0).into()))
        .credentials(Arc::new(store))
        .start()
        .await
        .expect("the server starts")
}

/// A ClientHello of TLS 1.2 with these suites and extensions.
fn hello(suites: &[u16], extensions: &[u8]) -> Vec<u8> {
    let vec16 = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
    let suites: Vec<u8> = suites
        .iter()
        .flat_map(|suite| suite.to_be_bytes())
        .collect();
    let parts = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &vec16(&suites),
        &[1, 0],
        &vec16(extensions),
    ];
    let body = parts.concat();
    let length = (body.len() as u32).to_be_bytes();
    let message = [&[1][..], &length[1..], &body].concat();
    [&[22, 3, 1][..], &vec16(&message)].concat()
}

/// What the server answers and why it refuses: the last bytes, the word, the sentence, the hint.
async fn refused(server: &Server, hello: &[u8]) -> (Vec<u8>, &'static str, String, String) {
    let mut events = server.events();
    let address = server.local_addresses()[0];
    let mut io = TcpStream::connect(address).await.expect("connected");
    io.write_all(hello).await.expect("written");
    let mut answer = Vec::new();
    let closed = timeout(PATIENCE, io.read_to_end(&mut answer)).await;
    closed.expect("in time").expect("closed in good order");
    let (word, sentence, hint) = event(&mut events, |event| match &event.kind {
        EventKind::Refused {
            operation: "handshake",
            reason,
            ..
        } => Some((
            reason.code,
            reason.message.to_string(),
            reason.hint.as_ref().map(ToString::to_string),
        )),
        _ => None,
    })
    .await;
    (answer, word, sentence, hint.expect("a hint"))
}

#[cfg(not(feature = "tls-psk"))]
#[tokio::test]
async fn a_pre_shared_key_that_was_not_built_in_is_named() {
    /// handshake_failure, of which a device may try again (class Retry of LwM2M 1.1).
    const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 3, 0, 2, 2, 40];
    let server = server().await;
    // Groups and signatures, which a library that has certificates, too, tells.
    let more = [0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3];
    for extensions in [&[][..], &more] {
        // Only OpenSSL has this one: ECDHE_PSK with ChaCha20.
        let hello = hello(&[0xccac, 0x00ff], extensions);
        let (answer, word, _, hint) = refused(&server, &hello).await;
        assert_eq!(word, "tls-psk-not-built");
        assert!(hint.contains("--features tls-psk"), "{hint}");
        assert_eq!(answer[0], 21, "an alert");
        assert_eq!(answer[5..], HANDSHAKE_FAILURE[5..]);
    }
}

#[tokio::test]
async fn suites_that_have_nothing_in_common_are_listed() {
    let server = server().await;
    // Without a pre-shared key, towards a server without a certificate.
    let groups = [0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3];
    let (_, word, sentence, _) = refused(&server, &hello(&[0xc02b, 0x00ff], &groups)).await;
    assert_eq!(word, "tls-no-common-suite");
    let ours = match cfg!(feature = "tls-psk") {
        true => "we have ccac c0a8",
        false => "we have c0a8 00a8 c0a4",
    };
    assert!(
        sentence.contains("the peer has c02b 00ff") && sentence.contains(ours),
        "{sentence}"
    );
}
