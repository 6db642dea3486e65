//! Information reporting: rows 301 to 313.
//!
//! That something is *not* reported is seen by what is reported behind it.

use lwm2m_coap::Code;
use lwm2m_core::{ContentFormat, Version};
use lwm2m_device::objects::{DeviceObject, portfolio};
use lwm2m_device::{DeviceError, DeviceEvent, ResourceValue, SendError};
use lwm2m_server::{CancelMode, EventKind};

use crate::site::{Site, V1_0, V1_1, V1_2, across, in_time, path};

/// Longer than any test.
const LONG: &str = "pmin=3600";

async fn site(version: Version) -> Site {
    let sources = |a: i32, b: i32| ResourceValue::multiple([(0, a), (1, b)]);
    let device = DeviceObject::minimal(version, "Model 500", "1")
        .with(7, sources(3800, 5000))
        .with(8, sources(125, 900))
        .with(9, 80);
    Site::open(version, |builder| builder.object(device)).await
}

const VOLTAGES: [&str; 2] = ["/3/0/7/0=3800", "/3/0/7/1=5000"];
const CURRENTS: [&str; 2] = ["/3/0/8/0=125", "/3/0/8/1=900"];

#[tokio::test]
async fn int_301_observe() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = site(version).await;
        site.attributes("/3/0/7", LONG).await;
        site.attributes("/3/0/8", "pmin=0&pmax=1").await;
        let voltages = site.observe("/3/0/7", "").await;
        let currents = site.observe("/3/0/8", "").await;
        assert_eq!(site.notified(voltages).await, VOLTAGES);
        assert_eq!(site.notified(currents).await, CURRENTS);
        // Its maximum period has passed.
        assert_eq!(site.notified(currents).await, CURRENTS);
        // The minimum period holds the voltages back, but not the currents.
        let next = ResourceValue::multiple([(0, 3801), (1, 5001)]);
        site.device.set(&path("/3/0/7"), next).await.expect("runs");
        let next = ResourceValue::multiple([(0, 126), (1, 901)]);
        site.device.set(&path("/3/0/8"), next).await.expect("runs");
        let (first, values) = site
            .event(|event| match &event.kind {
                EventKind::Notification { id, values, .. } => {
                    let changed = values.records[0].value.to_text() != "125";
                    changed.then(|| (*id, values.records.len()))
                }
                _ => None,
            })
            .await;
        assert_eq!((first, values), (currents, 2));
        site.attributes("/3/0/7", "pmin=0").await;
        let new = ["/3/0/7/0=3801", "/3/0/7/1=5001"];
        assert_eq!(site.notified(voltages).await, new);
    })
    .await;
}

/// Rows 302 and 303.
async fn cancel(version: Version, mode: CancelMode) {
    let mut site = site(version).await;
    let battery = site.observe("/3/0/9", "").await;
    let voltages = site.observe("/3/0/7", "").await;
    site.change("/3/0/9", 79).await;
    assert_eq!(site.notified(battery).await, ["/3/0/9=80"]);
    assert_eq!(site.notified(battery).await, ["/3/0/9=79"]);
    let handle = site.server.device("a");
    in_time(handle.cancel(battery, mode))
        .await
        .expect("it stood");
    // A passive cancellation is told with the next notification.
    site.change("/3/0/9", 78).await;
    site.done(|event| matches!(event, DeviceEvent::ObservationEnded { .. }).then_some(()))
        .await;
    assert_eq!(site.device.status().observations, 1);
    let standing = handle.observations().await.expect("registered");
    assert_eq!(standing.len(), 1);
    assert_eq!(standing[0].id, voltages);
    let again = handle.cancel(battery, mode).await;
    assert_eq!(again, Err(lwm2m_server::RequestError::NoObservation));
}

#[tokio::test]
async fn int_302_cancel_by_reset() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        cancel(version, CancelMode::Passive).await;
    })
    .await;
}

#[tokio::test]
async fn int_303_cancel_by_observe_1() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        cancel(version, CancelMode::Active).await;
    })
    .await;
}

const COMPOSITE: [&str; 3] = ["/1/0/1=86400", "/3/0/11/0=0", "/3/0/16=U"];

#[tokio::test]
async fn int_304_and_305_observe_composite_and_cancel() {
    across(&[V1_1, V1_2], async |version| {
        let mut site = site(version).await;
        site.attributes("/1/0/1", "pmin=0&pmax=1").await;
        let paths = ["/1/0/1", "/3/0/11/0", "/3/0/16"];
        let (id, first) = site.observe_composite(&paths).await;
        assert_eq!(first, COMPOSITE);
        // The first values, and those of the first period.
        assert_eq!(site.notified(id).await, COMPOSITE);
        assert_eq!(site.notified(id).await, COMPOSITE);
        let handle = site.server.device("a");
        let cancelled = in_time(handle.cancel(id, CancelMode::Active)).await;
        assert_eq!(cancelled, Ok(()));
        site.done(|event| matches!(event, DeviceEvent::ObservationEnded { .. }).then_some(()))
            .await;
        assert_eq!(site.device.status().observations, 0);
        assert_eq!(handle.observations().await, Ok(Vec::new()));
    })
    .await;
}

#[tokio::test]
async fn int_306_and_311_send() {
    across(&[V1_1, V1_2], async |version| {
        for format in [ContentFormat::SenmlJson, ContentFormat::SenmlCbor] {
            let mut site = Site::open(version, |device| device.formats([format])).await;
            let paths = ["/1/0/1", "/3/0/11/0"].map(path);
            let code = in_time(site.device.send(&paths)).await;
            assert_eq!(code, Ok(Code::CHANGED), "{format}");
            let values = site.event(|event| match &event.kind {
                EventKind::Send { values } => Some(values.records.clone()),
                _ => None,
            });
            let values = values.await;
            let found: Vec<String> = values
                .iter()
                .map(|record| format!("{}={}", record.path, record.value.to_text()))
                .collect();
            assert_eq!(found, COMPOSITE[..2], "{format}");
        }
    })
    .await;
}

#[tokio::test]
async fn int_307_mute_send() {
    across(&[V1_1, V1_2], async |version| {
        let mut site = site(version).await;
        let paths = [path("/3/0/11/0")];
        site.set("/1/0/23", true).await;
        let muted = in_time(site.device.send(&paths)).await;
        assert_eq!(muted, Err(DeviceError::Send(SendError::Muted)));
        site.set("/1/0/23", false).await;
        let sent = in_time(site.device.send(&paths)).await;
        assert_eq!(sent, Ok(Code::CHANGED));
        let values = site.event(|event| match &event.kind {
            EventKind::Send { values } => Some(values.records.len()),
            _ => None,
        });
        assert_eq!(values.await, 1);
    })
    .await;
}

#[tokio::test]
async fn int_308_and_309_observe_composite_of_what_comes_and_goes() {
    across(&[V1_1, V1_2], async |version| {
        let mut site = Site::open(version, |device| device.object(portfolio())).await;
        site.delete("/16/0").await;
        let first = [("/16/0/0/0", "one".into())];
        site.create(16, Some(0), &first, None).await;
        let (id, values) = site.observe_composite(&["/16/0", "/16/1"]).await;
        assert_eq!(values, ["/16/0/0/0=one"]);
        assert_eq!(site.notified(id).await, values);
        let second = [("/16/1/0/0", "two".into())];
        let created = site.create(16, Some(1), &second, None).await;
        assert_eq!(created, path("/16/1"));
        let both = ["/16/0/0/0=one", "/16/1/0/0=two"];
        assert_eq!(site.notified(id).await, both);
        site.delete("/16/1").await;
        assert_eq!(site.notified(id).await, values);
    })
    .await;
}

#[tokio::test]
async fn int_310_attributes_of_a_running_observation_change() {
    across(&[V1_1, V1_2], async |version| {
        let mut site = site(version).await;
        site.set("/1/0/3", 3600).await;
        let (id, values) = site.observe_composite(&["/1/0/3", "/3/0"]).await;
        assert_eq!(values[0], "/1/0/3=3600");
        assert_eq!(site.notified(id).await, values);
        site.attributes("/3", "pmax=1").await;
        assert_eq!(site.notified(id).await, values);
        assert_eq!(site.notified(id).await, values);
    })
    .await;
}

#[tokio::test]
async fn int_312_parameters_of_an_observe() {
    let mut site = site(V1_2).await;
    let id = site.observe("/3/0/7", "pmin=0&pmax=1").await;
    for _ in 0..3 {
        assert_eq!(site.notified(id).await, VOLTAGES);
    }
}

#[tokio::test]
async fn int_313_parameters_of_an_observe_override() {
    let mut site = site(V1_2).await;
    site.attributes("/3/0/7", "pmin=5&pmax=3600").await;
    let id = site.observe("/3/0/7", "pmin=0&pmax=1").await;
    for _ in 0..2 {
        assert_eq!(site.notified(id).await, VOLTAGES);
    }
    // What is attached stays as it was.
    let links = site.discover("/3/0/7", None).await;
    assert!(
        links.starts_with("</3/0/7>;dim=2;pmin=5;pmax=3600"),
        "{links}"
    );
}
