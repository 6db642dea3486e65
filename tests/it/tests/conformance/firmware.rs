//! Firmware update: rows 751 to 780.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lwm2m_coap::{Code, Endpoint, Event, OptionNumber};
use lwm2m_core::{Value, Version};
use lwm2m_device::objects::{Firmware, FirmwareFault};
use tokio::net::UdpSocket;

use crate::site::{Site, V1_0, V1_1, V1_2, across, execute};

/// An image of some blocks that says which version it is.
fn image() -> Vec<u8> {
    let mut image = b"version=2.0.0\n".to_vec();
    image.extend((0..5000).map(|n| (n % 251) as u8));
    image
}

async fn site(version: Version, fault: Option<FirmwareFault>) -> Site {
    let mut firmware = Firmware::new("1.0.0").install_time(Duration::ZERO);
    if let Some(fault) = fault {
        firmware = firmware.fault(fault);
    }
    Site::open(version, |device| device.object(firmware)).await
}

impl Site {
    async fn push(&self, image: Vec<u8>) {
        self.put("/5/0/0", &[("/5/0/0", Value::from(image))], None)
            .await;
    }

    /// Asserts the state, and then the result, of the firmware.
    async fn firmware(&self, state: &str, result: &str) {
        self.until("/5/0/3", state).await;
        assert_eq!(self.value("/5/0/5").await, result, "in state {state}");
    }
}

#[tokio::test]
async fn int_751_read_the_firmware_object() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = site(version, None).await;
        let all = site.read("/5/0", lwm2m_core::ContentFormat::Tlv).await;
        for line in ["/5/0/3=0", "/5/0/5=0", "/5/0/9=2"] {
            assert!(all.contains(&line.to_owned()), "{all:?}");
        }
        assert!(!all.iter().any(|line| line.starts_with("/5/0/0=")));
    })
    .await;
}

#[tokio::test]
async fn int_755_write_the_package() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = site(version, None).await;
        site.push(vec![0]).await;
        site.firmware("0", "0").await;
        site.push(image()).await;
        site.firmware("2", "0").await;
    })
    .await;
}

/// Serves the image at `/fw`, and nothing else.
async fn file_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut endpoint: Endpoint<SocketAddr> = Endpoint::new(Default::default(), 1);
        let mut buffer = vec![0; 2048];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let now = Instant::now();
            let event = endpoint.receive(now, peer, &buffer[..length]);
            if let Some(Event::Request(request)) = event {
                let mut segments = request.message.values(OptionNumber::URI_PATH);
                let response = match segments.next() {
                    Some(b"fw") => lwm2m_coap::Response::new(Code::CONTENT).payload(image()),
                    _ => lwm2m_coap::Response::new(Code::NOT_FOUND),
                };
                endpoint.respond(now, request.handle, response);
            }
            while let Some(transmit) = endpoint.poll_transmit() {
                let sent = socket.send_to(&transmit.datagram, transmit.peer).await;
                sent.expect("sent");
            }
        }
    });
    address
}

#[tokio::test]
async fn int_756_write_the_package_uri() {
    let files = file_server().await;
    across(&[V1_0, V1_1, V1_2], move |version| async move {
        let site = site(version, None).await;
        site.set("/5/0/1", "").await;
        site.firmware("0", "0").await;
        site.set("/5/0/1", format!("coap://{files}/fw")).await;
        site.firmware("2", "0").await;
    })
    .await;
}

#[tokio::test]
async fn int_760_observe_the_state() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = site(version, None).await;
        site.attributes("/5/0/3", "pmin=0&pmax=10").await;
        let id = site.observe("/5/0/3", "").await;
        assert_eq!(site.notified(id).await, ["/5/0/3=0"]);
        site.push(image()).await;
        assert_eq!(site.notified(id).await, ["/5/0/3=2"]);
    })
    .await;
}

/// The rest of rows 770 and 771, from the arrival of the image on.
async fn install(mut site: Site) {
    site.firmware("2", "0").await;
    assert_eq!(site.value("/3/0/3").await, "1.0.0");
    let (before, _) = site.registered().await;
    site.execute("/5/0/2").await;
    let (after, replaced) = site.registered().await;
    assert!(replaced && before.id != after.id);
    site.firmware("0", "1").await;
    assert_eq!(site.value("/3/0/3").await, "2.0.0");
}

#[tokio::test]
async fn int_770_update_by_push() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = site(version, None).await;
        site.push(image()).await;
        install(site).await;
    })
    .await;
}

#[tokio::test]
async fn int_771_update_by_pull() {
    let files = file_server().await;
    across(&[V1_0, V1_1, V1_2], move |version| async move {
        let site = site(version, None).await;
        site.set("/5/0/1", format!("coap://{files}/fw")).await;
        install(site).await;
    })
    .await;
}

#[tokio::test]
async fn int_772_execute_without_a_package() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = site(version, None).await;
        let code = site.refused(execute("/5/0/2")).await;
        assert_eq!(code, Code::METHOD_NOT_ALLOWED);
        site.firmware("0", "0").await;
    })
    .await;
}

/// A package that the device refuses: storage (773), memory (774), integrity (776), type (777).
#[tokio::test]
async fn int_773_774_776_777_package_is_refused() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        for result in [2, 3, 5, 6] {
            let site = site(version, Some(FirmwareFault::Package(result))).await;
            site.push(image()).await;
            site.firmware("0", &result.to_string()).await;
        }
    })
    .await;
}

#[tokio::test]
async fn int_775_link_is_lost() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let firmware = Firmware::new("1.0.0");
        let site = Site::open(version, |device| {
            device.object(firmware).configure(|config| {
                // A file server that is gone is noticed soon; one that is there is not slower.
                config.coap.transmission.ack_timeout = Duration::from_millis(500);
                config.coap.transmission.max_retransmit = 1;
            })
        })
        .await;
        // Nobody answers there.
        let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = silent.local_addr().expect("an address");
        site.set("/5/0/1", format!("coap://{address}/fw")).await;
        site.firmware("0", "4").await;
    })
    .await;
}

#[tokio::test]
async fn int_778_and_780_uri_is_no_use() {
    let files = file_server().await;
    across(&[V1_0, V1_1, V1_2], move |version| async move {
        let site = site(version, None).await;
        let missing = format!("coap://{files}/nothing");
        for (uri, result) in [
            (missing.as_str(), "7"),
            ("coap://", "7"),
            ("http://127.0.0.1/fw", "9"),
        ] {
            site.set("/5/0/1", uri.to_owned()).await;
            site.until("/5/0/5", result).await;
            site.firmware("0", result).await;
        }
    })
    .await;
}

#[tokio::test]
async fn int_779_installation_fails() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = site(version, Some(FirmwareFault::Install(8))).await;
        site.push(image()).await;
        site.firmware("2", "0").await;
        site.execute("/5/0/2").await;
        site.until("/5/0/5", "8").await;
        site.firmware("2", "8").await;
        assert_eq!(site.value("/3/0/3").await, "1.0.0");
    })
    .await;
}
