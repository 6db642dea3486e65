//! Devices on real sockets, against a small server on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lwm2m_coap::{Code, Endpoint, Event, OptionNumber, Response};
use lwm2m_core::{Path, Value};
use lwm2m_device::{
    Device, DeviceError, DeviceEvent, Fleet, FleetConfig, FleetError, Job, RegistrationError,
    Storm, StormConfig, demo_devices,
};
use tokio::net::UdpSocket;

/// What the server has got: the peer, and the request line.
type Log = Arc<Mutex<Vec<(SocketAddr, String)>>>;

/// Accepts every registration, or refuses all; forgets the rest.
async fn server(refuse: bool) -> (SocketAddr, Log) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let log: Log = Log::default();
    let seen = Arc::clone(&log);
    tokio::spawn(async move {
        let mut endpoint: Endpoint<SocketAddr> = Endpoint::new(Default::default(), 1);
        let mut buffer = vec![0; 2048];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let now = Instant::now();
            let event = endpoint.receive(now, peer, &buffer[..length]);
            if let Some(Event::Request(request)) = event {
                let segments: Vec<String> = request
                    .message
                    .values(OptionNumber::URI_PATH)
                    .map(|segment| String::from_utf8_lossy(segment).into_owned())
                    .collect();
                let method = request.message.code();
                let line = format!("{method:?} /{}", segments.join("/"));
                seen.lock().unwrap().push((peer, line));
                let response = match (method, segments.join("/").as_str()) {
                    (Code::POST, "rd") if refuse => Response::new(Code::FORBIDDEN),
                    (Code::POST, "rd") => Response::new(Code::CREATED)
                        .option(OptionNumber::LOCATION_PATH, &b"rd"[..])
                        .option(OptionNumber::LOCATION_PATH, &b"1"[..]),
                    (Code::DELETE, _) => Response::new(Code::DELETED),
                    _ => Response::new(Code::CHANGED),
                };
                endpoint.respond(now, request.handle, response);
            }
            while let Some(transmit) = endpoint.poll_transmit() {
                socket
                    .send_to(&transmit.datagram, transmit.peer)
                    .await
                    .unwrap();
            }
        }
    });
    (address, log)
}

/// No test here lasts long; one that hangs fails.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, future).await.expect("in time")
}

#[tokio::test]
async fn registers_updates_sends_and_deregisters() {
    let (address, log) = server(false).await;
    let device = Device::builder("dev")
        .server(address)
        .start()
        .await
        .unwrap();
    in_time(device.wait_registered()).await.unwrap();
    assert_eq!(device.status().location.as_deref(), Some("rd/1"));

    device.update().await.unwrap();
    in_time(device.wait_for(|status| status.statistics.updated == 1)).await;
    let path = Path::resource(3, 0, 9);
    device.set(&path, 42).await.unwrap();
    assert_eq!(device.value(&path).await.unwrap(), Some(Value::Integer(42)));
    assert_eq!(in_time(device.send(&[path])).await, Ok(Code::CHANGED));

    let before = device.status().local_address.unwrap();
    let after = device.rebind().await.unwrap().unwrap();
    assert_ne!(before, after);
    in_time(device.deregister()).await.unwrap();
    assert_eq!(device.set(&path, 43).await, Err(DeviceError::Stopped));

    let log = log.lock().unwrap();
    let lines: Vec<&str> = log.iter().map(|(_, line)| line.as_str()).collect();
    let expected = [
        "0.02 POST /rd",
        "0.02 POST /rd/1",
        "0.02 POST /dp",
        "0.04 DELETE /rd/1",
    ];
    assert_eq!(lines, expected);
    assert_eq!((log[0].0, log[3].0), (before, after));
}

#[tokio::test]
async fn a_reboot_may_change_the_port() {
    let (address, log) = server(false).await;
    let builder = Device::builder("dev").server(address);
    let device = builder.new_port_on_reboot(true).start().await.unwrap();
    in_time(device.wait_registered()).await.unwrap();
    device.reboot().await.unwrap();
    in_time(device.wait_for(|status| status.statistics.registered == 2)).await;
    device.stop().await;
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 2, "{log:?}");
    assert_ne!(log[0].0, log[1].0);
}

#[tokio::test]
async fn a_refusal_is_told() {
    let (address, _log) = server(true).await;
    let device = Device::builder("dev")
        .server(address)
        .start()
        .await
        .unwrap();
    let refused = RegistrationError::Refused {
        code: Code::FORBIDDEN,
        reason: String::new(),
    };
    let outcome = in_time(device.wait_registered()).await;
    assert_eq!(outcome, Err(DeviceError::Registration(refused)));
}

#[tokio::test]
async fn events_are_told() {
    let (address, _log) = server(false).await;
    let device = Device::builder("dev")
        .server(address)
        .start()
        .await
        .unwrap();
    let mut events = device.events();
    in_time(device.wait_registered()).await.unwrap();
    device.update().await.unwrap();
    loop {
        if in_time(events.recv()).await.unwrap() == DeviceEvent::Updated {
            break;
        }
    }
}

#[tokio::test]
async fn demo_devices_register() {
    let (address, _log) = server(false).await;
    let devices = demo_devices(address).await.unwrap();
    let names: Vec<&str> = devices
        .iter()
        .map(|device| device.endpoint_name())
        .collect();
    assert_eq!(names, ["demo-thermometer", "demo-meter", "demo-tracker"]);
    for device in &devices {
        in_time(device.wait_registered()).await.unwrap();
    }
}

#[tokio::test]
async fn a_fleet_registers_and_leaves() {
    let (address, log) = server(false).await;
    let mut config = FleetConfig::new(address, 20);
    config.ramp_per_s = 1000.0;
    let fleet = Fleet::start(config).unwrap();
    in_time(async {
        while fleet.status().registered < 20 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(fleet.status().registrations, 20);
    assert_eq!(fleet.last_error(), None);
    fleet.deregister(Duration::from_secs(60)).await;
    let log = log.lock().unwrap();
    let peers: std::collections::HashSet<SocketAddr> = log.iter().map(|(peer, _)| *peer).collect();
    assert_eq!((log.len(), peers.len()), (40, 20));
    assert!(log.iter().any(|(_, line)| line == "0.04 DELETE /rd/1"));
}

#[tokio::test]
async fn a_fleet_is_bounded() {
    let address = "127.0.0.1:5683".parse().unwrap();
    let count = FleetConfig::COUNT_MAX + 1;
    let refused = Fleet::start(FleetConfig::new(address, count)).unwrap_err();
    assert_eq!(refused, FleetError::TooMany { count });
}

#[tokio::test]
async fn a_storm_registers_updates_and_leaves() {
    let (address, log) = server(false).await;
    let mut config = StormConfig::new(address, 500);
    config.sockets = 3;
    let storm = Storm::start(config).await.unwrap();
    for job in [Job::Register, Job::Update, Job::Deregister] {
        let outcome = in_time(storm.run(job, None)).await;
        assert_eq!((outcome.done, outcome.failed), (500, 0), "{job:?}");
    }
    let status = storm.status();
    assert_eq!(
        (status.registered, status.registrations, status.updates),
        (0, 500, 500)
    );
    let log = log.lock().unwrap();
    let peers: std::collections::HashSet<SocketAddr> = log.iter().map(|(peer, _)| *peer).collect();
    assert_eq!((log.len(), peers.len()), (1500, 3));
}

#[tokio::test]
async fn a_storm_tells_refusals() {
    let (address, _log) = server(true).await;
    let storm = Storm::start(StormConfig::new(address, 10)).await.unwrap();
    let outcome = in_time(storm.run(Job::Register, Some(1000.0))).await;
    assert_eq!((outcome.done, outcome.failed), (0, 10));
    assert_eq!(outcome.refused, Some(Code::FORBIDDEN));
    assert_eq!(storm.status().errors, 10);
}
