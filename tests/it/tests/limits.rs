//! What happens at one more than the limit.

use std::sync::{Arc, Mutex, mpsc};

use lwm2m_coap::{Code, OptionNumber};
use lwm2m_core::Path;
use lwm2m_server::{
    Answer, Decision, Hook, HookSet, Interceptor, Listener, Registration, RequestError, Server,
    ServerConfig,
};

use crate::peer::{OBJECTS, Peer, poll_once, refusal, server};

#[tokio::test]
async fn one_registration_too_many_is_told_to_wait() {
    let server = server(|config| {
        config.limits.registrations_max = 3;
        config.retry_after_s = 17;
    })
    .await;
    let mut events = server.events();
    let mut device = Peer::new(&server).await;
    for number in 0..3 {
        device.register(&format!("ep=d{number}")).await;
    }
    let request = device.request(Code::POST, "rd?ep=d3").payload(OBJECTS);
    let answer = device.exchange(request).await;
    assert_eq!(answer.code, Code::SERVICE_UNAVAILABLE);
    assert_eq!(answer.uint(OptionNumber::MAX_AGE), Some(17));
    assert_eq!(refusal(&mut events).await.1, "overloaded");
    device.register("ep=d1").await;
    assert_eq!(server.statistics().registrations, 3);
}

/// A Connection ID has an octet for the shard.
#[tokio::test]
async fn one_shard_more_than_a_connection_id_can_name_is_refused_with_dtls() {
    let mut config = ServerConfig::default();
    config.shards = 257;
    let server = Server::builder()
        .config(config)
        .listen(Listener::coaps(([127, 0, 0, 1], 0).into()));
    let Err(error) = server.start().await else {
        panic!("it starts");
    };
    assert!(error.to_string().contains("256 shards"), "{error}");
}

#[tokio::test]
async fn one_request_too_many_for_a_device_is_refused() {
    let server = server(|config| config.limits.device_queue_max = 3).await;
    let mut device = Peer::new(&server).await;
    device.register("ep=a&lwm2m=1.1").await;
    let read = || {
        let handle = server.device("a");
        tokio::spawn(async move { handle.read_path(Path::resource(3, 0, 0)).await })
    };
    let first = read();
    let mut request = device.receive().await;
    let waiting: Vec<_> = (0..4).map(|_| read()).collect();
    let mut full = 0;
    let mut served = Vec::from([first]);
    for task in waiting {
        served.push(task);
    }
    // One is on its way and three wait; which of the four is the one too many is up to the runtime.
    while full == 0 {
        full = served.iter().filter(|task| task.is_finished()).count();
        tokio::task::yield_now().await;
    }
    let mut outcomes = Vec::new();
    for number in 0..4 {
        let answer = device
            .answer(&request, Code::CONTENT)
            .format(0)
            .payload("x");
        device.send(&answer.encode()).await;
        if number < 3 {
            request = device.receive().await;
        }
    }
    for task in served {
        outcomes.push(task.await.expect("no panic"));
    }
    let refused = outcomes
        .iter()
        .filter(|o| **o == Err(RequestError::QueueFull))
        .count();
    assert_eq!(
        (refused, outcomes.iter().filter(|o| o.is_ok()).count()),
        (1, 4)
    );
}

/// Holds the shard until the test lets it go.
struct Gate {
    entered: Mutex<mpsc::Sender<()>>,
    open: Mutex<mpsc::Receiver<()>>,
}

impl Interceptor for Gate {
    /// Without a plan of what to observe, whose requests would be in the mailbox too.
    fn hooks(&self) -> HookSet {
        HookSet::EMPTY.with(Hook::OnRegister)
    }

    fn on_register(&self, registration: &Arc<Registration>) -> Answer<Decision> {
        if registration.endpoint.as_str() == "gate" {
            let entered = self.entered.lock().expect("not poisoned");
            entered.send(()).expect("the test waits");
            let open = self.open.lock().expect("not poisoned");
            open.recv().expect("the test opens");
        }
        Answer::Now(Decision::Pass)
    }
}

#[tokio::test]
async fn one_command_too_many_for_a_shard_is_refused() {
    let (entered, has_entered) = mpsc::channel();
    let (opens, open) = mpsc::channel();
    let mut config = ServerConfig::default();
    config.shards = 1;
    config.limits.mailbox_max = 4;
    let server = Server::builder()
        .config(config)
        .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
        .intercept(Gate {
            entered: Mutex::new(entered),
            open: Mutex::new(open),
        })
        .start()
        .await
        .expect("the server starts");
    let mut device = Peer::new(&server).await;
    device.register("ep=a&lwm2m=1.1").await;
    let gate = device.request(Code::POST, "rd?ep=gate").payload(OBJECTS);
    device.send(&gate.encode()).await;
    tokio::task::spawn_blocking(move || has_entered.recv())
        .await
        .expect("no panic")
        .expect("the shard is held");
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let handle = server.device("a");
        let mut read = Box::pin(async move { handle.read_path(Path::resource(3, 0, 0)).await });
        assert!(poll_once(&mut read).await.is_none());
        waiting.push(read);
    }
    let read = server.device("a").read_path(Path::resource(3, 0, 0)).await;
    assert_eq!(read, Err(RequestError::Overloaded));
    opens.send(()).expect("the shard waits");
    assert_eq!(device.receive().await.code, Code::CREATED);
    let request = device.receive().await;
    let answer = device
        .answer(&request, Code::CONTENT)
        .format(0)
        .payload("x");
    device.send(&answer.encode()).await;
    assert!(waiting.remove(0).await.is_ok());
}
