//! A DTLS server over one UDP socket that answers every CoAP request with a success.
//!
//! ```console
//! $ cargo run -p lwm2m-dtls --example dtls_server -- 127.0.0.1:5684 psk=device:73656372
//! ```
//!
//! Arguments: the address, then `psk=IDENTITY:HEX` and `rpk=NAME:FILE` of clients, any number of
//! each; `key=FILE`, the private key of the server, which is its raw public key; `certificate=FILE`
//! for it; `trust=FILE`, what certificates of clients must lead to. It says what happens, one word
//! first: `listening`, `up`, `moved`, `down`, `refused`.

#![allow(clippy::print_stdout)] // a program speaks to its terminal

mod coap;

use std::collections::HashMap;
use std::error::Error;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lwm2m_dtls::{
    CertificateChain, Config, Endpoint, Event, Identity, Lookup, Peer, PrivateKey, Psk, PublicKey,
    ServerCertificate, ServerCertificates, ServerConfig, SystemRandom, TrustStore, Verdict,
};

/// The longest datagram.
const DATAGRAM_MAX: usize = 65_536;

/// How long to wait for a datagram when nothing else is due.
const IDLE: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("the address is missing")?;
    let mut credentials = Credentials::default();
    let mut server = ServerConfig::default();
    for argument in arguments {
        take(&argument, &mut credentials, &mut server)?;
    }
    let config = Config {
        server: Some(Arc::new(server)),
        ..Config::default()
    };
    let mut endpoint = Endpoint::new(config, SystemRandom);
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    endpoint.set_unix_time(Instant::now(), unix_s);
    let socket = UdpSocket::bind(address)?;
    println!("listening {}", socket.local_addr()?);
    Server {
        socket,
        endpoint,
        credentials,
    }
    .run()
}

/// Takes one argument.
fn take(
    argument: &str,
    credentials: &mut Credentials,
    server: &mut ServerConfig,
) -> Result<(), Box<dyn Error>> {
    let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
    match name {
        "psk" => {
            let (identity, key) = value.split_once(':').ok_or("psk=IDENTITY:HEX")?;
            let key = Psk::new(&bytes(key)?)?;
            credentials.keys.insert(identity.as_bytes().into(), key);
        }
        "rpk" => {
            let (name, file) = value.split_once(':').ok_or("rpk=NAME:FILE")?;
            let key = PublicKey::parse(&std::fs::read(file)?)?;
            credentials.public_keys.push((name.to_owned(), key));
        }
        "key" => server.raw_public_key = Some(PrivateKey::parse(&std::fs::read(value)?)?),
        "certificate" => {
            let chain = CertificateChain::parse(&std::fs::read(value)?)?;
            let key = server
                .raw_public_key
                .clone()
                .ok_or("key=FILE comes first")?;
            let certificate = ServerCertificate::new(chain, key)?;
            server.certificates = Some(Arc::new(ServerCertificates::new(certificate)));
        }
        "trust" => server.trust = Some(Arc::new(TrustStore::parse(&std::fs::read(value)?)?)),
        _ => return Err(format!("'{argument}' is no argument").into()),
    }
    Ok(())
}

/// Whom the server knows.
#[derive(Default)]
struct Credentials {
    keys: HashMap<Box<[u8]>, Psk>,
    public_keys: Vec<(String, PublicKey)>,
}

impl Credentials {
    fn verdict(&self, lookup: &Lookup) -> Verdict {
        match lookup {
            Lookup::Psk { identity, .. } => match self.keys.get(identity) {
                Some(key) => Verdict::Psk {
                    key: key.clone(),
                    alternate: None,
                },
                None => Verdict::Unknown,
            },
            Lookup::RawPublicKey { public_key, .. } => match self.name(public_key) {
                Some(_) => Verdict::Accept,
                None => Verdict::Unknown,
            },
            // Whatever leads to the trust store, and whoever has been here before.
            Lookup::X509 { .. } | Lookup::Resume { .. } => Verdict::Accept,
            _ => Verdict::Unknown,
        }
    }

    fn name(&self, public_key: &PublicKey) -> Option<&str> {
        let mut known = self.public_keys.iter();
        let (name, _) = known.find(|(_, key)| key == public_key)?;
        Some(name)
    }
}

struct Server {
    socket: UdpSocket,
    endpoint: Endpoint<SocketAddr>,
    credentials: Credentials,
}

impl Server {
    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let mut buffer = vec![0; DATAGRAM_MAX];
        loop {
            let now = Instant::now();
            let wait = self
                .endpoint
                .next_timeout()
                .map_or(IDLE, |due| due.saturating_duration_since(now).min(IDLE));
            self.socket
                .set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => {
                    let datagram = &mut buffer[..length];
                    self.endpoint.handle(Instant::now(), from, datagram);
                    self.events(datagram);
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    self.endpoint.on_timeout(Instant::now());
                    self.events(&[]);
                }
                Err(error) => return Err(error.into()),
            }
            while let Some(transmit) = self.endpoint.poll_transmit() {
                // A peer that cannot be reached is no reason to stop.
                let _ = self.socket.send_to(&transmit.datagram, transmit.path);
            }
        }
    }

    /// Takes note of what happened, and answers.
    fn events(&mut self, datagram: &[u8]) {
        while let Some(event) = self.endpoint.poll_event() {
            let now = Instant::now();
            match event {
                Event::Lookup {
                    session, lookup, ..
                } => {
                    let verdict = self.credentials.verdict(&lookup);
                    self.endpoint.answer(now, session, verdict);
                }
                Event::Up { peer, .. } => println!("up {}", self.described(&peer)),
                Event::Data { session, range } => {
                    // An authentic answer to the new address confirms it.
                    self.endpoint.confirm_path(session);
                    if let Some(answer) = coap::answer(&datagram[range])
                        && let Err(error) = self.endpoint.send(now, session, &answer)
                    {
                        println!("unsent {error}");
                    }
                }
                Event::PathChanged { from, to, .. } => println!("moved {from} {to}"),
                Event::Down { reason, .. } => println!("down {reason}"),
                Event::Failed { failure, .. } => println!("refused {} {failure}", failure.reason()),
                _ => {}
            }
        }
    }

    /// `full psk NAME cid SUITE`
    fn described(&self, peer: &Peer) -> String {
        let kind = if peer.resumed { "resumed" } else { "full" };
        let who = match &peer.identity {
            Identity::Psk(identity) => format!("psk {}", identity.escape_ascii()),
            Identity::RawPublicKey(key) => {
                format!("rpk {}", self.credentials.name(key).unwrap_or("-"))
            }
            Identity::X509(identity) => {
                format!("x509 {}", identity.common_name.as_deref().unwrap_or("-"))
            }
            _ => "anonymous -".to_owned(),
        };
        let cid = if peer.cid { "cid" } else { "plain" };
        format!("{kind} {who} {cid} {}", peer.suite)
    }
}

/// Hexadecimal digits as bytes.
fn bytes(digits: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    (0..digits.len())
        .step_by(2)
        .map(|at| {
            let pair = digits.get(at..at + 2).ok_or("an odd number of digits")?;
            Ok(u8::from_str_radix(pair, 16)?)
        })
        .collect()
}
