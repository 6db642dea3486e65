//! CoAP over streams: the cuts between the bytes make no difference. The first byte says how
//! long the pieces are.

#![no_main]

use lwm2m_coap::Message;
use lwm2m_coap::Token;
use lwm2m_coap::tcp::{FrameBuilder, FrameDecoder, FrameError, Signal};

const MESSAGE_MAX: usize = 4096;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&piece, stream)) = data.split_first() else {
        return;
    };
    let whole = frames(stream.chunks(stream.len().max(1)));
    let pieces = frames(stream.chunks(usize::from(piece) + 1));
    assert_eq!(whole, pieces);
});

/// The messages of a stream, written again, and the error that ended it.
fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let mut decoder = FrameDecoder::new(MESSAGE_MAX);
    let mut messages = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.decode(&mut piece) {
                Ok(Some(message)) => messages.push(rewritten(&message)),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(piece.is_empty());
        assert!(decoder.buffered() <= MESSAGE_MAX);
    }
    (messages, None)
}

fn rewritten(message: &Message<'_>) -> Vec<u8> {
    let _ = Signal::read(message);
    let mut out = Vec::new();
    if let Some(token) = Token::new(message.token()) {
        let start = FrameBuilder::new(&mut out, message.code(), &token);
        message
            .options()
            .fold(start, |builder, option| {
                builder.option(option.number, option.value)
            })
            .payload(message.payload());
        let mut written = &out[..];
        let mut decoder = FrameDecoder::new(usize::MAX);
        let again = decoder.decode(&mut written).expect("we wrote it");
        let again = again.expect("it is complete");
        assert!(again.options().eq(message.options()));
        assert_eq!(again.payload(), message.payload());
    }
    out
}
