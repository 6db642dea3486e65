//! Writing: rows 205, 210, 212, 215, 220, 226 to 230, 233, 234, 256 and 257.

use lwm2m_coap::Code;
use lwm2m_core::{ContentFormat, Value, Version, WriteMode};
use lwm2m_device::objects::{DeviceObject, portfolio, test_object};
use lwm2m_server::RequestError;

use super::read::structured;
use crate::site::{Site, V1_0, V1_1, V1_2, across, binding, path, write};

use ContentFormat::{Cbor, Json, Opaque, SenmlCbor, SenmlJson, Text, Tlv};

/// Configuration C.3: a Server object with default periods.
async fn site(version: Version) -> Site {
    Site::open(version, |device| {
        device.object(portfolio()).server_settings(|settings| {
            settings.pmin_s = Some(1);
            settings.pmax_s = Some(10);
        })
    })
    .await
}

/// Writes each value by itself, and reads it again.
async fn write_each(site: &Site, values: &[(&str, Value<'static>)], format: ContentFormat) {
    for (at, value) in values {
        site.put(at, &[(at, value.clone())], format).await;
        assert_eq!(site.value(at).await, value.to_text(), "{format} at {at}");
    }
}

#[tokio::test]
async fn int_205_write_text() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = site(version).await;
        let values: [(&str, Value); 3] = [
            ("/1/0/2", 101.into()),
            ("/1/0/3", 1010.into()),
            ("/1/0/5", 2000.into()),
        ];
        write_each(&site, &values, Text).await;
        let written = site.read("/1/0", Tlv).await;
        for line in ["/1/0/2=101", "/1/0/3=1010", "/1/0/5=2000"] {
            assert!(written.contains(&line.to_owned()), "{line}");
        }
    })
    .await;
}

#[tokio::test]
async fn int_210_write_opaque() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = Site::open(version, |device| device.object(test_object())).await;
        let image: Vec<u8> = (0..5000).map(|n| (n % 251) as u8).collect();
        let value = Value::from(image.clone());
        site.put("/3442/0/150", &[("/3442/0/150", value)], Opaque)
            .await;
        let kept = site.device.value(&path("/3442/0/150")).await;
        assert_eq!(kept.expect("it runs"), Some(Value::from(image)));
    })
    .await;
}

#[tokio::test]
async fn int_212_write_cbor() {
    across(&[V1_1, V1_2], async |version| {
        let site = site(version).await;
        let values: [(&str, Value); 3] = [
            ("/1/0/2", 101.into()),
            ("/1/0/3", 1010.into()),
            ("/1/0/6", true.into()),
        ];
        write_each(&site, &values, Cbor).await;
    })
    .await;
}

/// Rows 215 and 220: several resources at once, and all of them back again.
async fn write_instance(version: Version, format: ContentFormat) {
    let site = site(version).await;
    let saved = site.read("/1/0", None).await;
    let new: [(&str, Value); 5] = [
        ("/1/0/2", 101.into()),
        ("/1/0/3", 1010.into()),
        ("/1/0/5", 2000.into()),
        ("/1/0/6", true.into()),
        ("/1/0/7", binding().into()),
    ];
    site.post("/1/0", &new, format).await;
    let written = site.read("/1/0", None).await;
    let letter = format!("/1/0/7={}", binding());
    let expected = [
        "/1/0/0=1",
        "/1/0/1=86400",
        "/1/0/2=101",
        "/1/0/3=1010",
        "/1/0/5=2000",
        "/1/0/6=true",
        &letter,
    ];
    assert_eq!(written[..7], expected, "{format}");
    let mut old: Vec<(&str, Value)> = vec![
        ("/1/0/1", 86400.into()),
        ("/1/0/2", 1.into()),
        ("/1/0/3", 10.into()),
        ("/1/0/5", 86400.into()),
        ("/1/0/6", false.into()),
        ("/1/0/7", binding().into()),
    ];
    if version != V1_0 {
        old.push(("/1/0/23", false.into()));
    }
    site.put("/1/0", &old, format).await;
    assert_eq!(site.read("/1/0", None).await, saved, "{format}");
}

#[tokio::test]
async fn int_215_write_tlv() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        write_instance(version, Tlv).await;
    })
    .await;
}

#[tokio::test]
async fn int_220_write_json() {
    write_instance(V1_0, Json).await;
}

#[tokio::test]
async fn int_226_partial_update() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = site(version).await;
        for (format, lifetime) in structured(version).iter().zip(61..) {
            let values = [("/1/0/1", lifetime.into()), ("/1/0/6", true.into())];
            site.post("/1/0", &values, *format).await;
            let updated = site.updated().await;
            assert_eq!(i32::try_from(updated.lifetime_s), Ok(lifetime), "{format}");
            assert_eq!(site.value("/1/0/6").await, "true");
            site.set("/1/0/6", false).await;
        }
    })
    .await;
}

#[tokio::test]
async fn int_227_replace_a_resource() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = site(version).await;
        let single: &[_] = if version == V1_0 {
            &[Text]
        } else {
            &[Text, Cbor]
        };
        let formats = single.iter().chain(structured(version));
        for (format, lifetime) in formats.zip(63..) {
            site.put("/1/0/1", &[("/1/0/1", lifetime.into())], *format)
                .await;
            let updated = site.updated().await;
            assert_eq!(i32::try_from(updated.lifetime_s), Ok(lifetime), "{format}");
        }
    })
    .await;
}

#[tokio::test]
async fn int_228_write_a_resource_instance() {
    across(&[V1_1, V1_2], async |version| {
        let site = site(version).await;
        let before = site.read("/16/0/0", None).await;
        let formats = [Text, Cbor].iter().chain(&structured(version)[1..]);
        for (number, format) in formats.enumerate() {
            let text = format!("test {number}");
            let value = ("/16/0/0/1", text.clone().into());
            site.put("/16/0/0/1", &[value], *format).await;
            let mut expected = before.clone();
            expected[1] = format!("/16/0/0/1={text}");
            assert_eq!(site.read("/16/0/0", None).await, expected, "{format}");
        }
    })
    .await;
}

#[tokio::test]
async fn int_230_write_composite() {
    across(&[V1_1, V1_2], async |version| {
        let mut site = site(version).await;
        for (format, lifetime) in structured(version)[1..].iter().zip(61..) {
            let values = [
                ("/1/0/1", lifetime.into()),
                ("/1/0/6", true.into()),
                ("/16/0/0/0", "aa".into()),
                ("/16/0/0/1", "bb".into()),
                ("/16/0/0/2", "cc".into()),
                ("/16/0/0/3", "dd".into()),
            ];
            site.write_composite(&values, *format).await;
            let updated = site.updated().await;
            assert_eq!(i32::try_from(updated.lifetime_s), Ok(lifetime), "{format}");
            let identities = [
                "/16/0/0/0=aa",
                "/16/0/0/1=bb",
                "/16/0/0/2=cc",
                "/16/0/0/3=dd",
            ];
            assert_eq!(site.read("/16/0/0", None).await, identities, "{format}");
            assert_eq!(site.value("/1/0/6").await, "true");
            site.set("/1/0/6", false).await;
        }
    })
    .await;
}

#[tokio::test]
async fn int_233_and_234_write_senml() {
    across(&[V1_1, V1_2], async |version| {
        let mut site = site(version).await;
        for format in [SenmlCbor, SenmlJson] {
            let values = [("/1/0/1", 61.into()), ("/1/0/6", true.into())];
            site.post("/1/0", &values, format).await;
            assert_eq!(site.updated().await.lifetime_s, 61);
            let identities = [("/16/0/0/0", "only".into())];
            site.put("/16/0/0", &identities, format).await;
            assert_eq!(site.read("/16/0/0", None).await, ["/16/0/0/0=only"]);
            site.put("/1/0/1", &[("/1/0/1", 63.into())], format).await;
            assert_eq!(site.updated().await.lifetime_s, 63);
        }
    })
    .await;
}

#[tokio::test]
async fn int_256_write_failure() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = site(version).await;
        let request = write(
            "/1/0/0",
            WriteMode::Replace,
            &[("/1/0/0", 123.into())],
            None,
        );
        let checked = site.ask(request.clone()).await;
        assert!(
            matches!(checked, Err(RequestError::AgainstModel(_))),
            "{checked:?}"
        );
        assert_eq!(site.refused(request).await, Code::METHOD_NOT_ALLOWED);
        assert_eq!(site.value("/1/0/0").await, "1");
    })
    .await;
}

#[tokio::test]
async fn int_257_write_composite_of_two_objects() {
    across(&[V1_1, V1_2], async |version| {
        let full = DeviceObject::new(version, "Model 500", "1");
        let site = Site::open(version, |device| device.object(full)).await;
        for format in &structured(version)[1..] {
            let values = [
                ("/1/0/2", 101.into()),
                ("/1/0/6", true.into()),
                ("/3/0/13", Value::Time(0)),
            ];
            site.write_composite(&values, *format).await;
            assert_eq!(site.value("/1/0/2").await, "101", "{format}");
            assert_eq!(site.value("/1/0/6").await, "true", "{format}");
            assert_eq!(site.value("/3/0/13").await, "0", "{format}");
            let back = [("/1/0/6", false.into()), ("/3/0/13", Value::Time(77))];
            site.write_composite(&back, *format).await;
        }
    })
    .await;
}
