//! Bytes of all kinds, where a bootstrap server listens and where it waits for answers.

use lwm2m_coap::{Code, OptionNumber};
use lwm2m_core::{ContentFormat, Path};
use lwm2m_server::bootstrap::BootstrapPlan;

use super::site::{How, Port, Site};
use crate::hostile::random::Random;
use crate::peer::Peer;

const QUERIES: &[&str] = &[
    "ep=a",
    "ep=",
    "ep",
    "pct=112",
    "pct=",
    "pct=-1",
    "pct=99999999999999999999",
    "pct=11542",
    "acc=</0/0>",
    "acc=</0/0",
    "acc=</>",
    "acc=,,,",
    "=",
    "x=y",
    "Q",
    "lwm2m=9.9",
];

const PATHS: &[&str] = &["bs", "bspack", "bs/", "bs/bs", "bspack/0", "", "rd", "dp"];

const CODES: &[Code] = &[
    Code::GET,
    Code::POST,
    Code::PUT,
    Code::DELETE,
    Code::FETCH,
    Code::IPATCH,
];

/// A device at the bootstrap port, with a plan of every kind of step.
async fn setup() -> (Site, Peer) {
    let mut site = Site::open().await;
    let pass = site.pass(How::NoSec, "a", "own").await;
    let account = site.server_account(&pass);
    let plan = BootstrapPlan::replacing_accounts()
        .account(&account)
        .read(Path::object(1))
        .read(Path::object(2))
        .discover(Path::object(0));
    site.plans.set("a", plan.clone());
    site.plans.set("b", plan);
    let mut peer = Peer::new(&site.server).await;
    peer.server = site.address(Port::CoapBootstrap);
    (site, peer)
}

/// Goes through a session, with answers that somebody gives.
async fn go(
    peer: &mut Peer,
    endpoint: &str,
    mut answer: impl FnMut(&mut Peer, &crate::peer::Incoming) -> Vec<u8>,
) {
    let request = format!("bs?ep={endpoint}&pct=110");
    assert_eq!(peer.post(&request).await, Code::CHANGED);
    loop {
        let step = peer.receive().await;
        let last = step.code == Code::POST;
        let answer = answer(peer, &step);
        peer.send(&answer).await;
        if last {
            return;
        }
    }
}

#[tokio::test]
async fn requests_of_nonsense() {
    let (mut site, mut peer) = setup().await;
    let mut random = Random::new(71);
    for _ in 0..600 {
        let mut query = Vec::new();
        for _ in 0..random.below(4) {
            query.push(*random.pick(QUERIES));
        }
        let path = format!("{}?{}", random.pick(PATHS), query.join("&"));
        let mut request = peer.request(*random.pick(CODES), &path);
        if random.below(4) == 0 {
            request = request.option(OptionNumber::URI_QUERY, random.bytes(64));
        }
        if random.below(4) == 0 {
            request = request.payload(random.bytes(64));
        }
        let mut datagram = request.encode();
        if random.below(3) == 0 {
            let at = random.below(datagram.len());
            datagram[at] = random.byte();
        }
        peer.send(&datagram).await;
    }
    // Another device is served all the same.
    let mut other = Peer::new(&site.server).await;
    other.server = site.address(Port::CoapBootstrap);
    go(&mut other, "b", |peer, step| {
        let code = match step.code {
            Code::DELETE => Code::DELETED,
            Code::GET => Code::NOT_FOUND,
            _ => Code::CHANGED,
        };
        peer.answer(step, code).encode()
    })
    .await;
    assert_eq!(
        site.story("b").await.last().map(String::as_str),
        Some("finished 4")
    );
}

#[tokio::test]
async fn answers_of_nonsense() {
    let (mut site, mut peer) = setup().await;
    let mut random = Random::new(72);
    let links: &[&[u8]] = &[
        b"</>;lwm2m=1.2,</0/0>,</0/1>;ssid=1,</21/0>,</1/0>;ssid=1",
        b"lwm2m=\"1.0\",</0/0>",
        b"</0/65535>,</0/65534>,</99999/0>",
        b"</0/0>;ssid=99999;ssid",
    ];
    for round in 0..60 {
        go(&mut peer, "a", |peer, step| {
            let code = match (step.code, random.below(6)) {
                (_, 0) => *random.pick(&[Code::BAD_REQUEST, Code::NOT_ACCEPTABLE, Code(0x9f)]),
                (Code::GET, _) => Code::CONTENT,
                (Code::DELETE, _) => Code::DELETED,
                _ => Code::CHANGED,
            };
            let payload = match random.below(3) {
                0 => random.bytes(200),
                1 => random.pick(links).to_vec(),
                _ => vec![8, 0, 9, 0xc1, 0, 101, 0xc1, 1, 60, 0xc1, 7, b'U'],
            };
            // A refused write of an account ends the session, and so would the test.
            let code = if step.code == Code::PUT {
                Code::CHANGED
            } else {
                code
            };
            let format = random.pick(&ContentFormat::ALL).number();
            peer.answer(step, code)
                .format(format)
                .payload(payload)
                .encode()
        })
        .await;
        let story = site.story("a").await;
        let last = story.last().expect("an end");
        let ends = ["finished", "failed"]
            .iter()
            .any(|end| last.starts_with(end));
        assert!(ends, "{round}: {story:?}");
    }
    assert_eq!(site.server.statistics().bootstrap_sessions, 0);
}
