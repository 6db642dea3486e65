//! Discover and attributes: rows 260, 261, 264 and 266.

use lwm2m_core::Version;
use lwm2m_device::objects::DeviceObject;

use crate::site::{Site, V1_0, V1_1, V1_2, across};

/// Configuration C.4: default periods, and a device with two power sources.
async fn site(version: Version) -> Site {
    let device = DeviceObject::minimal(version, "Model 500", "1");
    let sources = |a: i32, b: i32| lwm2m_device::ResourceValue::multiple([(0, a), (1, b)]);
    let device = device
        .with(6, sources(1, 2))
        .with(7, sources(0, 0))
        .with(8, sources(0, 0))
        .with(9, 0);
    Site::open(version, |builder| {
        builder.object(device).server_settings(|settings| {
            settings.pmin_s = Some(1);
            settings.pmax_s = Some(10);
        })
    })
    .await
}

#[tokio::test]
async fn int_260_discover() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = site(version).await;
        let object = site.discover("/3", None).await;
        assert!(
            object.starts_with("</3>;pmin=1;pmax=10,</3/0>,"),
            "{object}"
        );
        assert!(object.contains(",</3/0/7>;dim=2,"), "{object}");
        site.attributes("/3", "pmin=10&pmax=200").await;
        let instance = site.discover("/3/0", None).await;
        let first = "</3/0>;pmin=10;pmax=200,</3/0/0>,</3/0/1>,</3/0/2>,</3/0/3>,</3/0/4>";
        assert!(instance.starts_with(first), "{instance}");
        site.attributes("/3/0/7", "lt=1&gt=6&st=1").await;
        let instance = site.discover("/3/0", None).await;
        let own = ",</3/0/7>;dim=2;gt=6;lt=1;st=1,";
        assert!(instance.contains(own), "{instance}");
        let resource = site
            .discover("/3/0/7", Some(0).filter(|_| version == V1_2))
            .await;
        let all = "</3/0/7>;dim=2;pmin=10;pmax=200;gt=6;lt=1;st=1";
        assert!(resource.starts_with(all), "{resource}");
    })
    .await;
}

#[tokio::test]
async fn int_261_attributes_on_levels() {
    across(&[V1_1, V1_2], async |version| {
        let site = site(version).await;
        site.attributes("/3", "pmin=10&pmax=200").await;
        site.attributes("/3/0", "pmax=320").await;
        site.attributes("/3/0/11/0", "pmax=100&epmin=1&epmax=20")
            .await;
        let expected = "</3/0/11>;dim=1;pmin=10;pmax=320,</3/0/11/0>;pmax=100;epmin=1;epmax=20";
        assert_eq!(site.discover("/3/0/11", None).await, expected);
    })
    .await;
}

#[tokio::test]
async fn int_264_discover_one_level() {
    let site = site(V1_2).await;
    let links = site.discover("/3", Some(1)).await;
    assert_eq!(links, "</3>;pmin=1;pmax=10,</3/0>");
    site.attributes("/3/0", "pmax=200").await;
    let links = site.discover("/3", Some(1)).await;
    assert_eq!(links, "</3>;pmin=1;pmax=10,</3/0>;pmax=200");
}

#[tokio::test]
async fn int_266_discover_more_levels() {
    let site = site(V1_2).await;
    let two = site.discover("/3", Some(2)).await;
    assert!(two.contains("</3/0/7>;dim=2"), "{two}");
    assert!(!two.contains("</3/0/7/"), "{two}");
    site.attributes("/3", "pmin=5").await;
    site.attributes("/3/0/7", "pmax=50").await;
    site.attributes("/3/0/7/1", "gt=8").await;
    let three = site.discover("/3", Some(3)).await;
    assert!(three.starts_with("</3>;pmin=5;pmax=10,"), "{three}");
    let source = "</3/0/7>;dim=2;pmax=50,</3/0/7/0>,</3/0/7/1>;gt=8,";
    assert!(three.contains(source), "{three}");
}
