//! Devices that change their address, and so perhaps their shard.

use lwm2m_coap::Code;
use lwm2m_core::Path;

use crate::peer::{Peer, server};

#[tokio::test]
async fn updates_from_many_ports_reach_the_owner() {
    let server = server(|config| config.shards = 4).await;
    let mut device = Peer::new(&server).await;
    let location = device.register("ep=a&lwm2m=1.1").await;
    for _ in 0..24 {
        let mut moved = Peer::new(&server).await;
        assert_eq!(moved.post(&location).await, Code::CHANGED);
        let seen = server.registration("a").await.expect("registered");
        assert_eq!(seen.peer, moved.socket.local_addr().expect("bound"));
        let handle = server.device("a");
        let read = tokio::spawn(async move { handle.read_path(Path::resource(3, 0, 9)).await });
        let request = moved.receive().await;
        let answer = moved.answer(&request, Code::CONTENT).format(0).payload("1");
        moved.send(&answer.encode()).await;
        assert!(read.await.expect("no panic").is_ok());
        let send = moved.request(Code::POST, "dp").format(112).payload([0x80]);
        assert_eq!(moved.exchange(send).await.code, Code::CHANGED);
    }
    // 24 ports on 4 shards: some of them were not the owner's.
    assert!(server.statistics().relayed > 0);
    assert_eq!(server.statistics().registrations, 1);
}

#[tokio::test]
async fn registers_from_many_ports_leave_one_registration() {
    let server = server(|config| config.shards = 4).await;
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let server = server.clone();
        tasks.push(tokio::spawn(async move {
            let mut locations = Vec::new();
            for _ in 0..10 {
                let mut device = Peer::new(&server).await;
                let location = device.register("ep=a&lwm2m=1.1").await;
                locations.push((device, location));
            }
            locations
        }));
    }
    let mut registered = Vec::new();
    for task in tasks {
        registered.extend(task.await.expect("no panic"));
    }
    let current = server.registration("a").await.expect("one stays");
    let mut standing = 0;
    for (mut device, location) in registered {
        if format!("rd/{}", current.id) == location {
            standing += 1;
            assert_eq!(device.post(&location).await, Code::CHANGED);
        } else {
            device.until_gone(&location).await;
        }
    }
    assert_eq!(standing, 1);
    let statistics = server.statistics();
    assert_eq!((statistics.registrations, statistics.registered), (1, 80));
}

#[tokio::test]
async fn a_server_on_all_addresses_answers_from_the_one_that_was_asked() {
    use lwm2m_server::{Listener, Server};
    for (listen, from, to) in [
        ("0.0.0.0:0", "127.0.0.1:0", "127.0.0.2"),
        ("[::]:0", "127.0.0.1:0", "127.0.0.3"),
    ] {
        let server = Server::builder()
            .listen(Listener::coap(listen.parse().expect("an address")))
            .start()
            .await
            .expect("the server starts");
        let port = server.local_addresses()[0].port();
        let mut device = Peer::new(&server).await;
        device.socket = tokio::net::UdpSocket::bind(from).await.expect("a port");
        device.server = (to.parse::<std::net::IpAddr>().expect("an address"), port).into();
        device.register("ep=a&lwm2m=1.1").await;
        let seen = server.registration("a").await.expect("registered");
        assert_eq!(seen.peer, device.socket.local_addr().expect("bound"));
        let handle = server.device("a");
        let read = tokio::spawn(async move { handle.read_path(Path::resource(3, 0, 9)).await });
        let request = device.receive().await;
        let answer = device
            .answer(&request, Code::CONTENT)
            .format(0)
            .payload("1");
        device.send(&answer.encode()).await;
        assert!(read.await.expect("no panic").is_ok());
    }
}
