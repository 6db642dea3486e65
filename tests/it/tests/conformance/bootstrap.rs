//! Bootstrap: rows 0 to 12.

use lwm2m_coap::Code;
use lwm2m_core::{Path, Record, Value, Version};
use lwm2m_device::{Device, DeviceEvent, DeviceHandle};
use lwm2m_server::bootstrap::BootstrapPlan;

use crate::bootstrap::site::{How, Pass, Site};
use crate::site::{V1_0, V1_1, V1_2, in_time, path};

/// A device with the account of the bootstrap server in `/0/1` and no other (configuration C.13),
/// started; what it does until the bootstrap is over, as method, path and code.
async fn bootstrapped(
    site: &mut Site,
    version: Version,
    pass: &Pass,
    pack: bool,
) -> (DeviceHandle, Vec<String>, String) {
    let endpoint = format!("ep-{version}");
    let mut account = site.bootstrap_account(pass);
    account.instance = 1;
    account.pack = pack;
    let builder = Device::builder(&endpoint)
        .version(version)
        .bootstrap(account);
    let device = builder.start().await.expect("a port");
    let mut doings = device.events();
    let end = site.story(&endpoint).await.pop().expect("an end");
    let mut done = Vec::new();
    in_time(async {
        loop {
            match doings.recv().await.expect("the device runs") {
                DeviceEvent::Requested { method, path, code } => {
                    let path = path.map_or_else(|| "bs".to_owned(), |path| path.to_string());
                    let code = code.expect("an answer");
                    done.push(format!("{} {path} {code}", method.name()));
                    if (method, path.as_str()) == (Code::POST, "bs") {
                        return;
                    }
                }
                DeviceEvent::Bootstrapped { .. } => return,
                _ => {}
            }
        }
    })
    .await;
    (device, done, end)
}

/// A site, what proves the device to the bootstrap server, and the account of the server.
async fn site(version: Version, from: How, to: How) -> (Site, Pass, Pass) {
    let mut site = Site::open().await;
    let endpoint = format!("ep-{version}");
    let pass = site.pass(from, &endpoint, "bootstrap").await;
    let own = site.pass(to, &endpoint, "own").await;
    (site, pass, own)
}

fn plan(site: &Site, version: Version, plan: BootstrapPlan) {
    site.plans.set(&format!("ep-{version}"), plan);
}

async fn identity(site: &Site, version: Version) -> String {
    let registration = site.server.registration(&format!("ep-{version}")).await;
    registration.expect("registered").identity.mode().to_owned()
}

#[tokio::test]
async fn int_0_and_1_client_initiated_bootstrap_with_psk() {
    for version in [V1_0, V1_1, V1_2] {
        let (mut site, pass, own) = site(version, How::Psk, How::Psk).await;
        let account = site.server_account(&own);
        let operations = BootstrapPlan::new().account(&account).discover(Path::ROOT);
        plan(&site, version, operations);
        let (device, done, end) = bootstrapped(&mut site, version, &pass, false).await;
        let steps = [
            "PUT /0/0 2.04",
            "PUT /1/0 2.04",
            "GET / 2.05",
            "POST bs 2.04",
        ];
        assert_eq!(
            (done.as_slice(), end.as_str()),
            (&steps.map(String::from)[..], "finished 0")
        );
        in_time(device.wait_registered()).await.expect("registered");
        assert_eq!(identity(&site, version).await, "psk");
    }
}

#[tokio::test]
async fn int_2_with_a_certificate() {
    for version in [V1_0, V1_1, V1_2] {
        let (mut site, pass, own) = site(version, How::Psk, How::X509).await;
        let account = site.server_account(&own);
        plan(&site, version, BootstrapPlan::new().account(&account));
        let (device, _, end) = bootstrapped(&mut site, version, &pass, false).await;
        assert_eq!(end, "finished 0");
        in_time(device.wait_registered()).await.expect("registered");
        assert_eq!(identity(&site, version).await, "x509");
    }
}

#[tokio::test]
async fn int_4_delete() {
    for version in [V1_1, V1_2] {
        let (mut site, pass, own) = site(version, How::Psk, How::Psk).await;
        let account = site.server_account(&own);
        let operations = BootstrapPlan::new()
            .account(&account)
            .discover(Path::ROOT)
            .read(Path::object(1))
            .delete(Path::object(0))
            .delete(Path::object(1))
            .discover(Path::ROOT)
            .read(Path::object(1))
            .write(account.records(0, 0, 0));
        plan(&site, version, operations);
        let (device, done, end) = bootstrapped(&mut site, version, &pass, false).await;
        assert_eq!(end, "finished 0", "{done:?}");
        assert_eq!(done[4], "DELETE /0 2.02");
        assert_eq!(done[5], "DELETE /1 2.02");
        // The account of the bootstrap server is still there, so it can be asked again.
        in_time(device.wait_registered()).await.expect("registered");
        device
            .with(|client, now| client.bootstrap(now))
            .await
            .expect("it runs");
        let again = site.story(&format!("ep-{version}")).await;
        assert_eq!(again, ["started psk", "finished 0"]);
    }
}

#[tokio::test]
async fn int_5_server_initiated() {
    for version in [V1_1, V1_2] {
        let (mut site, pass, own) = site(version, How::Psk, How::Psk).await;
        let account = site.server_account(&own);
        plan(
            &site,
            version,
            BootstrapPlan::replacing_accounts().account(&account),
        );
        let (device, _, _) = bootstrapped(&mut site, version, &pass, false).await;
        in_time(device.wait_registered()).await.expect("registered");
        let endpoint = format!("ep-{version}");
        let trigger = crate::site::execute("/1/0/9");
        let at_server = site.server.device(&endpoint);
        let asked = in_time(at_server.send(trigger, Default::default())).await;
        assert_eq!(asked.expect("the device takes it").code, Code::CHANGED);
        assert_eq!(site.story(&endpoint).await, ["started psk", "finished 0"]);
    }
}

#[tokio::test]
async fn int_8_read() {
    for version in [V1_1, V1_2] {
        let (mut site, pass, own) = site(version, How::Psk, How::Psk).await;
        let account = site.server_account(&own);
        let at = |text: &str, value: i64| Record::new(path(text), Value::Integer(value));
        let operations = BootstrapPlan::new()
            .account(&account)
            .write([
                at("/2/0/0", 3),
                at("/2/0/1", 0),
                at("/2/0/2/0", 31),
                at("/2/0/3", 65535),
            ])
            .read(Path::object(1))
            .read(Path::object(2));
        plan(&site, version, operations);
        let (_device, done, end) = bootstrapped(&mut site, version, &pass, false).await;
        assert_eq!(end, "finished 0", "what is read is what was written");
        assert_eq!(done[3..5], ["GET /1 2.05", "GET /2 2.05"]);
    }
}

#[tokio::test]
async fn int_9_consistency() {
    for version in [V1_1, V1_2] {
        let (mut site, pass, _) = site(version, How::Psk, How::Psk).await;
        let half = Record::new(path("/1/0/5"), 86400);
        plan(&site, version, BootstrapPlan::new().write([half]));
        let (device, done, end) = bootstrapped(&mut site, version, &pass, false).await;
        assert_eq!(done, ["PUT /1/0 2.04", "POST bs 4.06"]);
        assert_eq!(end, "failed inconsistent");
        assert!(!device.status().registered);
    }
}

#[tokio::test]
async fn int_11_under_oscore() {
    for version in [V1_1, V1_2] {
        let (mut site, pass, own) = site(version, How::Oscore, How::Oscore).await;
        let account = site.server_account(&own);
        plan(
            &site,
            version,
            BootstrapPlan::new()
                // Whether its identifiers are strings or bytes, the version tells.
                .discover(Path::ROOT)
                .account(&account)
                .discover(Path::ROOT),
        );
        let (device, done, end) = bootstrapped(&mut site, version, &pass, false).await;
        let steps = [
            "GET / 2.05",
            "PUT /0/0 2.04",
            "PUT /21/0 2.04",
            "PUT /1/0 2.04",
            "GET / 2.05",
            "POST bs 2.04",
        ];
        assert_eq!(
            (done.as_slice(), end.as_str()),
            (&steps.map(String::from)[..], "finished 0")
        );
        in_time(device.wait_registered()).await.expect("registered");
        assert_eq!(identity(&site, version).await, "oscore");
    }
}

#[tokio::test]
async fn int_12_pack() {
    let (mut site, pass, own) = site(V1_2, How::Psk, How::Psk).await;
    let account = site.server_account(&own);
    plan(
        &site,
        V1_2,
        BootstrapPlan::replacing_accounts().account(&account),
    );
    let (device, done, end) = bootstrapped(&mut site, V1_2, &pass, true).await;
    assert_eq!((done, end.as_str()), (Vec::<String>::new(), "finished 0"));
    in_time(device.wait_registered()).await.expect("registered");
    assert_eq!(identity(&site, V1_2).await, "psk");
}
