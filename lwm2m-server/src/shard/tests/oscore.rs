//! Each protected request says by itself whom it is from, whatever carries it; and each of ours
//! takes a number.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lwm2m_coap::{Code, Message, OptionNumber, Token};
use lwm2m_oscore::{KeyId, PARTIAL_IV_MAX, Parameters, ReplayState, SecurityContext};

use super::world::{World, read, request};
use crate::credentials::{
    Credential, CredentialId, CredentialStore, LookUp, MemoryCredentials, OscoreCredential, Proof,
    SecretKey,
};
use crate::oscore::{ContextName, SequenceStore};
use crate::{Authenticated, EventKind, PeerIdentity, RequestError};

const LIST: &[u8] = b"</1/0>,</3/0>";
const SEND: &[u8] = br#"[{"n":"/3/0/9","v":90}]"#;

/// An OSCORE credential whose device has this Sender ID and this name.
fn credential(kid: &str) -> Credential {
    let proof = Proof::Oscore(OscoreCredential {
        master_secret: SecretKey::new(b"secret").expect("a key"),
        master_salt: Vec::new(),
        sender_id: b"srv".to_vec(),
        recipient_id: kid.as_bytes().to_vec(),
        id_context: None,
        aead: 10,
        hmac: 5,
    });
    let id = CredentialId::new(kid).expect("an id");
    Credential::new(id, proof).endpoints([kid.parse().expect("a name")])
}

/// Shards with the credentials of the devices `a` and `b`, and of a gateway with a pre-shared key.
fn world() -> (World, Authenticated) {
    let store = Arc::new(MemoryCredentials::default());
    let proof = Proof::Psk {
        identity: b"gateway".as_slice().into(),
        key: SecretKey::new(b"key").expect("a key"),
    };
    let gateway = Credential::new(CredentialId::new("gateway").expect("an id"), proof);
    let session = Authenticated::by(
        &Arc::new(gateway.clone()),
        &PeerIdentity::psk(b"gateway", None),
    );
    let LookUp::Now(taken) = store.add(vec![credential("a"), credential("b"), gateway]) else {
        panic!("memory answers at once");
    };
    taken.expect("good credentials");
    (World::guarded(1, &store), session.expect("its own"))
}

struct Device(SecurityContext);

impl Device {
    fn new(kid: &str) -> Device {
        let parameters = Parameters {
            master_secret: b"secret".to_vec().into(),
            master_salt: Vec::new(),
            id_context: None,
            sender_id: KeyId::new(kid.as_bytes()).expect("an id"),
            recipient_id: KeyId::new(b"srv").expect("an id"),
        };
        let context = SecurityContext::derive(&parameters, ReplayState::Unused, 0);
        let mut context = context.expect("parameters of a context");
        context.reserve(PARTIAL_IV_MAX);
        Device(context)
    }

    /// Asks from a port; gives the code of the answer and its Echo.
    fn ask(&mut self, world: &mut World, port: u16, plain: &[u8]) -> (Code, Option<Vec<u8>>) {
        let plain = Message::parse(plain).expect("a message");
        let mut content = Vec::new();
        let protected = self.0.protect_request(&plain, &mut content);
        let (code, mut binding) = protected.expect("protected");
        let mut datagram = header(&plain, code);
        datagram.extend_from_slice(&content);
        world.deliver(0, port, &datagram);
        let at = world.sent.iter().position(|(to, _)| *to == port);
        let (_, answer) = world
            .sent
            .remove(at.expect("an answer"))
            .expect("it is there");
        let outer = Message::parse(&answer).expect("a message");
        let mut content = Vec::new();
        let code = self
            .0
            .unprotect_response(&mut binding, &outer, outer.payload(), &mut content)
            .expect("a protected answer");
        let inner = outer.with_content(code, &content).expect("a message");
        (code, inner.value(OptionNumber::ECHO).map(<[u8]>::to_vec))
    }

    /// Registers, with the Echo that the first use asks for.
    fn register(&mut self, world: &mut World, port: u16, name: &str) -> Code {
        world.message_id += 1;
        let plain = request(
            world.message_id,
            Code::POST,
            &format!("rd?ep={name}&lwm2m=1.1"),
            LIST,
        );
        let (code, echo) = self.ask(world, port, &plain);
        let Some(echo) = echo else {
            return code;
        };
        assert_eq!(code, Code::UNAUTHORIZED);
        world.message_id += 1;
        self.ask(world, port, &with_echo(&plain, world.message_id, &echo))
            .0
    }

    fn send(&mut self, world: &mut World, port: u16) -> Code {
        world.message_id += 1;
        let plain = request(world.message_id, Code::POST, "dp", SEND);
        self.ask(world, port, &plain).0
    }
}

/// The header and token of a message, with another code.
fn header(message: &Message<'_>, code: Code) -> Vec<u8> {
    let [high, low] = message.message_id().to_be_bytes();
    let first = 0x40 | message.message_type().bits() << 4 | message.token().len() as u8;
    [&[first, code.0, high, low], message.token()].concat()
}

fn with_echo(plain: &[u8], message_id: u16, echo: &[u8]) -> Vec<u8> {
    let plain = Message::parse(plain).expect("a message");
    let mut out = Vec::new();
    let token = Token::new(plain.token()).expect("a token");
    let confirmable = lwm2m_coap::MessageType::Confirmable;
    let start =
        lwm2m_coap::MessageBuilder::new(&mut out, confirmable, plain.code(), message_id, &token);
    plain
        .options()
        .fold(start, |builder, option| {
            builder.option(option.number, option.value)
        })
        .option(OptionNumber::ECHO, echo)
        .payload(plain.payload());
    out
}

#[test]
fn devices_behind_one_address_are_told_apart() {
    let (mut world, _) = world();
    let (mut a, mut b) = (Device::new("a"), Device::new("b"));
    assert_eq!(a.register(&mut world, 1, "a"), Code::CREATED);
    assert_eq!(b.register(&mut world, 1, "b"), Code::CREATED);
    world.happened();
    for name in ["a", "b", "a"] {
        let device = match name {
            "a" => &mut a,
            _ => &mut b,
        };
        assert_eq!(device.send(&mut world, 1), Code::CHANGED);
        let sends = std::iter::from_fn(|| world.event())
            .filter(|event| matches!(event.kind, EventKind::Send { .. }))
            .map(|event| event.endpoint.as_ref().map(|endpoint| endpoint.to_string()));
        assert_eq!(sends.collect::<Vec<_>>(), [Some(name.to_owned())]);
    }
    // A name is that of its own credential.
    assert_eq!(a.register(&mut world, 1, "b"), Code::BAD_REQUEST);
}

#[test]
fn the_context_names_the_device_and_not_the_session_that_carries_it() {
    let (mut world, gateway) = world();
    world.open_session(0, 1, gateway);
    let mut a = Device::new("a");
    assert_eq!(a.register(&mut world, 1, "a"), Code::CREATED);
    let registration = world.registration("a").expect("registered");
    assert_eq!(registration.identity, PeerIdentity::oscore(b"a", None));
    // The gateway itself is somebody else.
    let path = format!("rd/{}", registration.id);
    let update = world.ask(0, 1, Code::POST, &path);
    assert_eq!(update.code, Code::NOT_FOUND);
    let update = request(900, Code::POST, &path, b"");
    assert_eq!(a.ask(&mut world, 1, &update).0, Code::CHANGED);
}

/// Numbers from `start` on, of which those below `granted` may be used.
#[derive(Debug)]
struct Numbers {
    start: u64,
    granted: AtomicU64,
}

impl SequenceStore for Numbers {
    fn start(&self, _: &ContextName) -> u64 {
        self.start
    }

    fn reserve(&self, _: &ContextName, limit: u64) -> u64 {
        limit.min(self.granted.load(Ordering::Relaxed))
    }
}

/// A world with one registered device, and one number used for it.
fn numbered(start: u64) -> (World, Arc<Numbers>) {
    let store = Arc::new(MemoryCredentials::default());
    let LookUp::Now(taken) = store.add(vec![credential("a")]) else {
        panic!("memory answers at once");
    };
    taken.expect("a good credential");
    let granted = AtomicU64::new(start + 1);
    let numbers = Arc::new(Numbers { start, granted });
    let mut world = World::numbered(1, &store, numbers.clone());
    let registered = Device::new("a").register(&mut world, 1, "a");
    assert_eq!(registered, Code::CREATED);
    (world, numbers)
}

#[test]
fn a_request_that_cannot_be_protected_fails_at_once() {
    let (mut world, numbers) = numbered(PARTIAL_IV_MAX);
    numbers.granted.store(u64::MAX, Ordering::Relaxed);
    let mut answers = [0, 1].map(|resource| world.send("a", read(resource)));
    for answer in &mut answers {
        let failed = answer.try_recv().expect("an answer");
        assert!(
            matches!(failed, Err(RequestError::Protocol(_))),
            "{failed:?}"
        );
    }
    assert!(world.sent.is_empty());
}

#[test]
fn a_request_waits_until_its_number_may_be_used() {
    let (mut world, numbers) = numbered(0);
    let mut answer = world.send("a", read(0));
    world.pass(Duration::from_millis(100));
    assert!(world.sent.is_empty() && answer.try_recv().is_err());
    numbers.granted.store(2, Ordering::Relaxed);
    world.pass(Duration::from_millis(10));
    assert_eq!(world.sent.len(), 1);
    assert!(answer.try_recv().is_err(), "the device has it");
}
