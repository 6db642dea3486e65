//! Devices that do not do what they should: each session ends, and says how.

use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::{Path, Record};
use lwm2m_device::{Device, DeviceBuilder, Retry};
use lwm2m_server::bootstrap::BootstrapPlan;

use super::site::{How, Pass, Port, Site};
use crate::peer::Peer;
use crate::site::in_time;

/// A server that soon finds that nobody answers.
async fn impatient() -> Site {
    Site::configured(|config| {
        config.coap.transmission.ack_timeout = Duration::from_millis(200);
        config.coap.transmission.max_retransmit = 2;
        config.bootstrap.step_timeout = Duration::from_secs(3);
    })
    .await
}

/// A device that tries once.
fn device(site: &Site, pass: &Pass) -> DeviceBuilder {
    let never = Duration::from_secs(3600);
    let builder = Device::builder("a").bootstrap(site.bootstrap_account(pass));
    builder.retry(Retry {
        first: never,
        longest: never,
    })
}

#[tokio::test]
async fn one_that_never_answers() {
    for how in [How::Psk, How::Oscore] {
        let mut site = impatient().await;
        let pass = site.pass(how, "a", "bootstrap").await;
        let own = site.pass(How::Psk, "a", "own").await;
        site.plan("a", &own);
        let silent = device(&site, &pass).configure(|config| config.quirks.silent = true);
        let _device = silent.start().await.expect("a port");
        let started = format!("started {}", how.mode());
        // An acknowledgement comes all the same where the engine gives it.
        let story = site.story("a").await;
        assert_eq!(story[0], started);
        assert!(story[1].starts_with("discover / no"), "{story:?}");
        assert!(story[2].starts_with("failed no"), "{story:?}");
        assert_eq!(site.server.statistics().bootstrap_sessions, 0);
    }
}

#[tokio::test]
async fn one_that_vanishes() {
    let mut site = impatient().await;
    let pass = site.pass(How::NoSec, "a", "own").await;
    site.plan("a", &pass);
    let mut peer = Peer::new(&site.server).await;
    peer.server = site.address(Port::CoapBootstrap);
    assert_eq!(peer.post("bs?ep=a").await, Code::CHANGED);
    drop(peer);
    let story = site.story("a").await;
    assert_eq!(story[0], "started nosec");
    assert_eq!(story[2], "failed not-acknowledged");
}

#[tokio::test]
async fn one_that_refuses_everything_is_asked_to_judge() {
    let mut site = Site::open().await;
    site.plans.set(
        "a",
        BootstrapPlan::replacing_accounts()
            .write([Record::new(Path::resource(9999, 0, 0), 1)])
            .read(Path::object(2)),
    );
    let mut peer = Peer::new(&site.server).await;
    peer.server = site.address(Port::CoapBootstrap);
    assert_eq!(peer.post("bs?ep=a&pct=110").await, Code::CHANGED);
    let mut steps = Vec::new();
    loop {
        let step = peer.receive().await;
        let refused = peer.answer(&step, Code::BAD_REQUEST).payload("no");
        peer.send(&refused.encode()).await;
        steps.push(format!("{} {}", step.code.name(), step.path()));
        if step.code == Code::POST {
            break;
        }
    }
    assert_eq!(
        steps,
        [
            "GET ",
            "DELETE 0",
            "DELETE 1",
            "PUT 9999/0",
            "GET 2",
            "POST bs"
        ]
    );
    assert_eq!(
        site.story("a").await,
        [
            "started nosec",
            "discover / step-refused",
            "delete /0 step-refused",
            "delete /1 step-refused",
            "write /9999/0 step-refused",
            "read /2 step-refused",
            "finish / finish-refused",
            "failed finish-refused",
        ]
    );
}

#[tokio::test]
async fn one_whose_plan_is_not_enough() {
    let mut site = Site::open().await;
    let pass = site.pass(How::Psk, "a", "bootstrap").await;
    let plan = BootstrapPlan::new().write([Record::new(Path::resource(1, 0, 5), 86400)]);
    site.plans.set("a", plan);
    let device = device(&site, &pass).start().await.expect("a port");
    let story = site.story("a").await;
    assert_eq!(
        story,
        [
            "started psk",
            "finish / inconsistent",
            "failed inconsistent"
        ]
    );
    assert!(!device.status().registered);
}

#[tokio::test]
async fn one_that_asks_again_and_again() {
    let mut site = Site::open().await;
    let pass = site.pass(How::NoSec, "a", "own").await;
    site.plan("a", &pass);
    let mut peer = Peer::new(&site.server).await;
    peer.server = site.address(Port::CoapBootstrap);
    for _ in 0..5 {
        let request = peer.request(Code::POST, "bs?ep=a");
        // The same message twice is one request.
        peer.send(&request.encode()).await;
        peer.send(&request.encode()).await;
        let mut accepted = 0;
        let mut asked = 0;
        while accepted < 2 || asked < 1 {
            let message = peer.receive().await;
            match message.code {
                Code::CHANGED => accepted += 1,
                Code::GET => asked += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    for _ in 0..4 {
        let story = in_time(site.story("a")).await;
        assert_eq!(story, ["started nosec", "failed begun-anew"]);
    }
    assert_eq!(site.server.statistics().bootstrap_sessions, 1);
}
