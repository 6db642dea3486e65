//! What interceptors hear after the fact.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::Path;
use lwm2m_server::credentials::{CredentialId, CredentialStore};
use lwm2m_server::hooks::{EndReason, Update};
use lwm2m_server::{
    Answer, Content, Interceptor, Listener, Registration, Server, ServerConfig, WeakServer,
};
use tokio::sync::mpsc;

use crate::peer::Peer;
use crate::secure::peer::SecurePeer;
use crate::secure::{KEY, psk};
use crate::site::in_time;

/// Tells the test what it hears, and reads each device that registers as `read-*`.
struct Listens {
    heard: mpsc::UnboundedSender<String>,
    server: Arc<Mutex<WeakServer>>,
}

impl Interceptor for Listens {
    fn on_started(&self, server: &WeakServer) {
        *self.server.lock().expect("no panic") = server.clone();
    }

    fn on_registered(&self, registration: &Arc<Registration>) -> Answer<()> {
        let (registration, heard) = (Arc::clone(registration), self.heard.clone());
        let server = self.server.lock().expect("no panic").upgrade();
        Answer::later(async move {
            let endpoint = registration.endpoint.as_str();
            let mut line = format!("{endpoint} registered");
            if endpoint.starts_with("read-") {
                let device = server.expect("it runs").device(endpoint);
                let read = device.read_path(Path::resource(3, 0, 9)).await;
                if let Content::Values(values) = read.expect("an answer").content {
                    line = format!("{line} with {:?}", values.records[0].value);
                }
            }
            let _ = heard.send(line);
        })
    }

    fn on_updated(&self, registration: &Arc<Registration>, update: &Arc<Update>) -> Answer<()> {
        let endpoint = &registration.endpoint;
        let changed = (update.lifetime_changed, update.objects_changed());
        let _ = self.heard.send(format!("{endpoint} updated {changed:?}"));
        match endpoint.as_str() {
            "stuck" => Answer::later(std::future::pending()),
            _ => Answer::Now(()),
        }
    }

    fn on_gone(&self, registration: &Arc<Registration>, reason: EndReason) -> Answer<()> {
        let endpoint = &registration.endpoint;
        let _ = self.heard.send(format!("{endpoint} gone {reason:?}"));
        Answer::Now(())
    }
}

struct Heard(mpsc::UnboundedReceiver<String>);

impl Heard {
    async fn next(&mut self) -> String {
        in_time(self.0.recv()).await.expect("the server runs")
    }
}

fn listens() -> (Listens, Heard) {
    let (heard, hears) = mpsc::unbounded_channel();
    let server = Arc::default();
    (Listens { heard, server }, Heard(hears))
}

async fn server(configure: impl FnOnce(&mut ServerConfig)) -> (Server, Heard) {
    let (listens, heard) = listens();
    let mut config = ServerConfig::default();
    config.shards = 2;
    configure(&mut config);
    let server = Server::builder()
        .config(config)
        .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
        .intercept(listens)
        .start()
        .await
        .expect("the server starts");
    (server, heard)
}

#[tokio::test]
async fn an_interceptor_hears_of_each_step_in_order_and_why_it_ended() {
    let (server, mut heard) = server(|config| config.expiry_grace = Duration::ZERO).await;
    let mut device = Peer::new(&server).await;
    let location = device.register("ep=a&lwm2m=1.1&lt=60").await;
    assert_eq!(device.post(&location).await, Code::CHANGED);
    let longer = format!("{location}?lt=90");
    assert_eq!(device.post(&longer).await, Code::CHANGED);
    assert_eq!(heard.next().await, "a registered");
    assert_eq!(heard.next().await, "a updated (false, false)");
    assert_eq!(heard.next().await, "a updated (true, false)");
    // Whichever shards the two are on, the end of the older one comes first.
    for _ in 0..8 {
        device = Peer::new(&server).await;
        device.register("ep=a&lwm2m=1.1").await;
        assert_eq!(heard.next().await, "a gone Replaced");
        assert_eq!(heard.next().await, "a registered");
    }
    assert!(server.forget("a").await);
    assert_eq!(heard.next().await, "a gone RemovedByOperator");
    let location = device.register("ep=a&lwm2m=1.1").await;
    assert_eq!(heard.next().await, "a registered");
    assert_eq!(device.delete(&location).await, Code::DELETED);
    assert_eq!(heard.next().await, "a gone Deregistered");
    device.register("ep=a&lwm2m=1.1&lt=1").await;
    assert_eq!(heard.next().await, "a registered");
    assert_eq!(heard.next().await, "a gone LifetimeExpired");
}

#[tokio::test]
async fn a_registration_whose_credential_goes_is_removed_by_the_operator() {
    let (listens, mut heard) = listens();
    let store = Arc::new(lwm2m_server::credentials::MemoryCredentials::default());
    let credential = psk("a", b"urn:a", KEY);
    store.add(vec![credential]).await.expect("taken");
    let server = Server::builder()
        .listen(Listener::coaps(([127, 0, 0, 1], 0).into()))
        .credentials(store.clone())
        .intercept(listens)
        .start()
        .await
        .expect("the server starts");
    let mut device = SecurePeer::connected(&server, b"urn:a", KEY).await;
    device.register("ep=urn:a&lwm2m=1.1").await;
    assert_eq!(heard.next().await, "urn:a registered");
    let id = CredentialId::new("a").expect("an id");
    store.remove(id).await.expect("removed");
    assert_eq!(heard.next().await, "urn:a gone RemovedByOperator");
}

#[tokio::test]
async fn an_interceptor_talks_to_the_device_that_has_registered() {
    let (server, mut heard) = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    let location = device.register("ep=read-a&lwm2m=1.1").await;
    let request = device.receive().await;
    assert_eq!(request.path(), "3/0/9");
    // What follows waits for it, for this device.
    assert_eq!(device.post(&location).await, Code::CHANGED);
    let mut other = Peer::new(&server).await;
    other.register("ep=b&lwm2m=1.1").await;
    assert_eq!(heard.next().await, "b registered");
    let answer = device
        .answer(&request, Code::CONTENT)
        .format(0)
        .payload("21");
    device.send(&answer.encode()).await;
    assert_eq!(heard.next().await, "read-a registered with Integer(21)");
    assert_eq!(heard.next().await, "read-a updated (false, false)");
}

#[tokio::test]
async fn who_never_comes_back_holds_up_no_other_device() {
    let (server, mut heard) = server(|config| {
        config.limits.device_hook_timeout = Duration::from_millis(500);
    })
    .await;
    let mut device = Peer::new(&server).await;
    let location = device.register("ep=stuck&lwm2m=1.1").await;
    assert_eq!(device.post(&location).await, Code::CHANGED);
    assert_eq!(device.delete(&location).await, Code::DELETED);
    assert_eq!(heard.next().await, "stuck registered");
    assert_eq!(heard.next().await, "stuck updated (false, false)");
    let mut other = Peer::new(&server).await;
    other.register("ep=b&lwm2m=1.1").await;
    let mut both = [heard.next().await, heard.next().await];
    both.sort();
    assert_eq!(both, ["b registered", "stuck gone Deregistered"]);
}
