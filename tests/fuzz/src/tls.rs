//! TLS 1.2 over a stream, both sides, in the hands of the fuzzer.
//!
//! Beyond not panicking: a session comes up once at most; what is read is what was written, as far
//! as nothing was changed on the way; a side that has failed says nothing more; what has been
//! changed is never read.

use std::sync::Arc;

use lwm2m_dtls::{Limits, Lookup, SystemRandom, TlsEvent, TlsSession, Verdict};

use crate::dtls::{Mode, UNIX_S, client_config, psk, server_config};
use crate::steps::Steps;

/// Turns until both sides are done.
const TURNS_MAX: usize = 64;

/// A side, and what has become of it.
struct Side {
    session: TlsSession,
    is_up: bool,
    failed: bool,
    /// What the other side has written, and was not read yet.
    due: Vec<u8>,
}

/// A client, a server, and the stream between them.
pub struct Stream {
    sides: [Side; 2],
    /// What is on its way to each.
    flying: [Vec<u8>; 2],
    /// Nothing was changed on the way, and nobody has closed.
    is_intact: bool,
}

impl Stream {
    pub fn new(mode: Mode) -> Stream {
        let limits = Limits::default();
        let client = TlsSession::client(Arc::new(client_config(mode)), limits, SystemRandom);
        let server = TlsSession::server(Arc::new(server_config()), limits, SystemRandom);
        let side = |session| Side {
            session,
            is_up: false,
            failed: false,
            due: Vec::new(),
        };
        Stream {
            sides: [side(client.expect("a suite")), side(server)],
            flying: [Vec::new(), Vec::new()],
            is_intact: true,
        }
    }

    /// One thing that the network or an application does.
    pub fn step(&mut self, steps: &mut Steps<'_>) {
        let to = steps.below(2);
        match steps.below(6) {
            0 | 1 => self.carry(to, 1 + steps.below(200)),
            2 => self.carry(to, usize::MAX),
            3 => self.write(to, steps.bytes()),
            4 => {
                let (at, bytes) = (usize::from(steps.byte()) << 3, steps.bytes());
                self.change(to, at, bytes);
            }
            _ => {
                self.sides[to].session.close();
                self.is_intact = false;
            }
        }
    }

    /// Carries what is left.
    pub fn finish(&mut self) {
        for _ in 0..TURNS_MAX {
            self.carry(0, usize::MAX);
            self.carry(1, usize::MAX);
        }
        self.collect();
        assert!(self.flying.iter().all(Vec::is_empty), "they never end");
        let both_up = self.sides.iter().all(|side| side.is_up && !side.failed);
        if both_up && self.is_intact {
            assert!(self.sides.iter().all(|side| side.due.is_empty()));
        }
    }

    fn write(&mut self, from: usize, data: &[u8]) {
        if self.sides[from].session.write(data) {
            self.sides[1 - from].due.extend_from_slice(data);
        }
    }

    fn change(&mut self, to: usize, at: usize, bytes: &[u8]) {
        self.collect();
        let flying = &mut self.flying[to];
        let at = at % (flying.len() + 1);
        let end = (at + bytes.len()).min(flying.len());
        if &flying[at..end] != bytes {
            flying.splice(at..end, bytes.iter().copied());
            self.is_intact = false;
        }
    }

    fn carry(&mut self, to: usize, count: usize) {
        self.collect();
        let count = count.min(self.flying[to].len());
        let bytes: Vec<u8> = self.flying[to].drain(..count).collect();
        let side = &mut self.sides[to];
        if side.session.receive(&bytes, UNIX_S).is_err() {
            assert!(!side.failed, "it fails twice");
            side.failed = true;
        }
        while let Some(event) = side.session.poll_event() {
            match event {
                TlsEvent::Lookup(lookup) => {
                    let verdict = match lookup {
                        Lookup::Psk { .. } => Verdict::Psk {
                            key: psk(),
                            alternate: None,
                        },
                        _ => Verdict::Accept,
                    };
                    side.failed |= side.session.answer(verdict, UNIX_S).is_err();
                }
                TlsEvent::Up(_) => {
                    assert!(!side.is_up, "it is up twice");
                    side.is_up = true;
                }
                _ => {}
            }
        }
        let mut data = vec![0; side.session.readable()];
        side.session.read(&mut data);
        assert!(side.due.starts_with(&data), "what was not written is read");
        side.due.drain(..data.len());
    }

    fn collect(&mut self) {
        for (side, flying) in self.sides.iter_mut().zip(self.flying.iter_mut().rev()) {
            side.session.take_output(flying);
        }
    }
}
