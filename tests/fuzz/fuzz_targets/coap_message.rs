//! CoAP datagrams: what is read can be written and read again, `coap-lite` included.

#![no_main]

use lwm2m_coap::{Message, MessageBuilder, Token};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(message) = Message::parse(data) else {
        return;
    };
    let _ = message.check_options(16, |number| number.0 < 30);
    let _ = (message.block1(), message.block2(), message.observe());
    let _ = (
        message.uri_path_str().count(),
        message.uri_query_str().count(),
    );
    let Some(token) = Token::new(message.token()) else {
        return;
    };
    let mut out = Vec::new();
    let start = MessageBuilder::new(
        &mut out,
        message.message_type(),
        message.code(),
        message.message_id(),
        &token,
    );
    message
        .options()
        .fold(start, |builder, option| {
            builder.option(option.number, option.value)
        })
        .payload(message.payload());
    same(&message, &out);

    if let Ok(packet) = message.to_packet() {
        let mut out = Vec::new();
        MessageBuilder::from_packet(&packet, &mut out).expect("it came from a message");
        same(&message, &out);
    }
});

fn same(message: &Message<'_>, written: &[u8]) {
    let again = Message::parse(written).expect("we wrote it");
    assert_eq!(again.message_type(), message.message_type());
    assert_eq!(again.code(), message.code());
    assert_eq!(again.message_id(), message.message_id());
    assert_eq!(again.token(), message.token());
    assert!(again.options().eq(message.options()));
    assert_eq!(again.payload(), message.payload());
}
