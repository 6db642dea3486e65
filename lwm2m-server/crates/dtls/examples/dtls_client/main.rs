//! A DTLS client over one UDP socket, told what to do line by line.
//!
//! ```console
//! $ cargo run -p lwm2m-dtls --example dtls_client -- 127.0.0.1:5684 psk=device:73656372
//! ```
//!
//! Arguments: the server, then one of
//!
//! - `psk=IDENTITY:HEX`;
//! - `key=FILE` and `server-key=FILE`: raw public keys, ours and the one that the server must show;
//! - `authority=FILE` and `name=NAME`: the server's certificate must come from this authority and
//!   have this name; ours, with `key=FILE` and `certificate=FILE`, if it wants one;
//!
//! then, where wanted, `suite=CODE` (hexadecimal, of IANA), `cid=none|empty|both`, `patience=SECONDS`
//! for a handshake.
//!
//! Commands: `send HEX`; `move`, to another port of this machine; `resume`, to begin a new session
//! that continues the present one; `anew`, to begin one that does not; `stop`. It says what happens,
//! one word first: `up`, `received`, `moved`, `down`, `refused`.

#![allow(clippy::print_stdout)] // a program speaks to its terminal

mod arguments;

use std::error::Error;
use std::io::{BufRead, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lwm2m_dtls::{ClientConfig, Config, Endpoint, Event, Identity, Peer, SessionId, SystemRandom};

use arguments::{Arguments, bytes};

/// The longest datagram.
const DATAGRAM_MAX: usize = 65_536;

/// How long to wait for a datagram before looking for a command.
const BREATH: Duration = Duration::from_millis(20);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    let config = Config {
        server: None,
        timing: arguments.timing,
        ..Config::default()
    };
    let mut endpoint = Endpoint::new(config, SystemRandom);
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let now = Instant::now();
    endpoint.set_unix_time(now, unix_s);
    let session = endpoint.connect(now, arguments.server, Arc::new(arguments.client.clone()))?;
    let mut client = Client {
        server: arguments.server,
        config: arguments.client,
        socket: socket(arguments.server)?,
        endpoint,
        session,
    };
    let commands = commands();
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        match commands.try_recv() {
            Ok(line) if line == "stop" => break,
            Ok(line) => client.obey(&line)?,
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => break,
        }
        client.step(&mut buffer)?;
    }
    client.end();
    Ok(())
}

struct Client {
    server: SocketAddr,
    config: ClientConfig,
    socket: UdpSocket,
    endpoint: Endpoint<SocketAddr>,
    /// The present one, from its handshake on.
    session: SessionId,
}

impl Client {
    fn obey(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        let now = Instant::now();
        match line.split_once(' ').unwrap_or((line, "")) {
            ("send", hex) => self.endpoint.send(now, self.session, &bytes(hex)?)?,
            ("move", _) => {
                self.socket = socket(self.server)?;
                println!("moved {}", self.socket.local_addr()?);
            }
            ("resume", _) => {
                let resume = self.endpoint.resumption(self.session);
                self.connect(ClientConfig {
                    resume: Some(resume.ok_or("the server gave nothing to continue with")?),
                    ..self.config.clone()
                })?;
            }
            ("anew", _) => self.connect(self.config.clone())?,
            _ => println!("unknown {line}"),
        }
        Ok(())
    }

    /// From another port: some servers have one session for each address.
    fn connect(&mut self, config: ClientConfig) -> Result<(), Box<dyn Error>> {
        self.end();
        self.socket = socket(self.server)?;
        self.session = self
            .endpoint
            .connect(Instant::now(), self.server, Arc::new(config))?;
        Ok(())
    }

    /// Ends the present session, and says so to the server.
    fn end(&mut self) {
        self.endpoint.close(Instant::now(), self.session);
        self.transmit();
        self.events(&[]);
    }

    /// Takes a datagram, or what is due.
    fn step(&mut self, buffer: &mut [u8]) -> Result<(), Box<dyn Error>> {
        self.transmit();
        match self.socket.recv(buffer) {
            Ok(length) => {
                let datagram = &mut buffer[..length];
                self.endpoint.handle(Instant::now(), self.server, datagram);
                self.events(datagram);
            }
            // A port that is closed answers by an error, which is of no interest.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
        self.endpoint.on_timeout(Instant::now());
        self.events(&[]);
        Ok(())
    }

    fn events(&mut self, datagram: &[u8]) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Up { peer, .. } => println!("up {}", described(&peer)),
                Event::Data { range, .. } => println!("received {}", hex(&datagram[range])),
                Event::Down { reason, .. } => println!("down {reason}"),
                Event::Failed { failure, .. } => println!("refused {} {failure}", failure.reason()),
                _ => {}
            }
        }
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            // A server that cannot be reached may come yet.
            let _ = self.socket.send(&transmit.datagram);
        }
    }
}

/// `full psk NAME cid SUITE`, as the example of a server says it.
fn described(peer: &Peer) -> String {
    let kind = if peer.resumed { "resumed" } else { "full" };
    let who = match &peer.identity {
        Identity::Psk(identity) => format!("psk {}", identity.escape_ascii()),
        Identity::RawPublicKey(_) => "rpk -".to_owned(),
        Identity::X509(identity) => {
            format!("x509 {}", identity.common_name.as_deref().unwrap_or("-"))
        }
        _ => "anonymous -".to_owned(),
    };
    let cid = if peer.cid { "cid" } else { "plain" };
    format!("{kind} {who} {cid} {}", peer.suite)
}

/// A socket on a free port.
fn socket(server: SocketAddr) -> Result<UdpSocket, Box<dyn Error>> {
    let any = if server.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(BREATH))?;
    Ok(socket)
}

/// The lines of the standard input.
fn commands() -> Receiver<String> {
    let (sender, commands) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line.trim().to_owned()).is_err() {
                return;
            }
        }
    });
    commands
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
