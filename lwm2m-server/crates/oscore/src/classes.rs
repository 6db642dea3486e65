//! Which options are encrypted and which stay outside (RFC 8613 §4.1).
//!
//! Class U, outside only: Uri-Host, Uri-Port, Hop-Limit, Proxy-Scheme. Class E, inside only:
//! everything else, blocks included. Observe is both: inside it says what is meant, outside it
//! lets the message layer and proxies do their part.

use lwm2m_coap::{Message, MessageBuilder, OptionNumber, OptionRef, Uint};

/// True for the options that stay outside.
fn is_outer(number: OptionNumber) -> bool {
    matches!(
        number,
        OptionNumber::URI_HOST
            | OptionNumber::URI_PORT
            | OptionNumber::HOP_LIMIT
            | OptionNumber::PROXY_SCHEME
    )
}

/// True when a message can be protected: it is not yet, and its destination is not wrapped into
/// one option that would have to be taken apart.
pub(crate) fn can_be_protected(plain: &Message<'_>) -> bool {
    let foreign = |option: OptionRef<'_>| {
        matches!(
            option.number,
            OptionNumber::OSCORE | OptionNumber::PROXY_URI
        )
    };
    !plain.options().any(foreign)
}

/// Appends the plaintext: the code, the options that are encrypted, the payload.
pub(crate) fn write_plaintext(plain: &Message<'_>, out: &mut Vec<u8>) {
    out.push(plain.code().0);
    let is_response = plain.code().is_response();
    let inner = plain.options().filter(|option| !is_outer(option.number));
    let mut builder = MessageBuilder::options_only(out);
    for option in inner {
        // The value in a response is the sequence number, for which the Partial IV stands.
        let value = match option.number == OptionNumber::OBSERVE && is_response {
            true => &[],
            false => option.value,
        };
        builder = builder.option(option.number, value);
    }
    builder.payload(plain.payload());
}

/// Appends what the protected message has behind its token.
pub(crate) fn write_outer(
    plain: &Message<'_>,
    oscore: &[u8],
    ciphertext: &[u8],
    out: &mut Vec<u8>,
) {
    let outer = plain
        .options()
        .filter(|option| is_outer(option.number) || option.number == OptionNumber::OBSERVE);
    let oscore = OptionRef {
        number: OptionNumber::OSCORE,
        value: oscore,
    };
    merged(
        outer,
        std::iter::once(oscore),
        MessageBuilder::options_only(out),
    )
    .payload(ciphertext);
}

/// Appends what an unprotected message has behind its token: the options that were encrypted, and
/// those that may only be outside.
///
/// `observe` is the value for Observe, none when there is to be none.
pub(crate) fn write_plain(
    outer: &Message<'_>,
    inner: &Message<'_>,
    observe: Option<u32>,
    out: &mut Vec<u8>,
) {
    let outside = outer.options().filter(|option| is_outer(option.number));
    let inside = inner.options().filter(|option| {
        !is_outer(option.number)
            && !matches!(option.number, OptionNumber::OSCORE | OptionNumber::OBSERVE)
    });
    let value = Uint::new(observe.unwrap_or_default());
    let observe = observe.map(|_| OptionRef {
        number: OptionNumber::OBSERVE,
        value: value.as_bytes(),
    });
    let inside = Merge::new(inside, observe.into_iter());
    merged(inside, outside, MessageBuilder::options_only(out)).payload(inner.payload());
}

fn merged<'d, 'b>(
    left: impl Iterator<Item = OptionRef<'d>>,
    right: impl Iterator<Item = OptionRef<'d>>,
    builder: MessageBuilder<'b>,
) -> MessageBuilder<'b> {
    Merge::new(left, right).fold(builder, |builder, option| {
        builder.option(option.number, option.value)
    })
}

/// Two ascending sequences of options as one.
struct Merge<L: Iterator, R: Iterator> {
    left: std::iter::Peekable<L>,
    right: std::iter::Peekable<R>,
}

impl<L: Iterator, R: Iterator> Merge<L, R> {
    fn new(left: L, right: R) -> Merge<L, R> {
        Merge {
            left: left.peekable(),
            right: right.peekable(),
        }
    }
}

impl<'d, L, R> Iterator for Merge<L, R>
where
    L: Iterator<Item = OptionRef<'d>>,
    R: Iterator<Item = OptionRef<'d>>,
{
    type Item = OptionRef<'d>;

    fn next(&mut self) -> Option<OptionRef<'d>> {
        let left = self.left.peek().map(|option| option.number);
        let right = self.right.peek().map(|option| option.number);
        match (left, right) {
            (Some(left), Some(right)) if right < left => self.right.next(),
            (None, _) => self.right.next(),
            _ => self.left.next(),
        }
    }
}
