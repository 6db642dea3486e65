//! As much CoAP as a peer needs to believe that it was heard (RFC 7252).

const VERSION: u8 = 0x40;
const CONFIRMABLE: u8 = 0x00;
const ACKNOWLEDGEMENT: u8 = 0x20;
const RESET: u8 = 0x30;

const GET: u8 = 0x01;
const POST: u8 = 0x02;
const DELETE: u8 = 0x04;
const CREATED: u8 = 0x41;
const DELETED: u8 = 0x42;
const CHANGED: u8 = 0x44;
const CONTENT: u8 = 0x45;

/// The answer to a confirmable message: of success to a request, a reset to a ping.
pub(crate) fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let (&[first, code, high, low], rest) = message.split_first_chunk::<4>()?;
    if first & 0xf0 != VERSION | CONFIRMABLE {
        return None;
    }
    let token = rest.get(..usize::from(first & 0x0f))?;
    let code = match code {
        0 => return Some(vec![VERSION | RESET, 0, high, low]),
        GET => CONTENT,
        POST => CREATED,
        DELETE => DELETED,
        _ => CHANGED,
    };
    let mut answer = vec![VERSION | ACKNOWLEDGEMENT | first & 0x0f, code, high, low];
    answer.extend(token);
    Some(answer)
}
