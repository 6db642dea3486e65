//! Devices that speak DTLS: what a fleet sends and gets, protected.

use std::sync::Arc;
use std::time::Instant;

use lwm2m_coap::Code;
use lwm2m_dtls::{
    CipherSuite, ClientConfig, Config, Endpoint, Event, Failure, Limits, Path, Psk, SessionId,
    SystemRandom,
};

use super::fleet::{Fleet, Phase, endpoint_name};
use super::load::{Expect, Taken, Traffic};

/// The key of every device.
pub(super) const KEY: &[u8] = b"sixteen bytes ok";

/// A fleet with a DTLS session for each device.
pub(super) struct SecureFleet {
    pub(super) fleet: Fleet,
    /// Of all devices; each is at a path of its own.
    dtls: Endpoint<Number>,
    sessions: Vec<Option<SessionId>>,
    key: Psk,
    plain: Vec<u8>,
    datagram: Vec<u8>,
}

/// The index of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Number(u32);

impl Path for Number {
    fn octets(&self) -> [u8; 24] {
        let mut octets = [0; 24];
        octets[..4].copy_from_slice(&self.0.to_be_bytes());
        octets
    }
}

impl SecureFleet {
    pub(super) fn new(fleet: Fleet) -> anyhow::Result<SecureFleet> {
        let devices = fleet.len() as usize;
        let config = Config {
            server: None,
            limits: Limits {
                sessions_max: 2 * devices + 1,
                resumable_sessions_max: 0,
                ..Limits::default()
            },
            ..Config::default()
        };
        Ok(SecureFleet {
            fleet,
            dtls: Endpoint::new(config, SystemRandom),
            sessions: vec![None; devices],
            key: Psk::new(KEY)?,
            plain: Vec::new(),
            datagram: Vec::new(),
        })
    }

    /// Begins a handshake, anew when one has begun already.
    fn connect(&mut self, index: usize) {
        let name = endpoint_name(self.fleet.number(index));
        let config = ClientConfig {
            suites: vec![CipherSuite::PskCcm8],
            ..ClientConfig::psk(name.as_bytes(), self.key.clone())
        };
        // Nothing is sent where none begins, and the device counts as lost.
        let _ = (self.dtls).connect(Instant::now(), Number(index as u32), Arc::new(config));
    }

    /// Protects what stands in `plain`.
    fn protect(&mut self, index: usize) {
        if let (Some(session), false) = (self.sessions[index], self.plain.is_empty()) {
            // A session that is over shows by the answer that does not come.
            let _ = self.dtls.send(Instant::now(), session, &self.plain);
        }
        self.plain.clear();
    }

    /// Writes what DTLS has to send; several records may share a datagram.
    fn transmit(&mut self, out: &mut Vec<u8>) {
        while let Some(transmit) = self.dtls.poll_transmit() {
            out.extend_from_slice(&transmit.datagram);
        }
    }
}

impl Traffic for SecureFleet {
    fn message(&mut self, index: usize, again: bool, out: &mut Vec<u8>) -> Expect {
        let expect = if self.fleet.phase == Phase::Handshake {
            self.connect(index);
            Expect::Answer
        } else {
            self.fleet.message(index, again, &mut self.plain)
        };
        self.protect(index);
        self.transmit(out);
        expect
    }

    fn sync(&mut self, index: usize, out: &mut Vec<u8>) {
        self.fleet.sync(index, &mut self.plain);
        self.protect(index);
        self.transmit(out);
    }

    fn take(&mut self, index: usize, datagram: &[u8], reply: &mut Vec<u8>) -> Taken {
        self.datagram.clear();
        self.datagram.extend_from_slice(datagram);
        let path = Number(index as u32);
        (self.dtls).handle(Instant::now(), path, &mut self.datagram);
        let mut taken = Taken::Ignored;
        while let Some(event) = self.dtls.poll_event() {
            match event {
                Event::Up { session, .. } => {
                    self.sessions[index] = Some(session);
                    taken = Taken::Answered;
                }
                Event::Data { range, .. } => {
                    let message = &self.datagram[range];
                    taken = self.fleet.take(index, message, &mut self.plain);
                    self.protect(index);
                }
                // One that was begun anew.
                Event::Failed {
                    failure: Failure::GivenUp,
                    ..
                } => {}
                Event::Failed { .. } => taken = Taken::Refused(Code::UNAUTHORIZED),
                _ => {}
            }
        }
        self.transmit(reply);
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use lwm2m_dtls::{Lookup, Verdict};

    use super::*;

    /// A server that takes every device, and echoes.
    fn serve(dtls: &mut Endpoint<SocketAddr>, device: SocketAddr, datagram: &[u8]) -> Vec<u8> {
        let now = Instant::now();
        let mut datagram = datagram.to_vec();
        dtls.handle(now, device, &mut datagram);
        while let Some(event) = dtls.poll_event() {
            match event {
                Event::Lookup {
                    session,
                    lookup: Lookup::Psk { identity, .. },
                    ..
                } => {
                    assert_eq!(&*identity, endpoint_name(41).as_bytes());
                    let key = Psk::new(KEY).unwrap();
                    let alternate = None;
                    dtls.answer(now, session, Verdict::Psk { key, alternate });
                }
                Event::Data { session, range } => {
                    dtls.send(now, session, &datagram[range]).unwrap();
                }
                _ => {}
            }
        }
        let mut out = Vec::new();
        while let Some(transmit) = dtls.poll_transmit() {
            out.extend_from_slice(&transmit.datagram);
        }
        out
    }

    #[test]
    fn a_device_shakes_hands_and_what_it_sends_is_protected() {
        let mut devices = SecureFleet::new(Fleet::new(40, 2)).unwrap();
        let mut dtls = Endpoint::new(Config::default(), SystemRandom);
        let device = "127.0.0.1:5683".parse().unwrap();
        devices.fleet.phase = Phase::Handshake;
        let mut up = Vec::new();
        assert_eq!(devices.message(1, false, &mut up), Expect::Answer);
        let mut taken = Taken::Ignored;
        while !up.is_empty() {
            let down = serve(&mut dtls, device, &up);
            up.clear();
            taken = devices.take(1, &down, &mut up);
        }
        assert_eq!(taken, Taken::Answered);

        devices.fleet.phase = Phase::Register;
        assert_eq!(devices.message(1, false, &mut up), Expect::Answer);
        let name = endpoint_name(41);
        let is_plain = up.windows(name.len()).any(|it| it == name.as_bytes());
        assert!(!is_plain);
        // An echo is no answer, and a request for what the device does not have.
        let down = serve(&mut dtls, device, &up);
        assert_eq!(devices.take(1, &down, &mut Vec::new()), Taken::Served);
    }
}
