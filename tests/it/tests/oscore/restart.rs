//! A server that is started again: it must not take requests twice, and must not use a sequence
//! number twice.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lwm2m_coap::{Code, Message, OptionNumber};
use lwm2m_oscore::{OscoreOption, PARTIAL_IV_MAX, ReplayState, SecurityContext};
use lwm2m_server::credentials::{CredentialStore, MemoryCredentials};
use lwm2m_server::oscore::FileSequences;
use lwm2m_server::{EventKind, Events, Listener, Server};

use super::{SECRET, credential, parameters};
use crate::peer::{OBJECTS, Outgoing, Peer, event};

/// Starts a server that has known the device from its start, and keeps what it must in a file.
async fn server(sequences: &Path) -> Server {
    let store = Arc::new(MemoryCredentials::default());
    store.add(vec![credential()]).await.expect("taken");
    serve(sequences, &store).await
}

async fn serve(sequences: &Path, store: &Arc<MemoryCredentials>) -> Server {
    let store = Arc::clone(store);
    let sequences = FileSequences::open(sequences, FileSequences::BLOCK).expect("sound");
    Server::builder()
        .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
        .credentials(store)
        .oscore_sequences(Arc::new(sequences))
        .start()
        .await
        .expect("the server starts")
}

/// A device that keeps what it sent.
struct Device {
    context: SecurityContext,
    peer: Peer,
    sent: Vec<Vec<u8>>,
}

/// An answer, opened.
struct Answer {
    code: Code,
    echo: Option<Vec<u8>>,
    /// The sequence number that the server used for it.
    number: Option<u64>,
}

impl Device {
    async fn new(server: &Server) -> Device {
        let context = SecurityContext::derive(&parameters(SECRET), ReplayState::Unused, 0);
        let mut context = context.expect("parameters of a context");
        context.reserve(PARTIAL_IV_MAX);
        Device {
            context,
            peer: Peer::new(server).await,
            sent: Vec::new(),
        }
    }

    async fn register(&mut self, echo: Option<&[u8]>) -> Answer {
        let request = self.peer.request(Code::POST, "rd?ep=a&lwm2m=1.1");
        let request = request.format(40).payload(OBJECTS);
        self.ask(match echo {
            Some(echo) => request.option(OptionNumber::ECHO, echo),
            None => request,
        })
        .await
    }

    async fn ask(&mut self, plain: Outgoing) -> Answer {
        let plain = plain.encode();
        let plain = Message::parse(&plain).expect("a message");
        let mut content = Vec::new();
        let protected = self.context.protect_request(&plain, &mut content);
        let (code, mut binding) = protected.expect("protected");
        let [high, low] = plain.message_id().to_be_bytes();
        let first = 0x40 | plain.token().len() as u8;
        let datagram = [&[first, code.0, high, low], plain.token(), &content].concat();
        self.peer.send(&datagram).await;
        self.sent.push(datagram);
        let answer = self.peer.receive().await.datagram;
        let outer = Message::parse(&answer).expect("a message");
        let option = outer.value(OptionNumber::OSCORE).expect("protected");
        let number = OscoreOption::decode(option).expect("an option").partial_iv;
        let mut content = Vec::new();
        let code = self
            .context
            .unprotect_response(&mut binding, &outer, outer.payload(), &mut content)
            .expect("an answer of the server");
        let inner = outer.with_content(code, &content).expect("a message");
        Answer {
            code,
            echo: inner.value(OptionNumber::ECHO).map(<[u8]>::to_vec),
            number: number.map(|number| number.number()),
        }
    }

    /// Sends what it sent before; the code of the answer and the sequence number in it.
    async fn replay(&self, index: usize) -> (Code, Option<u64>) {
        self.peer.send(&self.sent[index]).await;
        let answer = self.peer.receive().await.datagram;
        let outer = Message::parse(&answer).expect("a message");
        let option = outer.value(OptionNumber::OSCORE);
        let option = option.map(|option| OscoreOption::decode(option).expect("an option"));
        let number = option.and_then(|option| option.partial_iv);
        (outer.code(), number.map(|number| number.number()))
    }
}

/// The reason of the next refusal.
async fn refused(events: &mut Events) -> &'static str {
    let refused = event(events, |event| match &event.kind {
        EventKind::Refused { reason, .. } => Some(reason.code),
        _ => None,
    });
    refused.await
}

#[tokio::test]
async fn after_a_crash_what_was_taken_is_not_taken_again_and_no_number_comes_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sequences");
    let first = server(&file).await;
    let mut device = Device::new(&first).await;
    let challenge = device.register(None).await;
    assert_eq!(
        challenge.code,
        Code::UNAUTHORIZED,
        "the file knows nothing of these keys"
    );
    let echo = challenge.echo.expect("a challenge");
    let registered = device.register(Some(&echo)).await;
    assert_eq!(registered.code, Code::CREATED);
    let mut used: Vec<u64> = challenge
        .number
        .into_iter()
        .chain(registered.number)
        .collect();
    // What stands on the disk at this moment.
    let left = folder.path().join("left");
    std::fs::copy(&file, &left).expect("copied");
    first.shutdown().await;

    let second = server(&left).await;
    let mut events = second.events();
    device.peer = Peer::new(&second).await;
    // Somebody who has listened repeats the Register, the one with the good Echo included.
    for index in [0, 1] {
        let (code, number) = device.replay(index).await;
        // A challenge, which only the device can read.
        assert_eq!(code, Code::CHANGED);
        used.extend(number);
    }
    assert!(second.registration("a").await.is_none());

    let challenge = device.register(Some(&echo)).await;
    assert_eq!(
        challenge.code,
        Code::UNAUTHORIZED,
        "the Echo of the server before"
    );
    used.extend(challenge.number);
    let echo = challenge.echo.expect("a challenge");
    let registered = device.register(Some(&echo)).await;
    assert_eq!(registered.code, Code::CREATED);
    used.extend(registered.number);
    assert!(second.registration("a").await.is_some());

    // And now that the window is known, replays are refused by name.
    assert_eq!(device.replay(1).await, (Code::UNAUTHORIZED, None));
    // Challenges that were not answered are told of, too: before.
    while refused(&mut events).await != "oscore-replay" {}
    let many = used.len();
    used.sort_unstable();
    used.dedup();
    assert!(many >= 4, "challenges have numbers of the server");
    assert_eq!(used.len(), many, "a number was used twice: {used:?}");
}

#[tokio::test]
async fn after_an_orderly_end_nobody_is_challenged_and_replays_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sequences");
    let first = server(&file).await;
    let mut device = Device::new(&first).await;
    let echo = device.register(None).await.echo.expect("a challenge");
    let registered = device.register(Some(&echo)).await;
    assert_eq!(registered.code, Code::CREATED);
    first.shutdown().await;

    let second = server(&file).await;
    let mut events = second.events();
    device.peer = Peer::new(&second).await;
    for index in [0, 1] {
        assert_eq!(device.replay(index).await, (Code::UNAUTHORIZED, None));
        assert_eq!(refused(&mut events).await, "oscore-replay");
    }
    assert!(second.registration("a").await.is_none());
    assert_eq!(device.register(None).await.code, Code::CREATED);
    assert!(second.registration("a").await.is_some());
}

#[tokio::test]
async fn keys_that_nobody_has_used_are_new() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sequences");
    let store = Arc::new(MemoryCredentials::default());
    let server = serve(&file, &store).await;
    let added = credential().never_used();
    store.add(vec![added]).await.expect("taken");
    // What is new is on the disk before it counts.
    while !file.exists() {
        tokio::task::yield_now().await;
    }
    let mut device = Device::new(&server).await;
    let registered = device.register(None).await;
    assert_eq!(registered.code, Code::CREATED, "no challenge");
    // From another port, as from the same it is a retransmission.
    device.peer = Peer::new(&server).await;
    assert_eq!(device.replay(0).await, (Code::UNAUTHORIZED, None));
    server.shutdown().await;
}

#[tokio::test]
async fn keys_that_are_added_again_after_the_file_was_lost_are_challenged() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sequences");
    let store = Arc::new(MemoryCredentials::default());
    let first = serve(&file, &store).await;
    let added = credential().never_used();
    store.add(vec![added]).await.expect("taken");
    while !file.exists() {
        tokio::task::yield_now().await;
    }
    let mut device = Device::new(&first).await;
    let registered = device.register(None).await;
    assert_eq!(registered.code, Code::CREATED);
    first.shutdown().await;
    std::fs::remove_file(&file).expect("lost");

    let store = Arc::new(MemoryCredentials::default());
    let second = serve(&file, &store).await;
    store.add(vec![credential()]).await.expect("taken");
    device.peer = Peer::new(&second).await;
    // Somebody who has listened repeats the Register.
    let (code, number) = device.replay(0).await;
    assert_eq!(
        code,
        Code::CHANGED,
        "a challenge, which shows nothing outside"
    );
    assert!(second.registration("a").await.is_none(), "it was taken");
    // No number comes again: they go on by the clock, far ahead of what new keys start with.
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("after");
    let since_2026 = unix.as_secs().saturating_sub(1_767_225_600);
    let new = since_2026 * FileSequences::NEW_PER_SECOND;
    assert!(number.expect("of the server") > 100 * new);
    // Who does not answer at all is told of.
    let mut events = second.events();
    let challenge = device.register(None).await;
    assert_eq!(challenge.code, Code::UNAUTHORIZED);
    assert_eq!(device.register(None).await.code, Code::UNAUTHORIZED);
    assert_eq!(refused(&mut events).await, "oscore-echo-missing");
    let echo = challenge.echo.expect("a challenge");
    assert_eq!(device.register(Some(&echo)).await.code, Code::CREATED);
    second.shutdown().await;
}
