//! A pair of contexts, and messages between them.

use lwm2m_coap::{Code, Message, MessageBuilder, MessageType, OptionNumber, Token};
use lwm2m_oscore::{
    IdContext, KeyId, PARTIAL_IV_MAX, Parameters, ReplayState, RequestBinding, SecurityContext,
    UnprotectError, UnprotectedRequest,
};

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter_map(|byte| (byte as char).to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

pub(crate) fn parameters(secret: &str, salt: &str, id_context: Option<&str>) -> Parameters {
    Parameters {
        master_secret: unhex(secret).into(),
        master_salt: unhex(salt),
        id_context: id_context.and_then(|text| IdContext::new(&unhex(text))),
        sender_id: KeyId::default(),
        recipient_id: KeyId::default(),
    }
}

/// The same parameters from the side with this Sender ID.
pub(crate) fn side(parameters: &Parameters, sender: &[u8], recipient: &[u8]) -> Parameters {
    Parameters {
        sender_id: KeyId::new(sender).expect("an id"),
        recipient_id: KeyId::new(recipient).expect("an id"),
        ..parameters.clone()
    }
}

/// A context with all sequence numbers from `start` on, whose peer has sent nothing yet.
pub(crate) fn context(parameters: &Parameters, start: u64) -> SecurityContext {
    let mut context = SecurityContext::derive(parameters, ReplayState::Unused, start)
        .expect("parameters of a context");
    context.reserve(PARTIAL_IV_MAX + 1);
    context
}

/// A device and a server that share a context.
pub(crate) fn pair() -> (SecurityContext, SecurityContext) {
    let shared = parameters("0102030405060708090a0b0c0d0e0f10", "9e7ca92223786340", None);
    let device = context(&side(&shared, b"dev1", b"srv"), 0);
    let server = context(&side(&shared, b"srv", b"dev1"), 0);
    (device, server)
}

/// A message of these options and this payload.
pub(crate) fn message(code: Code, options: &[(OptionNumber, &[u8])], payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    let token = Token::new(&[0x4a, 0x17]).expect("a token");
    let start = MessageBuilder::new(&mut datagram, MessageType::Confirmable, code, 7, &token);
    options
        .iter()
        .fold(start, |builder, (number, value)| {
            builder.option(*number, value)
        })
        .payload(payload);
    datagram
}

pub(crate) fn parse(datagram: &[u8]) -> Message<'_> {
    Message::parse(datagram).expect("a message")
}

/// The datagram with the header of `like`, this code and this content.
pub(crate) fn datagram(like: &[u8], code: Code, content: &[u8]) -> Vec<u8> {
    let mut datagram = like[..4 + parse(like).token().len()].to_vec();
    datagram[1] = code.0;
    datagram.extend_from_slice(content);
    datagram
}

/// Protects a request.
pub(crate) fn ask(from: &mut SecurityContext, plain: &[u8]) -> (Vec<u8>, RequestBinding) {
    let mut content = Vec::new();
    let (code, binding) = from
        .protect_request(&parse(plain), &mut content)
        .expect("protected");
    (datagram(plain, code, &content), binding)
}

/// Unprotects a request into its plain datagram.
pub(crate) fn take(
    to: &mut SecurityContext,
    outer: &[u8],
) -> Result<(Vec<u8>, UnprotectedRequest), UnprotectError> {
    let mut content = Vec::new();
    let message = parse(outer);
    let request = to.unprotect_request(&message, message.payload(), &mut content)?;
    Ok((datagram(outer, request.code, &content), request))
}

/// Protects a response.
pub(crate) fn answer(
    from: &mut SecurityContext,
    binding: &RequestBinding,
    plain: &[u8],
) -> Vec<u8> {
    let mut content = Vec::new();
    let code = from
        .protect_response(binding, &parse(plain), &mut content)
        .expect("protected");
    datagram(plain, code, &content)
}

/// Unprotects a response into its plain datagram.
pub(crate) fn hear(
    to: &SecurityContext,
    binding: &mut RequestBinding,
    outer: &[u8],
) -> Result<Vec<u8>, UnprotectError> {
    let mut content = Vec::new();
    let message = parse(outer);
    let code = to.unprotect_response(binding, &message, message.payload(), &mut content)?;
    Ok(datagram(outer, code, &content))
}
