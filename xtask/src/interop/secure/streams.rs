//! A device behind a program that only knows TLS: its CoAP (RFC 8323) is written here.
//!
//! Each message ends with a line feed, since some programs send lines.

use std::process::Command;

use anyhow::{Context, ensure};

use super::super::server::{Server, expect};
use super::exchange::Exchange;

/// Lengths below it stand in the first nibble; 13 says that one more byte has the rest.
const EXTENDED: usize = 13;
/// A CSM with a Max-Message-Size of 8192: certificates are long, and there are no blocks here.
const CSM: [u8; 5] = [0x30, 0xe1, 0x22, 0x20, 0x00];
const GET: u8 = 0x01;
const POST: u8 = 0x02;
const DELETE: u8 = 0x04;
/// Codes from here on are signals of the connection (7.xx).
const SIGNALS: u8 = 0xe0;

/// The code and the token of a 2.01 to [`register`].
pub(super) const CREATED: &[u8] = b"\x41tokn";

/// The code and the token of a 2.04 to a Bootstrap-Request.
const CHANGED: &[u8] = b"\x44tokn";

/// A CSM and a Register.
pub(super) fn register(endpoint: &str) -> Vec<u8> {
    let items = [&format!("ep={endpoint}"), "lt=120", "lwm2m=1.1", "b=T"];
    let options = [&b"\xb2rd\x11\x28"[..], &queries(3, &items)].concat();
    request(POST, &options, b"</1/0>,</3/0>\n")
}

/// A device that registers, in a session of this mode.
pub(crate) fn registered(
    server: &Server,
    command: Command,
    endpoint: &str,
    mode: &str,
) -> anyhow::Result<()> {
    Exchange::start(command, &register(endpoint))?.hear(CREATED)?;
    let client = server.cli(&["client", endpoint])?;
    let found = client["identity"]["mode"].as_str().unwrap_or_default();
    expect("the mode of the identity", found, mode)
}

/// A whole bootstrap of a device of 1.1, which takes whatever is deleted and written: the plan is
/// what follows a Bootstrap-Discover, and the server holds it for finished. Gives what was written.
pub(crate) fn bootstrap(
    server: &Server,
    command: Command,
    endpoint: &str,
) -> anyhow::Result<Vec<u8>> {
    let events = server.events()?;
    let options = [
        &b"\xb2bs"[..],
        &queries(4, &[&format!("ep={endpoint}"), "pct=112"]),
    ]
    .concat();
    let mut device = Exchange::start(command, &request(POST, &options, b"\n"))?;
    device.hear(CHANGED).context("the Bootstrap-Request")?;
    let mut asked = Vec::new();
    let mut written = Vec::new();
    let last = loop {
        let frame = Frame::next(&mut device).with_context(|| format!("after {asked:?}"))?;
        let answer = match frame.code {
            0 | SIGNALS.. => continue,
            POST => 0x44,
            GET => 0x45,
            DELETE => 0x42,
            _ => 0x44,
        };
        asked.push(frame.code);
        written.extend(frame.rest);
        let (options, payload): (&[u8], &[u8]) = match frame.code {
            GET => (b"\xc1\x28", b"</>;lwm2m=1.1,</0/0>,</1>,</3/0>\n"),
            _ => (b"", b"\n"),
        };
        device.send(&message(answer, &frame.token, options, payload))?;
        if frame.code == POST {
            break frame.code;
        }
    };
    ensure!(
        asked.first() == Some(&GET) && asked.contains(&DELETE) && asked.len() > 4,
        "only {asked:?} were asked, {last} last"
    );
    let finished = events.next("bootstrap_finished")?;
    let found = finished["endpoint"].as_str().unwrap_or_default();
    expect("the endpoint", found, endpoint)?;
    Ok(written)
}

/// A plan that gives a device an account at the listener of TLS, by the key that it has.
pub(super) fn plan(endpoint: &str, server: &Server) -> anyhow::Result<String> {
    let uri = server.uri("coaps+tcp")?;
    Ok(format!(
        "[[device]]\nendpoint = \"{endpoint}\"\n[[device.server]]\nshort_server_id = 101\n\
         uri = \"{uri}\"\ncredential = \"psk\"\n"
    ))
}

/// A message that came.
struct Frame {
    code: u8,
    token: Vec<u8>,
    /// Options and payload.
    rest: Vec<u8>,
}

impl Frame {
    fn next(device: &mut Exchange) -> anyhow::Result<Frame> {
        let first = byte(device)?;
        let length = match first >> 4 {
            13 => EXTENDED + usize::from(byte(device)?),
            14 => {
                let [high, low] = [byte(device)?, byte(device)?];
                269 + usize::from(u16::from_be_bytes([high, low]))
            }
            15 => anyhow::bail!("a message of more than 64 KiB"),
            short => usize::from(short),
        };
        let code = byte(device)?;
        Ok(Frame {
            code,
            token: device.take(usize::from(first & 0x0f))?,
            rest: device.take(length)?,
        })
    }
}

fn byte(device: &mut Exchange) -> anyhow::Result<u8> {
    let taken = device.take(1)?;
    taken.first().copied().context("no byte")
}

/// A CSM, and behind it a request.
fn request(code: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    [&CSM[..], &message(code, b"tokn", options, payload)].concat()
}

fn message(code: u8, token: &[u8], options: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = options.len() + 1 + payload.len();
    let token_length = token.len() as u8;
    let mut bytes = match length {
        0..EXTENDED => vec![(length as u8) << 4 | token_length],
        _ => vec![0xd0 | token_length, (length - EXTENDED) as u8],
    };
    bytes.push(code);
    bytes.extend(token);
    bytes.extend(options);
    bytes.push(0xff);
    bytes.extend(payload);
    bytes
}

/// Uri-Query options, the first of them `delta` behind the option before it.
fn queries(delta: u8, items: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let delta = if index == 0 { delta } else { 0 };
        match item.len() {
            0..EXTENDED => bytes.push(delta << 4 | item.len() as u8),
            length => bytes.extend([delta << 4 | 0x0d, (length - EXTENDED) as u8]),
        }
        bytes.extend(item.as_bytes());
    }
    bytes
}
