//! Objects: rows 241, 651 to 685, 701, 710, 801, 810, 1630 and 1635.

use lwm2m_coap::Code;
use lwm2m_core::{Path, Record, Request, Value, Version};
use lwm2m_device::objects::{DeviceObject, Location, connectivity_monitoring, portfolio};
use lwm2m_server::{Content, RequestError};

use super::read::structured;
use crate::site::{Site, V1_0, V1_1, V1_2, across, path};

async fn full_device(version: Version) -> Site {
    let device = DeviceObject::new(version, "Model 500", "1");
    Site::open(version, |builder| builder.object(device)).await
}

#[tokio::test]
async fn int_241_reboot() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = Site::open(version, |device| device.new_port_on_reboot(true)).await;
        let (before, _) = site.registered().await;
        site.execute("/3/0/4").await;
        let (after, replaced) = site.registered().await;
        assert!(replaced);
        assert_ne!((before.id, before.peer), (after.id, after.peer));
        assert_eq!(site.server.statistics().registrations, 1);
        assert_eq!(site.value("/3/0/3").await, "1.0.0");
    })
    .await;
}

#[tokio::test]
async fn int_651_write_the_device_object() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = full_device(version).await;
        for format in structured(version) {
            let values: [(&str, Value); 3] = [
                ("/3/0/13", Value::Time(1_367_491_215)),
                ("/3/0/14", "+02:00".into()),
                ("/3/0/15", "Europe/Paris".into()),
            ];
            site.post("/3/0", &values, *format).await;
            let written = site.read("/3/0", None).await;
            for line in [
                "/3/0/13=1367491215",
                "/3/0/14=+02:00",
                "/3/0/15=Europe/Paris",
            ] {
                assert!(written.contains(&line.to_owned()), "{format}: {written:?}");
            }
            site.set("/3/0/13", Value::Time(1_700_000_000)).await;
            site.set("/3/0/14", "+00:00").await;
            site.set("/3/0/15", "Etc/UTC").await;
        }
    })
    .await;
}

#[tokio::test]
async fn int_652_firmware_version() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = full_device(version).await;
        assert_eq!(site.value("/3/0/3").await, "1.0.0");
    })
    .await;
}

#[tokio::test]
async fn int_680_and_685_device_is_neither_created_nor_deleted() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = full_device(version).await;
        let create = Request::Create {
            object: 3,
            instance: None,
            records: Vec::new(),
            format: None,
        };
        let delete = Request::Delete { path: path("/3/0") };
        for request in [create, delete] {
            let checked = site.ask(request.clone()).await;
            assert!(
                matches!(checked, Err(RequestError::AgainstModel(_))),
                "{checked:?}"
            );
            let code = site.refused(request).await;
            assert_eq!(code, Code::METHOD_NOT_ALLOWED);
        }
    })
    .await;
}

#[tokio::test]
async fn int_701_and_710_connectivity() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = Site::open(version, |device| {
            device.object(connectivity_monitoring(version))
        })
        .await;
        let all = site.read("/4/0", None).await;
        assert!(all.contains(&"/4/0/2=-71".to_owned()), "{all:?}");
        for format in structured(version) {
            assert_eq!(site.read("/4/0", *format).await, all, "{format}");
        }
        site.attributes("/4/0", "pmin=0&pmax=1").await;
        let id = site.observe("/4/0", "").await;
        assert_eq!(site.notified(id).await, all);
        assert_eq!(site.notified(id).await, all);
    })
    .await;
}

#[tokio::test]
async fn int_801_and_810_location() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let place = Location::new(43.5723, 153.21760);
        let mut site = Site::open(version, |device| device.object(place)).await;
        for format in structured(version) {
            let all = site.read("/6/0", *format).await;
            assert_eq!(all[..2], ["/6/0/0=43.5723", "/6/0/1=153.2176"], "{format}");
        }
        site.attributes("/6/0/0", "pmin=0&pmax=1").await;
        let id = site.observe("/6/0/0", "").await;
        for _ in 0..2 {
            assert_eq!(site.notified(id).await, ["/6/0/0=43.5723"]);
        }
        site.change("/6/0/0", Value::Float(43.6)).await;
        while site.notified(id).await != ["/6/0/0=43.6"] {}
    })
    .await;
}

#[tokio::test]
async fn int_1630_and_1635_create_and_delete() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = Site::open(version, |device| device.object(portfolio())).await;
        let links = site.discover("/16/0", None).await;
        assert_eq!(links, "</16/0>,</16/0/0>;dim=4,</16/0/1>");
        let identities = [
            ("/16/1/0/0", "Host Device ID #2".into()),
            ("/16/1/0/1", "Host Device Manufacturer #2".into()),
        ];
        for format in structured(version) {
            let created = site.create(16, Some(1), &identities, *format).await;
            assert_eq!(created, path("/16/1"), "{format}");
            let links = site.discover("/16/1", None).await;
            assert_eq!(links, "</16/1>,</16/1/0>;dim=2,</16/1/1>", "{format}");
            let all = site.read("/16", None).await;
            assert_eq!(all.len(), 6, "{all:?}");
            assert_eq!(all[4], "/16/1/0/0=Host Device ID #2", "{format}");
            site.delete("/16/1").await;
        }
        site.delete("/16/0").await;
        assert_eq!(site.discover("/16", None).await, "</16>");
    })
    .await;
}

#[tokio::test]
async fn the_device_chooses_the_instance() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = Site::open(version, |device| device.object(portfolio())).await;
        let place = Path::resource_instance(16, u16::MAX, 0, 0);
        let create = Request::Create {
            object: 16,
            instance: None,
            records: vec![Record::new(place, "Host Device ID #2")],
            format: None,
        };
        let created = site.ask(create).await.expect("the device creates");
        assert_eq!(created.content, Content::Created(path("/16/1")));
        assert_eq!(site.value("/16/1/0").await, "Host Device ID #2");
    })
    .await;
}
