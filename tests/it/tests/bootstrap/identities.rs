//! Who may bootstrap as whom.

use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_device::{
    BootstrapAccount, Device, DeviceBuilder, DeviceError, RegistrationError, Retry,
};

use super::site::{How, Port, Site};
use crate::peer::{Peer, refusal};
use crate::site::in_time;

/// A device that tries once.
fn device(endpoint: &str, account: BootstrapAccount) -> DeviceBuilder {
    let never = Duration::from_secs(3600);
    Device::builder(endpoint).bootstrap(account).retry(Retry {
        first: never,
        longest: never,
    })
}

#[tokio::test]
async fn nobody_bootstraps_as_somebody_else() {
    let mut site = Site::open().await;
    let victim = site.pass(How::Psk, "victim", "own").await;
    site.plan("victim", &victim);
    for how in How::SECURE {
        let pass = site.pass(how, how.mode(), "bootstrap").await;
        // One account, whose sequence numbers go on.
        let account = site.bootstrap_account(&pass);
        for pack in [false, true] {
            let mut account = account.clone();
            account.pack = pack;
            let device = device("victim", account).version(crate::site::V1_2);
            let device = device.start().await.expect("a port");
            let refused = in_time(device.wait_registered()).await;
            match refused {
                Err(DeviceError::Registration(RegistrationError::Refused { code, .. })) => {
                    assert_eq!(code, Code::BAD_REQUEST, "{how:?}");
                }
                other => panic!("refused, and not {other:?}"),
            }
            device.stop().await;
            let told = if pack { 2 } else { 1 };
            for _ in 0..told {
                let refused = site.story("victim").await;
                assert_eq!(refused, ["refused endpoint-not-allowed"], "{how:?}");
            }
        }
    }
    // Without security nobody takes a name that has credentials, and nobody has one without a plan.
    let mut stranger = Peer::new(&site.server).await;
    stranger.server = site.address(Port::CoapBootstrap);
    for (path, word) in [
        ("bs?ep=victim", "nosec-refused"),
        ("bs?ep=nobody", "bootstrap-not-configured"),
        ("bs", "endpoint-missing"),
    ] {
        let request = stranger.request(Code::POST, path);
        assert_eq!(stranger.exchange(request).await.code, Code::BAD_REQUEST);
        let told = refusal(&mut site.events).await;
        assert_eq!(told, (Code::BAD_REQUEST, word), "{path}");
    }
}

#[tokio::test]
async fn a_name_may_be_left_to_the_identity() {
    let mut site = Site::open().await;
    for how in How::SECURE {
        let endpoint = how.mode();
        let pass = site.pass(how, endpoint, "bootstrap").await;
        let own = site.pass(How::Psk, endpoint, "own").await;
        site.plan(endpoint, &own);
        let mut account = site.bootstrap_account(&pass);
        account.names_itself = false;
        let device = device(endpoint, account).start().await.expect("a port");
        let started = format!("started {endpoint}");
        assert_eq!(site.story(endpoint).await, [started.as_str(), "finished 0"]);
        in_time(device.wait_registered()).await.expect("registered");
    }
}

#[tokio::test]
async fn a_credential_that_goes_ends_the_session() {
    use lwm2m_server::credentials::{CredentialId, CredentialStore};
    let mut site = Site::open().await;
    let pass = site.pass(How::Psk, "a", "bootstrap").await;
    let own = site.pass(How::Psk, "a", "own").await;
    site.plan("a", &own);
    let silent =
        device("a", site.bootstrap_account(&pass)).configure(|config| config.quirks.silent = true);
    let _device = silent.start().await.expect("a port");
    crate::peer::event(&mut site.events, |event| {
        let started = matches!(event.kind, lwm2m_server::EventKind::BootstrapStarted { .. });
        started.then_some(())
    })
    .await;
    let id = CredentialId::new("bootstrap-a").expect("an id");
    site.credentials.remove(id).await.expect("it is there");
    let story = site.story("a").await;
    assert_eq!(story, ["discover / session-ended", "failed session-ended"]);
}

#[tokio::test]
async fn a_port_is_for_what_it_is_for() {
    let mut site = Site::open().await;
    let mut device = Peer::new(&site.server).await;
    for (port, path, word) in [
        (Port::CoapBootstrap, "rd?ep=a&lwm2m=1.1", "bootstrap-only"),
        (Port::Coap, "bs?ep=a", "no-bootstrap"),
    ] {
        device.server = site.address(port);
        let request = device.request(Code::POST, path);
        assert_eq!(device.exchange(request).await.code, Code::NOT_FOUND);
        let told = refusal(&mut site.events).await;
        assert_eq!(told, (Code::NOT_FOUND, word), "{path}");
    }
}
