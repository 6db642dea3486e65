//! Register while an interceptor takes its time, over real sockets.

use std::sync::Arc;

use lwm2m_coap::{Code, MessageType, OptionNumber};
use lwm2m_server::{Answer, Decision, Hook, HookSet, Interceptor, Listener, Registration, Server};
use tokio::sync::{Semaphore, mpsc};

use crate::peer::{OBJECTS, Peer, refusal};
use crate::site::in_time;
use crate::streams;

/// Says whom it is asked about, and decides when the test lets it.
struct Waits {
    asked: mpsc::UnboundedSender<String>,
    may_decide: Arc<Semaphore>,
}

impl Interceptor for Waits {
    fn hooks(&self) -> HookSet {
        HookSet::EMPTY.with(Hook::OnRegister)
    }

    fn on_register(&self, registration: &Arc<Registration>) -> Answer<Decision> {
        let _ = self.asked.send(registration.endpoint.to_string());
        let may_decide = Arc::clone(&self.may_decide);
        Answer::later(async move {
            may_decide.acquire().await.expect("open").forget();
            Decision::Pass
        })
    }
}

struct Waiting {
    server: Server,
    asked: mpsc::UnboundedReceiver<String>,
    may_decide: Arc<Semaphore>,
}

async fn waiting(listener: Listener) -> Waiting {
    let (asks, asked) = mpsc::unbounded_channel();
    let may_decide = Arc::new(Semaphore::new(0));
    let interceptor = Waits {
        asked: asks,
        may_decide: Arc::clone(&may_decide),
    };
    let server = Server::builder()
        .listen(listener)
        .intercept(interceptor)
        .start()
        .await
        .expect("the server starts");
    Waiting {
        server,
        asked,
        may_decide,
    }
}

#[tokio::test]
async fn a_device_that_repeats_itself_is_answered_once_and_separately() {
    let Waiting {
        server,
        mut asked,
        may_decide,
    } = waiting(Listener::coap(([127, 0, 0, 1], 0).into())).await;
    let mut device = Peer::new(&server).await;
    let register = device
        .request(Code::POST, "rd?ep=a&lwm2m=1.1")
        .payload(OBJECTS)
        .encode();
    device.send(&register).await;
    assert_eq!(in_time(asked.recv()).await.as_deref(), Some("a"));
    // The repetition is acknowledged at once, if the first one is not yet.
    device.send(&register).await;
    let acknowledged = device.receive().await;
    assert_eq!(acknowledged.code, Code::EMPTY);
    may_decide.add_permits(2);
    let created = loop {
        let next = device.receive().await;
        if next.code != Code::EMPTY {
            break next;
        }
    };
    assert_eq!(
        (created.code, created.message_type),
        (Code::CREATED, MessageType::Confirmable)
    );
    assert!(server.registration("a").await.is_some());
    assert_eq!(server.statistics().registered, 1);
    assert!(asked.try_recv().is_err());
}

#[tokio::test]
async fn a_connection_that_ends_while_its_register_waits_registers_nobody() {
    let Waiting {
        server,
        mut asked,
        may_decide,
    } = waiting(Listener::coap_tcp(([127, 0, 0, 1], 0).into())).await;
    let mut events = server.events();
    let mut device = streams::peer::Peer::new(&server).await;
    let item = |number, value: &[u8]| (number, value.to_vec());
    let options = [
        item(OptionNumber::URI_PATH, b"rd"),
        item(OptionNumber::URI_QUERY, b"ep=a"),
        item(OptionNumber::URI_QUERY, b"lwm2m=1.1"),
    ];
    device.say(Code::POST, b"t", &options, OBJECTS).await;
    assert_eq!(in_time(asked.recv()).await.as_deref(), Some("a"));
    // No message has a token of 15 bytes: the connection ends, and it is told.
    device.write(&[0x0f; 32]).await;
    refusal(&mut events).await;
    may_decide.add_permits(1);
    let refused = refusal(&mut events).await;
    assert_eq!(refused, (Code::UNAUTHORIZED, "session-ended"));
    assert!(server.registration("a").await.is_none());
}
