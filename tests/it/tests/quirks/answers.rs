//! Answers that deviate.

use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::{ContentFormat, Request, Value, Version};
use lwm2m_device::objects::portfolio;
use lwm2m_device::{DeviceEvent, Quirks};
use lwm2m_server::{Content, RequestError, ServerConfig};

use crate::site::{Site, V1_0, V1_1, V1_2, across, in_time, path, read, values};

async fn site(version: Version, set: impl FnOnce(&mut Quirks)) -> Site {
    impatient(version, |_| {}, set).await
}

async fn impatient(
    version: Version,
    configure: impl FnOnce(&mut ServerConfig),
    set: impl FnOnce(&mut Quirks),
) -> Site {
    let mut quirks = Quirks::default();
    set(&mut quirks);
    Site::configured(version, configure, |device| {
        device.object(portfolio()).quirks(quirks)
    })
    .await
}

/// Everything that a server does with a device.
async fn works(site: &mut Site, version: Version) {
    assert_eq!(site.value("/3/0/0").await, "Simulated Devices");
    let device = site.read("/3/0", None).await;
    assert!(device.contains(&"/3/0/11/0=0".to_owned()), "{device:?}");
    site.set("/1/0/1", 4711).await;
    assert_eq!(site.updated().await.lifetime_s, 4711);
    assert!(site.discover("/3/0", None).await.starts_with("</3/0>"));
    let id = site.observe("/3/0/0", "").await;
    assert_eq!(site.notified(id).await, ["/3/0/0=Simulated Devices"]);
    site.change("/3/0/0", "Other Devices").await;
    assert_eq!(site.notified(id).await, ["/3/0/0=Other Devices"]);
    if version != V1_0 {
        let found = site.read_composite(&["/3/0/16", "/1/0/0"], None).await;
        assert_eq!(found, ["/3/0/16=U", "/1/0/0=1"]);
        site.write_composite(&[("/1/0/6", true.into())], None).await;
    }
    let identity = [("/16/7/0/0", "seven".into())];
    site.create(16, Some(7), &identity, None).await;
    site.delete("/16/7").await;
    site.execute("/1/0/8").await;
}

#[tokio::test]
async fn answers_without_content_format() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = site(version, |quirks| quirks.no_content_format = true).await;
        works(&mut site, version).await;
    })
    .await;
}

#[tokio::test]
async fn tlv_whatever_is_accepted() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut quirks = Quirks::default();
        quirks.ignore_accept = true;
        let site = Site::open(version, |device| {
            device.quirks(quirks).default_format(ContentFormat::Tlv)
        })
        .await;
        for accept in [ContentFormat::Text, ContentFormat::Tlv] {
            let request = Request::Read {
                path: path("/3/0/0"),
                accept: Some(accept),
            };
            let response = site.ask(request).await.expect("it answers");
            assert_eq!(response.format, Some(ContentFormat::Tlv));
            assert_eq!(values(&response), ["/3/0/0=Simulated Devices"]);
        }
        assert_eq!(site.read("/3/0", None).await.len(), 6);
    })
    .await;
}

#[tokio::test]
async fn separate_and_late_answers() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut apart = site(version, |quirks| quirks.separate_responses = true).await;
        works(&mut apart, version).await;
        let late = |quirks: &mut Quirks| quirks.answer_delay = Duration::from_millis(20);
        works(&mut site(version, late).await, version).await;
    })
    .await;
}

/// A device that acknowledges and then says nothing does not hold the line.
#[tokio::test]
async fn fetch_is_acknowledged_and_never_answered() {
    across(&[V1_1, V1_2], async |version| {
        let soon = |config: &mut ServerConfig| {
            config.coap.response_timeout = Duration::from_secs(4);
        };
        let site = impatient(version, soon, |quirks| {
            quirks.composite_without_answer = true;
        })
        .await;
        let fetch = || Request::ReadComposite {
            paths: vec![path("/3/0/0")],
            format: None,
            accept: None,
        };
        let patch = Request::WriteComposite {
            records: vec![lwm2m_core::Record::new(path("/1/0/6"), true)],
            format: None,
        };
        // Those behind it in the line run.
        let (first, second, third, fourth) = tokio::join!(
            site.ask(fetch()),
            site.ask(read("/3/0/0")),
            site.ask(patch),
            site.ask(read("/3/0/16")),
        );
        assert_eq!(first, Err(RequestError::NoResponse));
        assert_eq!(third, Err(RequestError::NoResponse));
        let second = second.expect("it answers");
        assert_eq!(values(&second), ["/3/0/0=Simulated Devices"]);
        assert_eq!(values(&fourth.expect("it answers")), ["/3/0/16=U"]);
    })
    .await;
}

#[tokio::test]
async fn composite_requests_are_refused() {
    across(&[V1_1, V1_2], async |version| {
        let site = site(version, |quirks| quirks.composite_refused = true).await;
        let fetch = Request::ReadComposite {
            paths: vec![path("/3/0/0")],
            format: None,
            accept: None,
        };
        assert_eq!(site.refused(fetch).await, Code::METHOD_NOT_ALLOWED);
        assert_eq!(site.value("/3/0/16").await, "U");
    })
    .await;
}

#[tokio::test]
async fn a_silent_device_stays_registered() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let soon = |config: &mut ServerConfig| {
            config.coap.response_timeout = Duration::from_millis(100);
        };
        let mut site = impatient(version, soon, |quirks| quirks.silent = true).await;
        for _ in 0..2 {
            let answer = site.ask(read("/3/0/0")).await;
            assert_eq!(answer, Err(RequestError::NoResponse));
        }
        site.device.update().await.expect("the device runs");
        site.updated().await;
    })
    .await;
}

#[tokio::test]
async fn answers_with_a_wrong_token_are_none() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let soon = |config: &mut ServerConfig| {
            config.coap.transmission.ack_timeout = Duration::from_millis(50);
            config.coap.transmission.max_retransmit = 1;
            config.coap.response_timeout = Duration::from_millis(200);
        };
        let mut site = impatient(version, soon, |quirks| quirks.wrong_tokens = true).await;
        for _ in 0..2 {
            let answer = site.ask(read("/3/0/0")).await;
            let failed = matches!(
                answer,
                Err(RequestError::NotAcknowledged | RequestError::NoResponse)
            );
            assert!(failed, "{answer:?}");
        }
        site.device.update().await.expect("the device runs");
        site.updated().await;
    })
    .await;
}

#[tokio::test]
async fn a_new_observation_silently_ends_the_one_before() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = site(version, |quirks| quirks.one_observation_per_path = true).await;
        let first = site.observe("/3/0/0", "").await;
        let second = site.observe("/3/0/0", "").await;
        assert_eq!(site.device.status().observations, 1);
        assert_eq!(site.notified(second).await.len(), 1);
        site.change("/3/0/0", "Other Devices").await;
        assert_eq!(site.notified(second).await, ["/3/0/0=Other Devices"]);
        let handle = site.server.device("a");
        for id in [first, second] {
            let mode = lwm2m_server::CancelMode::Active;
            let cancelled = in_time(handle.cancel(id, mode)).await;
            assert!(
                matches!(cancelled, Ok(()) | Err(RequestError::NoObservation)),
                "{cancelled:?}"
            );
        }
        assert_eq!(handle.observations().await, Ok(Vec::new()));
    })
    .await;
}

#[tokio::test]
async fn create_without_a_location() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = site(version, |quirks| quirks.create_without_location = true).await;
        let place = lwm2m_core::Path::resource_instance(16, u16::MAX, 0, 0);
        let create = Request::Create {
            object: 16,
            instance: None,
            records: vec![lwm2m_core::Record::new(place, Value::from("one"))],
            format: None,
        };
        let created = site.ask(create).await.expect("the device creates");
        assert_eq!(created.code, Code::CREATED);
        // Which one it is, the device does not say.
        assert_eq!(created.content, Content::None);
        assert_eq!(site.value("/16/1/0").await, "one");
    })
    .await;
}

#[tokio::test]
async fn the_update_trigger_is_ignored() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = site(version, |quirks| quirks.ignore_update_trigger = true).await;
        site.execute("/1/0/8").await;
        let answered = site.done(|event| match event {
            DeviceEvent::Requested { code, .. } => code,
            _ => None,
        });
        assert_eq!(answered.await, Code::CHANGED);
        assert_eq!(site.value("/3/0/16").await, "U");
        assert_eq!(site.device.status().statistics.updated, 0);
    })
    .await;
}
