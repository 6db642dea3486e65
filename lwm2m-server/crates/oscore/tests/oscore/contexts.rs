//! The table of contexts, as an engine uses it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use lwm2m_coap::{Code, ObjectSecurity, OptionNumber, ProtectionFault, SecurityContextId};
use lwm2m_oscore::{
    ContextName, Contexts, ContextsError, IdContext, KeyFingerprint, KeyId, OscoreOption,
    ReceivedRequests, ReplayState, SequenceStore,
};

use crate::common::{ask, context, datagram, message, parameters, parse, side};

/// A medium that survives its server.
#[derive(Debug, Default)]
struct Medium(Mutex<HashMap<ContextName, u64>>);

impl SequenceStore for Medium {
    fn start(&self, context: &ContextName) -> u64 {
        let medium = self.0.lock().expect("no panic");
        medium.get(context).copied().unwrap_or_default()
    }

    fn reserve(&self, context: &ContextName, limit: u64) -> u64 {
        let mut medium = self.0.lock().expect("no panic");
        let earlier = medium.insert(context.clone(), limit);
        assert!(earlier.is_none_or(|earlier| earlier < limit));
        limit
    }
}

/// A medium that is full.
#[derive(Debug)]
struct Full;

impl SequenceStore for Full {
    fn start(&self, _: &ContextName) -> u64 {
        0
    }

    fn reserve(&self, _: &ContextName, _: u64) -> u64 {
        0
    }
}

fn contexts(max: usize) -> Contexts {
    Contexts::new(max, Arc::new(Medium::default()))
}

fn get() -> Vec<u8> {
    message(Code::GET, &[(OptionNumber::URI_PATH, b"3")], &[])
}

/// The id context of the response to a request.
fn found(contexts: &Contexts, outer: &[u8]) -> Result<SecurityContextId, &'static str> {
    let message = parse(outer);
    contexts
        .unprotect_request(&message, message.payload(), &mut Vec::new())
        .map(|(_, binding)| binding.context)
        .map_err(|fault| fault.diagnostic)
}

#[test]
fn finds_contexts_by_kid_and_kid_context() {
    let contexts = contexts(10);
    let mut devices = Vec::new();
    for id_context in [None, Some("01"), Some("02")] {
        let shared = parameters("0102", "", id_context);
        let id = contexts.add(&side(&shared, b"srv", b"dev"), ReplayState::Unused);
        devices.push((
            context(&side(&shared, b"dev", b"srv"), 0),
            id.expect("room"),
        ));
    }
    for (device, id) in &mut devices {
        let (outer, _) = ask(device, &get());
        assert_eq!(found(&contexts, &outer), Ok(*id));
    }
    // A device need not send its context when the kid alone leads to it.
    let (outer, _) = ask(&mut devices[2].0, &get());
    let mut value = Vec::new();
    let option = OscoreOption {
        partial_iv: OscoreOption::decode(
            parse(&outer)
                .value(OptionNumber::OSCORE)
                .expect("protected"),
        )
        .expect("an option")
        .partial_iv,
        kid_context: None,
        kid: Some(b"dev"),
    };
    option.encode(&mut value);
    let bare = message(
        Code::POST,
        &[(OptionNumber::OSCORE, &value)],
        parse(&outer).payload(),
    );
    assert_eq!(found(&contexts, &bare), Ok(devices[2].1));

    assert!(contexts.remove(devices[1].1) && !contexts.remove(devices[1].1));
    let (outer, _) = ask(&mut devices[1].0, &get());
    assert_eq!(found(&contexts, &outer), Err("Security context not found"));
    assert_eq!(contexts.len(), 2);
    let name = ContextName {
        recipient_id: KeyId::new(b"dev").expect("an id"),
        id_context: IdContext::new(&[2]),
    };
    assert_eq!(contexts.find(&name), Some(devices[2].1));
    assert_eq!(contexts.name(devices[2].1), Some(name));
}

#[test]
fn tells_what_is_wrong_with_a_request() {
    let contexts = contexts(10);
    let shared = parameters("0102", "", None);
    let id = contexts.add(&side(&shared, b"srv", b"dev"), ReplayState::Unused);
    id.expect("room");
    let mut device = context(&side(&shared, b"dev", b"srv"), 0);
    let (outer, _) = ask(&mut device, &get());
    let mut stranger = context(&side(&parameters("0103", "", None), b"dev", b"srv"), 9);
    let (forged, _) = ask(&mut stranger, &get());
    assert_eq!(found(&contexts, &forged), Err("Decryption failed"));
    found(&contexts, &outer).expect("good");
    assert_eq!(found(&contexts, &outer), Err("Replay detected"));
    for value in [&[0x20][..], &[], &[0x08, b'd'], &[0x01, 0x05]] {
        let outer = message(Code::POST, &[(OptionNumber::OSCORE, value)], &[0; 20]);
        assert_eq!(
            found(&contexts, &outer),
            Err("Failed to decode COSE"),
            "{value:02x?}"
        );
    }
    let long_kid = [&[0x09, 0x05][..], &[7; KeyId::MAX + 1]].concat();
    let outer = message(Code::POST, &[(OptionNumber::OSCORE, &long_kid)], &[0; 20]);
    assert_eq!(found(&contexts, &outer), Err("Security context not found"));
}

#[test]
fn takes_as_many_as_allowed_and_each_name_once() {
    let contexts = contexts(2);
    let shared = parameters("0102", "", None);
    let add = |kid: &[u8]| contexts.add(&side(&shared, b"srv", kid), ReplayState::Unused);
    let first = add(b"a").expect("room");
    assert_eq!(add(b"a"), Err(ContextsError::Taken));
    add(b"b").expect("room");
    assert_eq!(add(b"c"), Err(ContextsError::Full { max: 2 }));
    assert!(contexts.remove(first));
    add(b"c").expect("room again");
}

#[test]
fn of_contexts_with_the_same_kid_four_are_tried() {
    let contexts = contexts(10);
    let mut devices = Vec::new();
    for number in 1..=5 {
        let shared = parameters("0102", "", Some(&format!("0{number}")));
        let id = contexts.add(&side(&shared, b"srv", b"dev"), ReplayState::Unused);
        id.expect("room");
        devices.push(context(&side(&shared, b"dev", b"srv"), 0));
    }
    for (index, device) in devices.iter_mut().enumerate() {
        let (outer, _) = ask(device, &get());
        let bare = message(
            Code::POST,
            &[(OptionNumber::OSCORE, b"\x09\x00dev")],
            parse(&outer).payload(),
        );
        assert_eq!(found(&contexts, &bare).is_ok(), index < 4, "{index}");
    }
}

#[test]
fn after_a_restart_numbers_continue_behind_the_reserve() {
    let medium = Arc::new(Medium::default());
    let shared = parameters("0102", "", None);
    let mut last = None;
    for _ in 0..3 {
        let contexts = Contexts::new(1, medium.clone());
        let id = contexts.add(&side(&shared, b"srv", b"dev"), ReplayState::Unknown);
        let id = id.expect("room");
        for _ in 0..70 {
            let mut outer = Vec::new();
            let (code, _) = contexts
                .protect_request(id, &parse(&get()), &mut outer)
                .expect("protected");
            let outer = datagram(&get(), code, &outer);
            let value = parse(&outer)
                .value(OptionNumber::OSCORE)
                .expect("protected");
            let own = OscoreOption::decode(value).expect("an option").partial_iv;
            assert!(own > last, "{own:?} after {last:?}");
            last = own;
        }
    }
    let contexts = Contexts::new(1, Arc::new(Full));
    let id = contexts.add(&side(&shared, b"srv", b"dev"), ReplayState::Unknown);
    let refused = contexts.protect_request(id.expect("room"), &parse(&get()), &mut Vec::new());
    let reason = "no sequence number is reserved";
    assert_eq!(refused, Err(ProtectionFault::NotYet(reason)));
}

#[test]
fn a_first_request_is_challenged_and_its_echo_taken() {
    let contexts = contexts(1);
    let shared = parameters("0102", "", None);
    let id = contexts.add(&side(&shared, b"srv", b"dev"), ReplayState::Unknown);
    let id = id.expect("room");
    let mut device = context(&side(&shared, b"dev", b"srv"), 0);
    let ask_with = |device: &mut _, echo: &[u8]| {
        let options = [
            (OptionNumber::URI_PATH, &b"rd"[..]),
            (OptionNumber::ECHO, echo),
        ];
        ask(device, &message(Code::POST, &options, &[])).0
    };
    let take = |outer: &[u8]| {
        let message = parse(outer);
        contexts.unprotect_request(&message, message.payload(), &mut Vec::new())
    };
    let fault = take(&ask_with(&mut device, b"no")).expect_err("unknown");
    assert_eq!(fault.code, Code::UNAUTHORIZED);
    let challenge = fault.challenge.expect("a challenge");
    let (code, binding) = take(&ask_with(&mut device, &challenge.echo)).expect("fresh");
    assert_eq!((code, binding.context), (Code::POST, id));
    assert_eq!(challenge.binding.context, id);
}

/// A medium that keeps windows, and may be full.
#[derive(Debug, Default)]
struct Windows {
    below: Mutex<u64>,
    settled: Mutex<Option<ReceivedRequests>>,
    writes: AtomicUsize,
    full: AtomicBool,
}

impl SequenceStore for Windows {
    fn start(&self, _: &ContextName) -> u64 {
        0
    }

    fn reserve(&self, _: &ContextName, limit: u64) -> u64 {
        limit
    }

    fn replay(&self, _: &ContextName, _: &KeyFingerprint) -> ReplayState {
        match *self.settled.lock().expect("no panic") {
            Some(received) => ReplayState::Received(received),
            None => ReplayState::Below(*self.below.lock().expect("no panic")),
        }
    }

    fn received(&self, _: &ContextName, _: &KeyFingerprint, end: u64) -> Option<u64> {
        if self.full.load(Ordering::Relaxed) {
            return None;
        }
        self.writes.fetch_add(1, Ordering::Relaxed);
        let mut below = self.below.lock().expect("no panic");
        *below = end + 10;
        *self.settled.lock().expect("no panic") = None;
        Some(*below)
    }

    fn settle(&self, _: &ContextName, _: &KeyFingerprint, received: ReceivedRequests) {
        *self.settled.lock().expect("no panic") = Some(received);
    }
}

/// A server on a medium.
fn kept(medium: &Arc<Windows>) -> Contexts {
    let contexts = Contexts::new(1, Arc::clone(medium) as Arc<dyn SequenceStore>);
    let shared = parameters("0102", "", None);
    let added = contexts.restore(&side(&shared, b"srv", b"dev"));
    added.expect("room");
    contexts
}

/// What a request is refused for; none when it is taken.
fn reason(contexts: &Contexts, outer: &[u8]) -> Option<&'static str> {
    let message = parse(outer);
    let mut plain = Vec::new();
    let taken = contexts.unprotect_request(&message, message.payload(), &mut plain);
    taken.err().map(|fault| fault.reason)
}

#[test]
fn after_a_crash_what_may_have_been_received_is_challenged_and_what_cannot_is_taken() {
    let medium = Arc::new(Windows::default());
    let mut device = context(&side(&parameters("0102", "", None), b"dev", b"srv"), 0);
    let sent: Vec<Vec<u8>> = (0..40).map(|_| ask(&mut device, &get()).0).collect();
    let server = kept(&medium);
    for outer in &sent[..15] {
        assert_eq!(reason(&server, outer), None, "never used before");
    }
    let writes = medium.writes.load(Ordering::Relaxed);
    assert_eq!(writes, 2, "not for each request");
    // Nothing is settled.
    drop(server);
    let server = kept(&medium);
    let end = *medium.below.lock().expect("no panic") as usize;
    assert!((15..40).contains(&end), "{end}");
    for (index, outer) in sent[..end].iter().enumerate() {
        let expected = match index {
            0 | 1 => Contexts::CHALLENGED,
            // By then it could have answered.
            _ => Contexts::UNANSWERED,
        };
        assert_eq!(reason(&server, outer), Some(expected), "{index}");
    }
    assert_eq!(reason(&server, &sent[end]), None);
    for outer in &sent[..=end] {
        assert_eq!(reason(&server, outer), Some("replay detected"));
    }
    assert_eq!(reason(&server, &sent[end + 1]), None);
}

#[test]
fn after_an_orderly_end_the_window_is_as_it_was() {
    let medium = Arc::new(Windows::default());
    let mut device = context(&side(&parameters("0102", "", None), b"dev", b"srv"), 0);
    let sent: Vec<Vec<u8>> = (0..10).map(|_| ask(&mut device, &get()).0).collect();
    let server = kept(&medium);
    for number in [0, 1, 5] {
        assert_eq!(reason(&server, &sent[number]), None);
    }
    server.settle();
    drop(server);
    let server = kept(&medium);
    for number in [0, 1, 5] {
        assert_eq!(reason(&server, &sent[number]), Some("replay detected"));
    }
    assert_eq!(reason(&server, &sent[3]), None, "late, and not a replay");
    assert_eq!(reason(&server, &sent[6]), None);
    assert_eq!(
        *medium.settled.lock().expect("no panic"),
        None,
        "the window of before is not true any more"
    );
}

#[test]
fn a_request_that_cannot_be_noted_is_not_taken() {
    let medium = Arc::new(Windows::default());
    let mut device = context(&side(&parameters("0102", "", None), b"dev", b"srv"), 0);
    let server = kept(&medium);
    medium.full.store(true, Ordering::Relaxed);
    let (outer, _) = ask(&mut device, &get());
    assert_eq!(
        reason(&server, &outer),
        Some("the replay window cannot be kept")
    );
    medium.full.store(false, Ordering::Relaxed);
    let (outer, _) = ask(&mut device, &get());
    assert_eq!(reason(&server, &outer), None);
}

#[test]
fn fingerprints_tell_keys_apart() {
    let of = |secret: &str, recipient: &[u8]| {
        let parameters = side(&parameters(secret, "", None), b"srv", recipient);
        parameters.fingerprint().expect("keys")
    };
    assert_eq!(of("0102", b"dev"), of("0102", b"dev"));
    assert_ne!(of("0102", b"dev"), of("0103", b"dev"));
    assert_ne!(of("0102", b"dev"), of("0102", b"dew"));
}
