//! Reading: rows 201 to 204, 211, 221 to 225, 231, 232, 235 to 237, 280 and 281.

use lwm2m_coap::Code;
use lwm2m_core::{ContentFormat, Version, WriteMode};
use lwm2m_device::objects::DeviceObject;
use lwm2m_server::RequestError;

use crate::site::{Site, V1_0, V1_1, V1_2, across, binding, read, write, write_attributes};

use ContentFormat::{Cbor, Json, Lwm2mCbor, Opaque, SenmlCbor, SenmlJson, Text, Tlv};

const DEVICE: [&str; 6] = [
    "/3/0/0=Simulated Devices",
    "/3/0/1=Model 500",
    "/3/0/2=000000001",
    "/3/0/3=1.0.0",
    "/3/0/11/0=0",
    "/3/0/16=U",
];

/// Every format that a device of this version answers a Read of several values in.
pub(super) fn structured(version: Version) -> &'static [ContentFormat] {
    match version {
        Version::V1_0 => &[Tlv, Json],
        Version::V1_1 => &[Tlv, SenmlJson, SenmlCbor],
        Version::V1_2 => &[Tlv, SenmlJson, SenmlCbor, Lwm2mCbor],
    }
}

async fn site(version: Version) -> Site {
    Site::open(version, |device| device).await
}

#[tokio::test]
async fn int_201_read_text() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = site(version).await;
        for line in &DEVICE[..4] {
            let at = line.split_once('=').expect("path=value").0;
            assert_eq!(site.read(at, Text).await, [*line]);
        }
    })
    .await;
}

#[tokio::test]
async fn int_202_read_opaque() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let test_object = lwm2m_device::objects::test_object();
        let site = Site::open(version, |device| device.object(test_object)).await;
        let opaque = site.read("/3442/0/150", Opaque).await;
        assert_eq!(opaque, site.read("/3442/0/150", Tlv).await);
        assert_eq!(opaque, ["/3442/0/150=AQIDBAU="]);
    })
    .await;
}

#[tokio::test]
async fn int_203_read_tlv() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        assert_eq!(site(version).await.read("/3/0", Tlv).await, DEVICE);
    })
    .await;
}

#[tokio::test]
async fn int_204_read_json() {
    assert_eq!(site(V1_0).await.read("/3/0", Json).await, DEVICE);
}

#[tokio::test]
async fn int_211_read_cbor() {
    across(&[V1_1, V1_2], async |version| {
        let site = site(version).await;
        let letter = format!("/1/0/7={}", binding());
        for line in ["/1/0/0=1", "/1/0/6=false", &letter] {
            assert_eq!(site.read(&line[..6], Cbor).await, [line]);
        }
    })
    .await;
}

#[tokio::test]
async fn int_221_closed_object() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = site(version).await;
        let requests = [
            read("/0"),
            write(
                "/0/0/0",
                WriteMode::Replace,
                &[("/0/0/0", "x".into())],
                None,
            ),
            write_attributes("/0", "pmin=30&pmax=45"),
        ];
        for request in requests {
            let checked = site.ask(request.clone()).await;
            assert!(
                matches!(checked, Err(RequestError::AgainstModel(_))),
                "{checked:?}"
            );
            assert_eq!(site.refused(request).await, Code::UNAUTHORIZED);
        }
    })
    .await;
}

#[tokio::test]
async fn int_222_to_225_read_every_level() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = site(version).await;
        for format in structured(version) {
            let server = site.read("/1", *format).await;
            let letter = format!("/1/0/7={}", binding());
            let mut expected = vec![
                "/1/0/0=1",
                "/1/0/1=86400",
                "/1/0/5=86400",
                "/1/0/6=false",
                &letter,
            ];
            if version != V1_0 {
                expected.push("/1/0/23=false");
            }
            assert_eq!(server, expected, "{format}");
            assert_eq!(site.read("/1/0", *format).await, expected, "{format}");
            for line in expected.iter().chain(&DEVICE) {
                let at = line.split_once('=').expect("path=value").0;
                if version == V1_0 && at.split('/').count() == 5 {
                    continue;
                }
                assert_eq!(site.read(at, *format).await, [*line], "{format}");
            }
            for at in ["/3", "/3/0"] {
                assert_eq!(site.read(at, *format).await, DEVICE, "{format}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn int_231_and_232_read_senml() {
    across(&[V1_1, V1_2], async |version| {
        let site = site(version).await;
        for format in [SenmlJson, SenmlCbor] {
            assert!(site.read("/1", format).await.contains(&"/1/0/0=1".into()));
            assert_eq!(site.read("/3/0", format).await, DEVICE);
            assert_eq!(site.read("/3/0/16", format).await, ["/3/0/16=U"]);
            assert_eq!(site.read("/3/0/11/0", format).await, ["/3/0/11/0=0"]);
        }
    })
    .await;
}

#[tokio::test]
async fn int_235_read_composite_of_the_root() {
    across(&[V1_1, V1_2], async |version| {
        let site = site(version).await;
        for format in &structured(version)[1..] {
            let all = site.read_composite(&["/"], *format).await;
            assert!(all.iter().all(|line| {
                let object = line.split('/').nth(1);
                object == Some("1") || object == Some("3")
            }));
            for line in DEVICE {
                assert!(all.contains(&line.to_owned()), "{line} in {format}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn int_236_read_composite_of_what_is_partly_there() {
    across(&[V1_1, V1_2], async |version| {
        let site = site(version).await;
        let paths = ["/1/0/1", "/3/0/11/0", "/3339/0/5522", "/3353/0/6030"];
        for format in &structured(version)[1..] {
            let found = site.read_composite(&paths, *format).await;
            assert_eq!(found, ["/1/0/1=86400", "/3/0/11/0=0"], "{format}");
        }
        let whole = site.read_composite(&["/1/0", "/3339"], None).await;
        assert_eq!(whole, site.read("/1/0", None).await);
    })
    .await;
}

#[tokio::test]
async fn int_237_read_without_accept() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        for format in structured(version) {
            let site = Site::open(version, |device| device.default_format(*format)).await;
            assert_eq!(site.read("/3", None).await, DEVICE, "{format}");
            let server = site.read("/1", None).await;
            assert_eq!(server, site.read("/1", *format).await, "{format}");
        }
    })
    .await;
}

#[tokio::test]
async fn int_280_read_composite() {
    across(&[V1_1, V1_2], async |version| {
        let site = site(version).await;
        for format in &structured(version)[1..] {
            let found = site
                .read_composite(&["/3/0/16", "/3/0/11/0", "/1/0"], *format)
                .await;
            let mut expected = vec!["/3/0/16=U".to_owned(), "/3/0/11/0=0".to_owned()];
            expected.extend(site.read("/1/0", None).await);
            // The order of a composite answer is the device's, LwM2M CBOR groups by object.
            let mut found = found;
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{format}");
        }
    })
    .await;
}

#[tokio::test]
async fn int_281_read_composite_of_an_executable() {
    across(&[V1_1, V1_2], async |version| {
        let site = site(version).await;
        for format in &structured(version)[1..] {
            let found = site
                .read_composite(&["/1/0/1", "/1/0/7", "/1/0/8"], *format)
                .await;
            let letter = format!("/1/0/7={}", binding());
            assert_eq!(found, ["/1/0/1=86400", &letter], "{format}");
        }
    })
    .await;
}

#[tokio::test]
async fn battery_levels_are_read_by_instance() {
    // Configuration C.4: power sources with their voltages and currents.
    across(&[V1_1, V1_2], async |version| {
        let full = DeviceObject::new(version, "Model 500", "1");
        let site = Site::open(version, |device| device.object(full)).await;
        for format in [Text, Cbor] {
            assert_eq!(site.read("/3/0/7/1", format).await, ["/3/0/7/1=5000"]);
        }
        for format in structured(version) {
            let both = ["/3/0/7/0=3800", "/3/0/7/1=5000"];
            assert_eq!(site.read("/3/0/7", *format).await, both, "{format}");
        }
    })
    .await;
}
