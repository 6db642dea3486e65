//! dimpl.

use std::collections::HashMap;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use dimpl::{Config, Dtls, DtlsCertificate, Output, PskResolver};
use lwm2m_interop_peers::Options;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The longest datagram.
const DATAGRAM_MAX: usize = 16_384;

/// How long to wait for a datagram.
const BREATH: Duration = Duration::from_millis(20);

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    let socket = match options.is_client {
        true => UdpSocket::bind("127.0.0.1:0")?,
        false => UdpSocket::bind(options.address())?,
    };
    socket.set_read_timeout(Some(BREATH))?;
    let mut peer = Peer {
        socket,
        sessions: HashMap::new(),
        up: false,
        options,
    };
    if peer.options.is_client {
        peer.client()
    } else {
        peer.run(None)
    }
}

struct Peer {
    options: Options,
    socket: UdpSocket,
    sessions: HashMap<SocketAddr, Dtls>,
    up: bool,
}

impl Peer {
    fn client(&mut self) -> Result<(), Box<dyn Error>> {
        let server = self.options.address();
        let mut session = self.session()?;
        session.set_active(true);
        session.handle_timeout(Instant::now())?;
        self.sessions.insert(server, session);
        self.run(Some(input()))
    }

    fn run(&mut self, input: Option<Receiver<Vec<u8>>>) -> Result<(), Box<dyn Error>> {
        let mut datagram = vec![0; DATAGRAM_MAX];
        loop {
            match self.socket.recv_from(&mut datagram) {
                Ok((length, from)) => self.take(from, &datagram[..length])?,
                Err(error) if is_nothing(error.kind()) => {}
                Err(error) => return Err(error.into()),
            }
            for session in self.sessions.values_mut() {
                // What has failed is forgotten with the next datagram.
                let _ = session.handle_timeout(Instant::now());
            }
            if let Some(input) = input.as_ref().filter(|_| self.up)
                && let Ok(line) = input.try_recv()
            {
                for session in self.sessions.values_mut() {
                    session.send_application_data(&line)?;
                }
            }
            self.outputs()?;
        }
    }

    fn take(&mut self, from: SocketAddr, datagram: &[u8]) -> Result<(), Box<dyn Error>> {
        if !self.sessions.contains_key(&from) {
            if self.options.is_client {
                return Ok(());
            }
            let mut session = self.session()?;
            session.handle_timeout(Instant::now())?;
            self.sessions.insert(from, session);
        }
        if let Some(session) = self.sessions.get_mut(&from)
            && let Err(error) = session.handle_packet(datagram)
        {
            eprintln!("refused {error}");
            self.outputs()?;
            self.sessions.remove(&from);
        }
        Ok(())
    }

    /// Sends what there is; a server sends back what it hears.
    fn outputs(&mut self) -> Result<(), Box<dyn Error>> {
        let mut buffer = vec![0; DATAGRAM_MAX];
        for (peer, session) in &mut self.sessions {
            let mut heard = Vec::new();
            loop {
                match session.poll_output(&mut buffer) {
                    Output::Packet(packet) => drop(self.socket.send_to(packet, peer)?),
                    Output::Connected => self.up = true,
                    Output::ApplicationData(data) => heard.push(data.to_vec()),
                    Output::Timeout(_) => match heard.pop() {
                        None => break,
                        Some(data) if self.options.is_client => {
                            std::io::stdout().write_all(&data)?;
                            std::io::stdout().flush()?;
                        }
                        Some(data) => drop(session.send_application_data(&data)?),
                    },
                    // Certificates are for an application to check, and this is none.
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn session(&self) -> Result<Dtls, Box<dyn Error>> {
        let options = &self.options;
        let now = Instant::now();
        let config = Config::builder();
        if let Some((identity, key)) = options.psk.clone() {
            let keys = Arc::new(OneKey(identity.clone(), key));
            let config = match options.is_client {
                true => config.with_psk_client(identity, keys),
                false => config.with_psk_server(None, keys),
            };
            return Ok(Dtls::new_12_psk(Arc::new(config.build()?), now));
        }
        let key = options.key.as_ref().ok_or("no key")?;
        let certificate = options.certificate.as_ref().ok_or("no certificate")?;
        let own = DtlsCertificate {
            certificate: CertificateDer::from_pem_slice(certificate.as_bytes())?.to_vec(),
            private_key: PrivateKeyDer::from_pem_slice(key.as_bytes())?
                .secret_der()
                .to_vec(),
        };
        Ok(Dtls::new_12(Arc::new(config.build()?), own, now))
    }
}

/// The key of one identity.
struct OneKey(Vec<u8>, Vec<u8>);

impl PskResolver for OneKey {
    fn resolve(&self, identity: &[u8]) -> Option<Vec<u8>> {
        (identity == self.0).then(|| self.1.clone())
    }
}

fn is_nothing(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused
    )
}

fn input() -> Receiver<Vec<u8>> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; DATAGRAM_MAX];
        while let Ok(length @ 1..) = std::io::stdin().read(&mut buffer) {
            if sender.send(buffer[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    lines
}
