//! Where the targets start: the vectors of the crates, and a few texts.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

/// Vectors of payloads and of messages, from the root of the workspace.
const PAYLOADS: &str = "lwm2m-server/crates/core/tests/vectors.json";
const MESSAGES: &str = "lwm2m-server/crates/coap/tests/coap_vectors.json";

/// What a target starts from.
enum Seeds {
    /// The payloads of these formats.
    Payloads(&'static [&'static str]),
    /// The same, behind a byte for the path of the request.
    Requests(&'static [&'static str]),
    /// The messages of a transport, behind these bytes.
    Messages(&'static str, &'static [u8]),
    /// The messages of a transport, each as the last step of a run, behind these bytes and its length.
    Steps(&'static str, &'static [u8]),
    Texts(&'static [&'static str]),
    /// Files, from the root of the workspace.
    Files(&'static [&'static str]),
}

const TARGETS: &[(&str, Seeds)] = &[
    (
        "attributes",
        Seeds::Texts(&[
            "pmin=10&pmax=60&gt=50&lt=42.2&st=0.5",
            "epmin=1&epmax=2&edge=1&con=0&hqmax=3",
            "pmin&pmax&gt&lt&st&epmin&epmax&edge&con&hqmax",
        ]),
    ),
    ("cbor", Seeds::Requests(&["cbor"])),
    // The cut, then the CSM of the peer, and "receive".
    (
        "coap_connection",
        Seeds::Steps("tcp", &[0, 1, 2, 0x00, 0xe1, 1]),
    ),
    // The seed of the engine, the peer, "receive".
    ("coap_endpoint", Seeds::Steps("udp", &[0, 0, 0])),
    ("coap_message", Seeds::Messages("udp", &[])),
    ("coap_tcp", Seeds::Messages("tcp", &[0])),
    (
        "dtls_certificate",
        Seeds::Files(&[
            "tests/fuzz/certificates/leaf.der",
            "tests/fuzz/certificates/intermediate.der",
            "tests/fuzz/certificates/root.der",
            "tests/fuzz/certificates/leaf-key.der",
        ]),
    ),
    (
        "dtls_handshake",
        // How both prove who they are, the datagram, the message, and what is done to it.
        Seeds::Texts(&[
            "\0\x01\0\x01",
            "\x01\x04\0\x01",
            "\x02\x04\0\x01\x04",
            "\x02\x05\x01\0",
        ]),
    ),
    (
        "dtls_reassembly",
        Seeds::Texts(&[
            "\0\0\x20\x05",
            "\x01\0\x20\x05\x03\x01\x02\0",
            "\x02\0\x40\x05\x03",
        ]),
    ),
    (
        "dtls_record",
        Seeds::Texts(&["\0\0\x0d\x16", "\x01\0\x10\x17", "\x02\x01\x0f\x15"]),
    ),
    (
        "tls_session",
        // All arrives and both say something; in pieces; something is changed.
        Seeds::Texts(&[
            "\0\x01\x02\0\x02\x01\x02\0\x02\x01\x02\0\x03\x05hello\x01\x03\x02up\x01\x02\0\x02\0\x05",
            "\x01\x01\0\x7f\x01\0\x7f\x01\x02\0\x02\x01\x02\0\x02\x01\x02\0\x03\x03one\x01\x02",
            "\x02\x01\x02\0\x02\x01\x04\x09\x04data\x01\x02\0\x02",
        ]),
    ),
    (
        "dtls_session",
        // All arrives; then some is lost, doubled, late, and there is something to say.
        Seeds::Texts(&[
            "\0\0\0\0\0\0\0\0\0\0\0\0\x0c\0\0\x0e\0\0\0",
            "\x01\0\0\0\0\0\0\x07\0\x0a\x70\0\0\0\0\0\0\0\x0c\x01\0\x09\0\0\0",
            "\x02\0\x01\0\0\0\0\0\0\0\0\0\0\x0d\x05\0\0\x0b\0\0\0\0",
        ]),
    ),
    (
        "execute_arguments",
        Seeds::Texts(&["5", "2='10.3',7,0='https://www.oma.org'"]),
    ),
    ("json", Seeds::Requests(&["lwm2m-json"])),
    ("links", Seeds::Payloads(&["link"])),
    ("lwm2m_cbor", Seeds::Payloads(&["lwm2m-cbor"])),
    ("opaque", Seeds::Requests(&["opaque"])),
    ("oscore", Seeds::Messages("udp", &[])),
    (
        "senml_cbor",
        Seeds::Payloads(&["senml-cbor", "senml-etch-cbor"]),
    ),
    (
        "senml_etch_cbor",
        Seeds::Payloads(&["senml-cbor", "senml-etch-cbor"]),
    ),
    (
        "senml_etch_json",
        Seeds::Payloads(&["senml-json", "senml-etch-json"]),
    ),
    (
        "senml_json",
        Seeds::Payloads(&["senml-json", "senml-etch-json"]),
    ),
    ("text", Seeds::Requests(&["text"])),
    ("tlv", Seeds::Requests(&["tlv"])),
];

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    hex: String,
    #[serde(default)]
    format: String,
    #[serde(default)]
    transport: String,
    #[serde(default)]
    path: String,
}

/// Puts the seeds of a target into its corpus and says how many there are.
pub(super) fn plant(root: &Path, fuzz: &Path, target: &str) -> anyhow::Result<usize> {
    let Some((_, seeds)) = TARGETS.iter().find(|(name, _)| *name == target) else {
        bail!("no seeds are named for the fuzz target '{target}'");
    };
    let seeds = match seeds {
        Seeds::Texts(texts) => numbered(texts),
        Seeds::Files(files) => contents(root, files)?,
        Seeds::Payloads(formats) => read(&root.join(PAYLOADS), |vector| {
            formats.contains(&&*vector.format).then(Vec::new)
        })?,
        Seeds::Requests(formats) => read(&root.join(PAYLOADS), |vector| {
            let selector = selector(&vector.path);
            formats.contains(&&*vector.format).then(|| vec![selector])
        })?,
        Seeds::Steps(transport, before) => read(&root.join(MESSAGES), |vector| {
            let length = u8::try_from(vector.hex.len() / 2).ok()?;
            (vector.transport == *transport).then(|| [before, &[length][..]].concat())
        })?,
        Seeds::Messages(transport, before) => read(&root.join(MESSAGES), |vector| {
            (vector.transport == *transport).then(|| before.to_vec())
        })?,
    };
    if seeds.is_empty() {
        bail!("no vectors for the fuzz target '{target}'");
    }
    let corpus = fuzz.join("corpus").join(target);
    fs::create_dir_all(&corpus).context("cannot create the corpus")?;
    for (name, bytes) in &seeds {
        fs::write(corpus.join(format!("seed-{name}")), bytes).context("cannot write a seed")?;
    }
    Ok(seeds.len())
}

fn numbered(texts: &[&str]) -> Vec<(String, Vec<u8>)> {
    let texts = texts.iter().enumerate();
    texts
        .map(|(index, text)| (index.to_string(), text.as_bytes().to_vec()))
        .collect()
}

fn contents(root: &Path, files: &[&str]) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let files = files.iter().enumerate().map(|(index, file)| {
        let bytes = fs::read(root.join(file)).with_context(|| format!("cannot read {file}"))?;
        Ok((index.to_string(), bytes))
    });
    files.collect()
}

/// The vectors for which `before` gives what stands before the payload.
fn read(
    path: &Path,
    before: impl Fn(&Vector) -> Option<Vec<u8>>,
) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let vectors: Vectors = serde_json::from_slice(&text).context("no list of vectors")?;
    let mut seeds = Vec::new();
    for vector in vectors.vectors {
        if let Some(mut bytes) = before(&vector) {
            let payload = unhex(&vector.hex);
            bytes.extend(payload.with_context(|| format!("{}: no hex", vector.name))?);
            seeds.push((vector.name, bytes));
        }
    }
    Ok(seeds)
}

/// The byte from which a target takes the path of the request: the same level, and a resource of
/// the same id where that is possible.
fn selector(path: &str) -> u8 {
    let ids: Vec<u8> = path
        .split('/')
        .filter_map(|id| id.parse::<u16>().ok())
        .map(|id| (id % 18) as u8)
        .collect();
    match *ids {
        [] => 31,
        [_] => 30,
        [_, _] => 28,
        [_, _, resource] => resource,
        [_, _, resource, ..] => 18 + resource % 10,
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_in_pairs() {
        assert_eq!(unhex("00fF"), Some(vec![0, 255]));
        assert_eq!(unhex("0"), None);
        assert_eq!(unhex("0g"), None);
    }

    #[test]
    fn the_selector_keeps_the_level() {
        assert_eq!(selector("/"), 31);
        assert_eq!(selector("/3"), 30);
        assert_eq!(selector("/3/0"), 28);
        assert_eq!(selector("/3/0/9"), 9);
        assert_eq!(selector("/3/0/6/1"), 24);
    }
}
