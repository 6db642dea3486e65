//! Reading a message allocates nothing.

use lwm2m_coap::tcp::{FrameBuilder, FrameDecoder};
use lwm2m_coap::{Code, Message, MessageBuilder, MessageType, OptionNumber, Token};

#[test]
fn reading_a_datagram_allocates_nothing() {
    let mut datagram = Vec::new();
    MessageBuilder::new(
        &mut datagram,
        MessageType::Confirmable,
        Code::POST,
        1,
        &Token::EMPTY,
    )
    .option(OptionNumber::URI_PATH, b"rd")
    .uint(OptionNumber::CONTENT_FORMAT, 40)
    .option(OptionNumber::URI_QUERY, b"ep=urn:dev:ops:0001")
    .payload(b"</1/0>,</3/0>");

    let count = allocation_counter::measure(|| {
        let message = Message::parse(&datagram).expect("a message");
        assert_eq!(message.check_options(64, |_| true), Ok(()));
        assert_eq!(message.content_format(), Some(40));
        assert!(message.uri_path_str().eq([Ok("rd")]));
        assert_eq!(message.uri_query_str().count(), 1);
    });
    assert_eq!(count.count_total, 0);
}

#[test]
fn reading_a_whole_frame_allocates_nothing() {
    let mut stream = Vec::new();
    FrameBuilder::new(&mut stream, Code::CONTENT, &Token::EMPTY).payload(&[7; 500]);

    let count = allocation_counter::measure(|| {
        let mut decoder = FrameDecoder::new(1152);
        let message = decoder.decode(&mut stream.as_slice()).expect("well-formed");
        assert_eq!(message.expect("whole").payload().len(), 500);
    });
    assert_eq!(count.count_total, 0);
}

#[test]
fn the_counter_counts() {
    let count = allocation_counter::measure(|| {
        std::hint::black_box(vec![1_u8; 10]);
    });
    assert_eq!(count.count_total, 1);
}
