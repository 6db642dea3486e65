//! The whole way over UDP: from each way to be bootstrapped to each way to be registered.

use lwm2m_core::{ContentFormat, Path, Value, Version};
use lwm2m_device::{Device, DeviceBuilder, DeviceEvent};

use super::site::{How, Pass, Site};
use crate::site::{V1_0, V1_1, V1_2, in_time, values};

fn device(site: &Site, endpoint: &str, version: Version, pass: &Pass) -> DeviceBuilder {
    Device::builder(endpoint)
        .version(version)
        .bootstrap(site.bootstrap_account(pass))
}

/// Bootstraps in one way and registers in another one.
async fn go(site: &mut Site, version: Version, from: How, to: How) {
    let endpoint = format!("{}-{}-{version}", from.mode(), to.mode());
    let bootstrap = site.pass(from, &endpoint, "bootstrap").await;
    let own = site.pass(to, &endpoint, "own").await;
    site.plan(&endpoint, &own);
    let device = device(site, &endpoint, version, &bootstrap);
    let device = device.start().await.expect("a port");
    let story = site.story(&endpoint).await;
    let started = format!("started {}", from.mode());
    assert_eq!(story, [started.as_str(), "finished 0"], "{endpoint}");
    in_time(device.wait_registered()).await.expect("registered");
    let registration = site.server.registration(&endpoint).await;
    let registration = registration.expect("registered");
    assert_eq!(registration.identity.mode(), to.mode(), "{endpoint}");
    assert_eq!(
        (registration.version, registration.lifetime_s),
        (version, 86400)
    );
    let id = in_time(
        site.server
            .device(&endpoint)
            .read_path(Path::resource(1, 0, 0)),
    )
    .await;
    assert_eq!(values(&id.expect("an answer")), ["/1/0/0=101"]);
}

#[tokio::test]
async fn from_each_security_mode_to_each() {
    let mut site = Site::open().await;
    for from in How::SECURE {
        for to in How::SECURE {
            go(&mut site, V1_1, from, to).await;
        }
    }
    go(&mut site, V1_1, How::NoSec, How::NoSec).await;
    assert_eq!(site.server.statistics().bootstrap_sessions, 0);
}

#[tokio::test]
async fn in_each_version() {
    let mut site = Site::open().await;
    for version in [V1_0, V1_2] {
        for how in How::SECURE {
            // 1.0 has no object 21.
            let to = match (version, how) {
                (V1_0, How::Oscore) => How::Psk,
                _ => how,
            };
            go(&mut site, version, how, to).await;
        }
        go(&mut site, version, How::NoSec, How::NoSec).await;
    }
}

#[tokio::test]
async fn in_each_format() {
    let mut site = Site::open().await;
    for format in [
        ContentFormat::SenmlJson,
        ContentFormat::SenmlCbor,
        ContentFormat::Tlv,
        ContentFormat::Lwm2mCbor,
    ] {
        let endpoint = format.name();
        let pass = site.pass(How::Psk, endpoint, "bootstrap").await;
        let own = site.pass(How::Oscore, endpoint, "own").await;
        site.plan(endpoint, &own);
        let mut account = site.bootstrap_account(&pass);
        account.format = Some(format);
        let device = Device::builder(endpoint).version(V1_2).bootstrap(account);
        let device = device.start().await.expect("a port");
        assert_eq!(site.story(endpoint).await, ["started psk", "finished 0"]);
        in_time(device.wait_registered()).await.expect("registered");
    }
}

#[tokio::test]
async fn by_a_pack() {
    let mut site = Site::open().await;
    for how in How::SECURE {
        let endpoint = how.mode();
        let pass = site.pass(how, endpoint, "bootstrap").await;
        let own = site.pass(How::X509, endpoint, "own").await;
        site.plan(endpoint, &own);
        let mut account = site.bootstrap_account(&pass);
        account.pack = true;
        let device = Device::builder(endpoint).version(V1_2).bootstrap(account);
        let device = device.start().await.expect("a port");
        let started = format!("started {endpoint}");
        assert_eq!(site.story(endpoint).await, [started.as_str(), "finished 0"]);
        in_time(device.wait_registered()).await.expect("registered");
        let registration = site.server.registration(endpoint).await;
        assert_eq!(registration.expect("registered").identity.mode(), "x509");
    }
    // Where there is no pack, there is a session.
    let own = site.pass(How::NoSec, "plain", "own").await;
    site.plan("plain", &own);
    let mut account = site.bootstrap_account(&own);
    account.pack = true;
    let device = Device::builder("plain").version(V1_2).bootstrap(account);
    let device = device.start().await.expect("a port");
    assert_eq!(site.story("plain").await, ["refused pack-without-security"]);
    assert_eq!(site.story("plain").await, ["started nosec", "finished 0"]);
    in_time(device.wait_registered()).await.expect("registered");
}

#[tokio::test]
async fn a_device_is_sent_to_another_account_later() {
    let mut site = Site::open().await;
    let pass = site.pass(How::Psk, "a", "bootstrap").await;
    let first = site.pass(How::Psk, "a", "first").await;
    site.plan("a", &first);
    let device = device(&site, "a", V1_1, &pass);
    let device = device.start().await.expect("a port");
    in_time(device.wait_registered()).await.expect("registered");
    assert_eq!(site.story("a").await, ["started psk", "finished 0"]);
    let mut doings = device.events();
    let second = site.pass(How::Rpk, "a", "second").await;
    site.plan("a", &second);
    let trigger = lwm2m_core::Request::Execute {
        path: Path::resource(1, 0, 9),
        arguments: Default::default(),
    };
    let at_server = site.server.device("a");
    let asked = in_time(at_server.send(trigger, Default::default())).await;
    asked.expect("the device takes it");
    assert_eq!(site.story("a").await, ["started psk", "finished 0"]);
    in_time(async { while !matches!(doings.recv().await, Ok(DeviceEvent::Registered { .. })) {} })
        .await;
    let registration = site.server.registration("a").await.expect("registered");
    assert_eq!(registration.identity.mode(), "rpk");
    let id = device.value(&Path::resource(1, 0, 0)).await;
    assert_eq!(id.expect("it runs"), Some(Value::Integer(101)));
}
