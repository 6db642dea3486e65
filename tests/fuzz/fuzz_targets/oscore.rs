//! OSCORE: any message can be taken or refused, and what is protected arrives as it was.

#![no_main]

use lwm2m_coap::{Message, OptionNumber};
use lwm2m_oscore::{KeyId, OscoreOption, PARTIAL_IV_MAX, Parameters, ReplayState, SecurityContext};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(option) = OscoreOption::decode(data) {
        let mut written = Vec::new();
        option.encode(&mut written);
        assert_eq!(written, data);
    }
    let Ok(message) = Message::parse(data) else {
        return;
    };
    let (mut device, mut server) = (side(b"dev1", b"srv"), side(b"srv", b"dev1"));
    let mut plain = Vec::new();
    let body = message.payload();
    assert!(server.unprotect_request(&message, body, &mut plain).is_err());
    let mut content = Vec::new();
    if message.code().is_request()
        && let Ok((code, mut binding)) = device.protect_request(&message, &mut content)
    {
        let heard = device.unprotect_response(&mut binding, &message, body, &mut plain);
        assert!(heard.is_err() && plain.is_empty());
        let outer = message.with_content(code, &content).expect("we wrote it");
        let request = server
            .unprotect_request(&outer, outer.payload(), &mut plain)
            .expect("we protected it");
        assert_eq!(request.code, message.code());
        let inner = message.with_content(request.code, &plain).expect("we wrote it");
        same(&message, &inner);
    } else if message.code().is_response() {
        response(&message);
    }
});

/// A response goes back under a binding, and an Observe option becomes the number's.
fn response(message: &Message<'_>) {
    let (mut device, mut server) = (side(b"dev1", b"srv"), side(b"srv", b"dev1"));
    let mut content = Vec::new();
    let request = Message::parse(&[0x40, 1, 0, 0]).expect("a get");
    let (code, mut binding) = server
        .protect_request(&request, &mut content)
        .expect("there are numbers");
    let outer = request.with_content(code, &content).expect("we wrote it");
    let taken = device
        .unprotect_request(&outer, outer.payload(), &mut Vec::new())
        .expect("we protected it");
    let mut content = Vec::new();
    let Ok(code) = device.protect_response(&taken.binding, message, &mut content) else {
        return;
    };
    let outer = message.with_content(code, &content).expect("we wrote it");
    let mut plain = Vec::new();
    let code = server
        .unprotect_response(&mut binding, &outer, outer.payload(), &mut plain)
        .expect("we protected it");
    assert_eq!(code, message.code());
    same(message, &message.with_content(code, &plain).expect("we wrote it"));
}

/// The same but for Observe: the value of a response is the Partial IV's, and a repeated one is one.
fn same(plain: &Message<'_>, arrived: &Message<'_>) {
    let but_observe = |message: &Message<'_>| {
        message
            .options()
            .filter(|option| option.number != OptionNumber::OBSERVE)
            .map(|option| (option.number, option.value.to_vec()))
            .collect::<Vec<_>>()
    };
    assert_eq!(but_observe(plain), but_observe(arrived));
    assert_eq!(plain.payload(), arrived.payload());
}

fn side(sender: &[u8], recipient: &[u8]) -> SecurityContext {
    let parameters = Parameters {
        master_secret: vec![1; 16].into(),
        master_salt: Vec::new(),
        id_context: None,
        sender_id: KeyId::new(sender).expect("an id"),
        recipient_id: KeyId::new(recipient).expect("an id"),
    };
    let mut context =
        SecurityContext::derive(&parameters, ReplayState::Unused, 0).expect("good parameters");
    context.reserve(PARTIAL_IV_MAX);
    context
}
