use super::*;

#[test]
fn a_peer_keeps_its_address() {
    for text in ["127.0.0.1:5683", "[2001:db8::1]:5683", "[fe80::1%3]:1"] {
        let address: SocketAddr = text.parse().expect("an address");
        assert_eq!(Peer::new(0, address, 0).address(), address);
    }
    let mapped: SocketAddr = "[::ffff:10.0.0.1]:7".parse().expect("an address");
    let shown = Peer::new(0, mapped, 0).address().to_string();
    assert_eq!(shown, "10.0.0.1:7");
    assert_eq!(size_of::<Peer>(), 24);
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

/// A transport with one socket, and where it is bound.
fn bound(address: &str) -> (Transport, SocketAddr) {
    let listener = Listener::coap(address.parse().expect("an address"));
    let (sockets, addresses) = bind(&[listener], 1).expect("bound");
    let sockets = sockets.into_iter().next().expect("one shard");
    (Transport::new(sockets).expect("in a runtime"), addresses[0])
}

/// Sends as the loop does, waiting for room.
async fn send_all(transport: &Transport, transmits: Vec<Transmit<Peer>>) {
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
    let (transport, from) = bound(address);
    let (mut device, to) = bound(address);
    let peer = Peer::new(0, to, 0);
    for round in 0..COUNT / 100 {
        let numbers: Vec<u32> = (round * 100..(round + 1) * 100).collect();
        let transmits = numbers.iter().map(|number| Transmit {
            peer,
            datagram: number.to_be_bytes().to_vec().into(),
        });
        send_all(&transport, transmits.collect()).await;
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

// Other systems have one loopback address.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_reply_comes_from_the_address_that_was_asked() {
    let (mut transport, bound_to) = bound("0.0.0.0:0");
    let device = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
    let asked = |number: u8| SocketAddr::from(([127, 0, 0, 1 + number % 2], bound_to.port()));
    for number in 0..8 {
        device.send_to(&[number], asked(number)).expect("sent");
    }
    let requests = receive(&mut transport, 8).await;
    let replies = requests.into_iter().map(|(peer, datagram)| Transmit {
        peer,
        datagram: datagram.into(),
    });
    send_all(&transport, replies.collect()).await;
    for number in 0..8 {
        let mut buffer = [0; 8];
        let (length, from) = device.recv_from(&mut buffer).expect("a reply");
        assert_eq!((&buffer[..length], from), (&[number][..], asked(number)));
    }
}

#[tokio::test]
async fn an_unreachable_peer_holds_up_no_other() {
    let (transport, _) = bound("127.0.0.1:0");
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
    send_all(&transport, transmits.collect()).await;
    let received = receive(&mut device, 4).await;
    let received: Vec<u8> = received.iter().map(|(_, datagram)| datagram[0]).collect();
    assert_eq!(received, [0, 2, 3, 5]);
}

#[test]
fn local_addresses_have_a_limit() {
    let mut locals = vec![IpAddr::from(Ipv6Addr::UNSPECIFIED)];
    for host in 0..=255u8 {
        let index = local_index(&mut locals, [10, 0, 0, host].into());
        assert_eq!(usize::from(index), (usize::from(host) + 1) % 256);
    }
    assert_eq!(local_index(&mut locals, [10, 0, 0, 7].into()), 8);
}

#[tokio::test]
async fn shards_share_a_port_that_was_chosen_by_the_system() {
    let listener = Listener::coap(([127, 0, 0, 1], 0).into());
    let (sockets, addresses) = bind(&[listener], 4).expect("bound");
    assert_eq!((sockets.len(), addresses.len()), (4, 1));
    for shard in &sockets {
        assert_eq!(shard[0].local_addr().expect("bound"), addresses[0]);
    }
    // A second server on the port is refused, not let in.
    let taken = bind(&[Listener::coap(addresses[0])], 2);
    assert!(matches!(taken, Err(StartError::Bind { .. })));
}
