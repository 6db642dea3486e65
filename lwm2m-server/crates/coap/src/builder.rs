//! Writing CoAP messages.

use crate::{Code, MessageType, OptionNumber, Token};

/// Writes one message into a buffer.
///
/// Options are added in ascending order of their numbers. A message without payload is complete
/// after its last option.
#[derive(Debug)]
#[must_use = "options and the payload are yet to be added; `finish` ends a message without"]
pub struct MessageBuilder<'b> {
    out: &'b mut Vec<u8>,
    last_option: u16,
}

impl<'b> MessageBuilder<'b> {
    /// Starts a message, appending to `out`.
    pub fn new(
        out: &'b mut Vec<u8>,
        message_type: MessageType,
        code: Code,
        message_id: u16,
        token: &Token,
    ) -> MessageBuilder<'b> {
        let token = token.as_bytes();
        let nibble = length_nibble(token.len());
        let [id_high, id_low] = message_id.to_be_bytes();
        let first = 0x40 | (message_type.bits() << 4) | nibble;
        out.extend_from_slice(&[first, code.0, id_high, id_low]);
        extend_length(out, token.len());
        out.extend_from_slice(token);
        MessageBuilder::options_only(out)
    }

    /// Starts with the options, appending to `out`: the header is another's, as in the plaintext
    /// of a protected message (RFC 8613 §5.3).
    pub fn options_only(out: &'b mut Vec<u8>) -> MessageBuilder<'b> {
        MessageBuilder {
            out,
            last_option: 0,
        }
    }

    /// Adds an option.
    ///
    /// # Panics
    /// When its number is lower than that of the option before, or the value exceeds
    /// [`OptionNumber::VALUE_MAX`] bytes: the caller writes its own message, so this is a bug
    /// in it.
    pub fn option(mut self, number: OptionNumber, value: &[u8]) -> MessageBuilder<'b> {
        assert!(
            number.0 >= self.last_option,
            "options are added in ascending order"
        );
        assert!(
            value.len() <= OptionNumber::VALUE_MAX,
            "an option value has at most 65804 bytes"
        );
        let delta = usize::from(number.0 - self.last_option);
        let nibbles = (length_nibble(delta) << 4) | length_nibble(value.len());
        self.out.push(nibbles);
        extend_length(self.out, delta);
        extend_length(self.out, value.len());
        self.out.extend_from_slice(value);
        self.last_option = number.0;
        self
    }

    /// Adds an option with an unsigned value in its shortest form.
    pub fn uint(self, number: OptionNumber, value: u32) -> MessageBuilder<'b> {
        self.option(number, crate::Uint::new(value).as_bytes())
    }

    /// Adds the payload, with its marker unless it is empty, and ends the message.
    pub fn payload(self, payload: &[u8]) {
        self.into_payload(payload);
    }

    /// As [`MessageBuilder::payload`], and gives the buffer back.
    pub(crate) fn into_payload(self, payload: &[u8]) -> &'b mut Vec<u8> {
        if !payload.is_empty() {
            self.out.push(0xff);
            self.out.extend_from_slice(payload);
        }
        self.out
    }

    /// Ends a message without payload.
    pub fn finish(self) {
        self.payload(&[]);
    }
}

/// The nibble for a delta or length, 0 to 14 (RFC 7252 §3.1).
pub(crate) fn length_nibble(length: usize) -> u8 {
    match length {
        0..=12 => length as u8,
        13..=268 => 13,
        _ => 14,
    }
}

/// What follows the nibble of [`length_nibble`]; `length` is at most 65804.
pub(crate) fn extend_length(out: &mut Vec<u8>, length: usize) {
    match length {
        0..=12 => {}
        13..=268 => out.push((length - 13) as u8),
        _ => out.extend_from_slice(&((length - 269) as u16).to_be_bytes()),
    }
}
