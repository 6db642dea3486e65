//! Peers on connections that are broken, slow or mean harm: each loses its own connection, and the
//! server serves the others.

use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_server::{EventKind, Events, Server, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use super::peer::{Peer, server};
use crate::peer::event;

/// The reason of the next connection that is refused or ended.
async fn refusal(events: &mut Events) -> &'static str {
    event(events, |event| match &event.kind {
        EventKind::Refused {
            operation: "connection",
            reason,
            ..
        } => Some(reason.code),
        _ => None,
    })
    .await
}

/// Others register all the same.
async fn serves(server: &Server) {
    let mut other = Peer::new(server).await;
    other.register("ep=other").await;
}

#[tokio::test]
async fn what_is_no_message_ends_the_connection() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    // Behind the CSM: a reserved token length, an option that overruns, a message of a gibibyte.
    for garbage in [
        &[0x0f, 0x01][..],
        &[0x10, 0x01, 0xd0],
        &[0xf0, 0x40, 0, 0, 0, 0x01],
    ] {
        let mut peer = Peer::new(&server).await;
        peer.write(garbage).await;
        assert_eq!(peer.until_closed().await, [Code::ABORT]);
        assert_eq!(refusal(&mut events).await, "frame-malformed");
    }
    // One byte more than the server takes; as many as it takes are only an odd request.
    for (body, closes) in [(8187u32, false), (8188, true)] {
        let mut peer = Peer::new(&server).await;
        let mut frame = vec![0xe1];
        frame.extend_from_slice(&(body as u16 - 269).to_be_bytes());
        frame.extend_from_slice(&[0x02, 0xaa, 0xff]);
        frame.resize(frame.len() + body as usize - 1, b'x');
        peer.write(&frame).await;
        let answer = peer.next().await.code;
        assert_eq!(answer == Code::ABORT, closes, "{answer:?}");
    }
    serves(&server).await;
}

#[tokio::test]
async fn capabilities_come_first_and_in_time() {
    let server = server(|config| {
        config.tcp.capabilities_timeout = Duration::from_millis(200);
    })
    .await;
    let mut events = server.events();
    let mut peer = Peer::silent(&server).await;
    peer.write(&[0x01, 0x01, 0xaa]).await;
    assert_eq!(peer.until_closed().await, [Code::CSM, Code::ABORT]);
    assert_eq!(refusal(&mut events).await, "csm-missing");
    let mut peer = Peer::silent(&server).await;
    assert_eq!(peer.until_closed().await, [Code::CSM, Code::ABORT]);
    assert_eq!(refusal(&mut events).await, "csm-missing");
}

#[tokio::test]
async fn a_message_that_never_ends_is_given_up() {
    let server = server(|config| config.tcp.message_timeout = Duration::from_millis(200)).await;
    let mut events = server.events();
    let mut peer = Peer::new(&server).await;
    peer.write(&[0xd1, 200, 0x02]).await;
    assert_eq!(peer.until_closed().await, [Code::ABORT]);
    assert_eq!(refusal(&mut events).await, "message-incomplete");
}

#[tokio::test]
async fn a_peer_that_has_gone_without_a_word_is_noticed() {
    let server = server(|config| {
        config.tcp.idle_timeout = Duration::from_millis(1500);
        config.tcp.pong_timeout = Duration::from_secs(5);
    })
    .await;
    let mut events = server.events();
    let mut peer = Peer::new(&server).await;
    peer.register("ep=a").await;
    // Whoever answers stays.
    for _ in 0..3 {
        assert_eq!(peer.next().await.code, Code::PING);
        peer.write(&[0, Code::PONG.0]).await;
    }
    assert_eq!(peer.until_closed().await, [Code::PING]);
    assert_eq!(refusal(&mut events).await, "connection-silent");
    assert!(server.registration("a").await.is_some());
}

#[tokio::test]
async fn a_peer_that_does_not_read_loses_its_connection() {
    let server = server(|config| config.tcp.message_timeout = Duration::from_millis(500)).await;
    let mut events = server.events();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("set");
    let io = socket.connect(server.local_addresses()[0]).await;
    let mut peer = Peer::over(io.expect("connected"));
    peer.exchange_capabilities().await;
    // Each ping is to be answered, and nothing is read.
    let pings = [0x08, Code::PING.0, 1, 2, 3, 4, 5, 6, 7, 8].repeat(1000);
    let writing = async { while peer.io.write_all(&pings).await.is_ok() {} };
    let (_, reason) = tokio::join!(writing, refusal(&mut events));
    assert_eq!(reason, "send-queue-full");
    serves(&server).await;
}

#[tokio::test]
async fn one_connection_too_many_is_refused() {
    for (max, per_address_max, word) in [
        (2, 9, "connections-exhausted"),
        (9, 2, "connections-of-address-exhausted"),
    ] {
        let configure = |config: &mut ServerConfig| {
            config.limits.connections_max = max;
            config.limits.connections_per_address_max = per_address_max;
        };
        let server = server(configure).await;
        let mut events = server.events();
        let first = Peer::new(&server).await;
        let _second = Peer::new(&server).await;
        let mut third = Peer::silent(&server).await;
        assert_eq!(third.until_closed().await, []);
        assert_eq!(refusal(&mut events).await, word);
        drop(first);
        // There is room again as soon as the server has noticed.
        loop {
            let mut next = Peer::silent(&server).await;
            if next.receive().await.is_some() {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_peer_may_release_or_abort() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    let mut peer = Peer::new(&server).await;
    peer.write(&[0, Code::RELEASE.0]).await;
    assert_eq!(peer.until_closed().await, []);
    let mut peer = Peer::new(&server).await;
    peer.write(&[0x30, Code::ABORT.0, 0xff, b'n', b'o']).await;
    assert_eq!(peer.until_closed().await, []);
    assert_eq!(refusal(&mut events).await, "connection-aborted");
}
