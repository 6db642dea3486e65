use std::hash::{Hash, Hasher};

use super::peer::SessionSlot;
use super::*;
use crate::{Listener, StartError};

#[test]
fn a_peer_keeps_its_address() {
    for text in ["127.0.0.1:5683", "[2001:db8::1]:5683", "[fe80::1%3]:1"] {
        let address: SocketAddr = text.parse().expect("an address");
        assert_eq!(Peer::new(0, address, 0).address(), address);
    }
    let mapped: SocketAddr = "[::ffff:10.0.0.1]:7".parse().expect("an address");
    let shown = Peer::new(0, mapped, 0).address().to_string();
    assert_eq!(shown, "10.0.0.1:7");
    assert!(size_of::<Peer>() <= 32);
}

#[test]
fn a_session_is_the_same_wherever_it_is() {
    let at = |port: u16| Peer::new(1, ([192, 0, 2, 1], port).into(), 3);
    let on_shard = |shard, generation, slot| SessionSlot {
        shard,
        generation,
        slot,
    };
    let session = |generation, slot| on_shard(5, generation, slot);
    let hash = |peer: &Peer| {
        let mut hasher = std::hash::DefaultHasher::new();
        peer.hash(&mut hasher);
        hasher.finish()
    };
    let here = at(1000).in_session(session(1, 7));
    let there = at(2000).in_session(session(1, 7));
    assert_eq!(here, there);
    assert_eq!(hash(&here), hash(&there));
    assert_eq!(there.address(), at(2000).address());
    assert_ne!(here, at(1000));
    assert_ne!(here, at(1000).in_session(session(2, 7)));
    assert_ne!(here, at(1000).in_session(session(1, 8)));
    assert_ne!(here, at(1000).in_session(on_shard(6, 1, 7)));
    assert_ne!(at(1000), at(2000));
}

#[test]
fn what_nobody_may_answer_is_refused() {
    let from: SocketAddr = "192.0.2.1:5683".parse().expect("an address");
    let to = |text: &str| Some(text.parse::<IpAddr>().expect("an address"));
    assert!(answerable(from, None));
    assert!(answerable(from, to("192.0.2.2")));
    assert!(answerable(from, to("2001:db8::1")));
    assert!(!answerable(
        "192.0.2.1:0".parse().expect("an address"),
        None
    ));
    for many in [
        "224.0.1.187",
        "255.255.255.255",
        "ff02::fd",
        "::ffff:224.0.1.187",
    ] {
        assert!(!answerable(from, to(many)), "{many}");
    }
}

/// The sockets of a server with `shards` shards and the default limits.
fn bind_all(address: &str, shards: usize) -> Bound {
    let listener = Listener::coap(address.parse().expect("an address"));
    bind(&[listener], shards, 32).expect("bound")
}

/// A transport of one shard, and where it is bound.
fn bound(address: &str) -> (Transport, SocketAddr) {
    let bound = bind_all(address, 1);
    let sockets = bound.shards.into_iter().next().expect("one shard");
    let transport = Transport::new(sockets).expect("in a runtime");
    (transport, bound.addresses[0])
}

/// Sends as the loop does, waiting for room.
async fn send_all(transport: &mut Transport, transmits: Vec<Transmit<Peer>>) {
    let mut transmits = transmits.into_iter();
    let mut outgoing = Outgoing::default();
    while outgoing.fill(|| transmits.next()) {
        if transport.send(&mut outgoing) == Sent::Blocked {
            let peer = outgoing.first().expect("blocked").peer;
            std::future::poll_fn(|cx| transport.poll_writable(&peer, cx)).await;
        }
    }
}

/// Receives until there are so many.
async fn receive(transport: &mut Transport, count: usize) -> Vec<(Peer, Vec<u8>)> {
    let mut batch = Batch::new();
    let mut received = Vec::new();
    while received.len() < count {
        transport.receive(&mut batch, |peer, datagram| {
            received.push((peer, datagram.to_vec()));
        });
        if received.len() < count {
            std::future::poll_fn(|cx| transport.poll_readable(cx)).await;
        }
    }
    received
}

async fn arrives_in_order(address: &str) {
    const COUNT: u32 = 1000;
    let (mut transport, from) = bound(address);
    let (mut device, to) = bound(address);
    let peer = Peer::new(0, to, 0);
    for round in 0..COUNT / 100 {
        let numbers: Vec<u32> = (round * 100..(round + 1) * 100).collect();
        let transmits = numbers.iter().map(|number| Transmit {
            peer,
            datagram: number.to_be_bytes().to_vec().into(),
        });
        send_all(&mut transport, transmits.collect()).await;
        // Taken in between, so that the buffer of the receiver loses none.
        let received = receive(&mut device, numbers.len()).await;
        for (number, (peer, datagram)) in numbers.iter().zip(received) {
            assert_eq!(datagram, number.to_be_bytes());
            assert_eq!(peer.address(), from);
        }
    }
}

#[tokio::test]
async fn datagrams_arrive_in_order() {
    arrives_in_order("127.0.0.1:0").await;
}

#[tokio::test]
async fn datagrams_arrive_in_order_over_ipv6() {
    arrives_in_order("[::1]:0").await;
}

/// Asks a transport at these addresses in turn, answers all in one go, and checks that each answer
/// comes from where it was asked for; gives the calls that it took.
#[cfg(target_os = "linux")]
async fn asked_and_answered(bound: (Transport, u16), addresses: &[&str]) -> u64 {
    let (mut transport, port) = bound;
    let addresses: Vec<IpAddr> = addresses
        .iter()
        .map(|text| text.parse().expect("an address"))
        .collect();
    // One device of each family, as it has to come from the same as it asks at.
    let device = |address: &IpAddr| {
        let any: SocketAddr = match address {
            IpAddr::V4(_) => ([127, 0, 0, 1], 0).into(),
            IpAddr::V6(_) => (Ipv6Addr::LOCALHOST, 0).into(),
        };
        std::net::UdpSocket::bind(any).expect("bound")
    };
    let devices: Vec<_> = addresses.iter().map(device).collect();
    const EACH: usize = 8;
    for number in 0..EACH as u8 {
        for (device, address) in devices.iter().zip(&addresses) {
            device.send_to(&[number], (*address, port)).expect("sent");
        }
    }
    let requests = receive(&mut transport, EACH * addresses.len()).await;
    let replies = requests.into_iter().map(|(peer, datagram)| Transmit {
        peer,
        datagram: datagram.into(),
    });
    send_all(&mut transport, replies.collect()).await;
    for (device, address) in devices.iter().zip(&addresses) {
        for _ in 0..EACH {
            let mut buffer = [0; 8];
            let (_, from) = device.recv_from(&mut buffer).expect("a reply");
            assert_eq!(from, SocketAddr::from((*address, port)));
        }
    }
    transport.send_calls()
}

// Other systems have one loopback address.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_reply_comes_from_the_address_that_was_asked() {
    let named = |all: &str| {
        let (transport, bound) = bound(all);
        (transport, bound.port())
    };
    // 127.0.0.2 is ours and no interface has it, like an address that came after the start.
    let calls = asked_and_answered(named("0.0.0.0:0"), &["127.0.0.1", "127.0.0.2"]).await;
    assert!((8 + 1..16).contains(&calls), "{calls} calls for 16 replies");
    let all = ["127.0.0.1", "127.0.0.2", "::1"];
    let calls = asked_and_answered(named("[::]:0"), &all).await;
    assert!((8 + 2..24).contains(&calls), "{calls} calls for 24 replies");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_listener_for_all_addresses_sends_in_batches() {
    for (all, one) in [
        ("0.0.0.0:0", "127.0.0.1"),
        ("[::]:0", "::1"),
        ("[::]:0", "127.0.0.1"),
    ] {
        let (transport, bound) = bound(all);
        let calls = asked_and_answered((transport, bound.port()), &[one]).await;
        assert_eq!(calls, 1, "{one} of {all}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_sockets_for_single_addresses_each_reply_names_its_own() {
    let listener = Listener::coap(([0, 0, 0, 0], 0).into());
    let bound = bind(&[listener], 1, 0).expect("bound");
    let sockets = bound.shards.into_iter().next().expect("one shard");
    assert_eq!(sockets.len(), 1);
    let transport = Transport::new(sockets).expect("in a runtime");
    let port = bound.addresses[0].port();
    let calls = asked_and_answered((transport, port), &["127.0.0.1", "127.0.0.2"]).await;
    assert_eq!(calls, 16);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn shards_number_our_addresses_alike() {
    let Bound {
        shards, addresses, ..
    } = bind_all("0.0.0.0:0", 3);
    let mut shards: Vec<Transport> = shards
        .into_iter()
        .map(|sockets| Transport::new(sockets).expect("in a runtime"))
        .collect();
    let peer = Peer::new(0, addresses[0], 1);
    let local = shards[0].local_of(&peer);
    assert!(local.is_some());
    assert!(
        shards
            .iter_mut()
            .all(|shard| shard.adopt(peer, local) == peer)
    );
}

#[tokio::test]
async fn an_unreachable_peer_holds_up_no_other() {
    let (mut transport, _) = bound("127.0.0.1:0");
    let (mut device, to) = bound("127.0.0.1:0");
    // A socket of IPv4 cannot send there, nor to port 0.
    let nowhere = Peer::new(0, "127.0.0.1:0".parse().expect("an address"), 0);
    let elsewhere = Peer::new(0, "[2001:db8::1]:7".parse().expect("an address"), 0);
    let there = Peer::new(0, to, 0);
    let transmits = [there, nowhere, there, there, elsewhere, there, nowhere];
    let transmits = (0u8..).zip(transmits).map(|(number, peer)| Transmit {
        peer,
        datagram: vec![number].into(),
    });
    send_all(&mut transport, transmits.collect()).await;
    let received = receive(&mut device, 4).await;
    let received: Vec<u8> = received.iter().map(|(_, datagram)| datagram[0]).collect();
    assert_eq!(received, [0, 2, 3, 5]);
}

#[test]
fn local_addresses_have_a_limit() {
    let at = |ip: IpAddr| Local::new(ip, 0);
    let mut locals = vec![at(Ipv6Addr::UNSPECIFIED.into())];
    for host in 0..=255u8 {
        let index = local_index(&mut locals, at([10, 0, 0, host].into()));
        assert_eq!(usize::from(index), (usize::from(host) + 1) % 256);
    }
    assert_eq!(local_index(&mut locals, at([10, 0, 0, 7].into())), 8);
}

#[tokio::test]
async fn shards_share_a_port_that_was_chosen_by_the_system() {
    for (address, shards) in [("127.0.0.1:0", 4), ("0.0.0.0:0", 1), ("[::]:0", 2)] {
        let bound = bind_all(address, shards);
        assert_eq!((bound.shards.len(), bound.addresses.len()), (shards, 1));
        let port = bound.addresses[0].port();
        for socket in bound.shards.iter().flatten() {
            let local = socket.socket.local_addr().expect("bound");
            assert_eq!(local.port(), port);
        }
        // A second server on the port is refused, not let in.
        let taken = bind(&[Listener::coap(bound.addresses[0])], 2, 32);
        assert!(matches!(taken, Err(StartError::Bind { .. })), "{address}");
        let one = SocketAddr::from(([127, 0, 0, 1], port));
        assert!(std::net::UdpSocket::bind(one).is_err(), "{address}");
    }
}
