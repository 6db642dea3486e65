//! Bodies that never end, begin in the middle, or are large (N7, N23, N24).

use lwm2m_coap::{Code, OptionNumber};
use lwm2m_device::{DeviceError, Quirks, RegistrationError};

use crate::peer::{Outgoing, Peer};
use crate::site::{Site, V1_1, in_time};

/// A block of a Register; 1024 bytes unless it is the last.
fn block(peer: &mut Peer, endpoint: &str, number: u32, more: bool) -> Outgoing {
    let value = number << 4 | u32::from(more) << 3 | 6;
    let bytes = value.to_be_bytes();
    let skip = bytes.iter().take_while(|byte| **byte == 0).count();
    peer.request(Code::POST, &format!("rd?ep={endpoint}"))
        .format(40)
        .option(OptionNumber::BLOCK1, &bytes[skip..])
        .payload([b' '; 1024])
}

#[tokio::test]
async fn uploads_that_never_end_are_bounded() {
    let mut site = Site::configured(
        V1_1,
        |config| {
            config.shards = 1;
            config.coap.transfers_max = 12;
        },
        |device| device,
    )
    .await;
    let mut peers = [Peer::new(&site.server).await, Peer::new(&site.server).await];
    // Eight from one peer, and twelve in all; what is one more takes the place of the oldest.
    for peer in &mut peers {
        for number in 0..10 {
            let first = block(peer, &format!("x{number}"), 0, true);
            assert_eq!(peer.exchange(first).await.code, Code::CONTINUE);
        }
    }
    let gone = Code::REQUEST_ENTITY_INCOMPLETE;
    for (peer, standing) in peers.iter_mut().zip([6..10, 2..10]) {
        for number in 0..10 {
            let second = block(peer, &format!("x{number}"), 1, true);
            let code = match standing.contains(&number) {
                true => Code::CONTINUE,
                false => gone,
            };
            assert_eq!(peer.exchange(second).await.code, code, "x{number}");
        }
    }
    // Others register, update and are read all the same.
    Peer::new(&site.server).await.register("ep=b").await;
    site.device.update().await.expect("the device runs");
    site.updated().await;
    assert_eq!(site.value("/3/0/16").await, "U");
}

#[tokio::test]
async fn an_upload_begins_with_its_first_block() {
    let site = Site::open(V1_1, |device| device).await;
    let mut peer = Peer::new(&site.server).await;
    for number in [1_048_575, 1, 77] {
        for more in [true, false] {
            let request = block(&mut peer, "x", number, more);
            let answer = peer.exchange(request).await;
            assert_eq!(answer.code, Code::REQUEST_ENTITY_INCOMPLETE, "{number}");
        }
    }
    // A gap.
    let first = block(&mut peer, "x", 0, true);
    assert_eq!(peer.exchange(first).await.code, Code::CONTINUE);
    let third = block(&mut peer, "x", 2, true);
    let answer = peer.exchange(third).await;
    assert_eq!(answer.code, Code::REQUEST_ENTITY_INCOMPLETE);
    assert_eq!(site.value("/3/0/16").await, "U");
}

fn links(count: usize) -> Quirks {
    let links: Vec<String> = (0..count)
        .map(|number| format!("</{}/{}>", 10_000 + number / 100, number % 100))
        .collect();
    let mut quirks = Quirks::default();
    quirks.object_list = Some(links.join(","));
    quirks
}

#[tokio::test]
async fn a_register_of_five_thousand_links() {
    let site = Site::open(V1_1, |device| device.quirks(links(5000))).await;
    let objects = site.registration().await.objects;
    assert_eq!(objects.paths.len(), 5000);
    assert_eq!(site.value("/3/0/16").await, "U");
    // One more than the limit of the list.
    let many = links(lwm2m_core::ObjectList::MAX_LINKS + 1);
    let site = Site::started(V1_1, |_| {}, |device| device.quirks(many)).await;
    let outcome = in_time(site.device.wait_registered()).await;
    let Err(DeviceError::Registration(RegistrationError::Refused { code, .. })) = outcome else {
        panic!("a refusal, and not {outcome:?}");
    };
    assert!(
        matches!(code, Code::BAD_REQUEST | Code::REQUEST_ENTITY_TOO_LARGE),
        "{code:?}"
    );
}

#[tokio::test]
async fn a_body_above_the_limit_is_too_large() {
    let mut quirks = Quirks::default();
    quirks.object_list = Some(format!("</3/0>;x=\"{}\"", "y".repeat(1 << 20)));
    let site = Site::started(V1_1, |_| {}, |device| device.quirks(quirks)).await;
    let outcome = in_time(site.device.wait_registered()).await;
    let Err(DeviceError::Registration(RegistrationError::Refused { code, .. })) = outcome else {
        panic!("a refusal, and not {outcome:?}");
    };
    assert_eq!(code, Code::REQUEST_ENTITY_TOO_LARGE);
}
