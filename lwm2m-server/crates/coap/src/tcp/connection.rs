//! One end of a connection: capabilities, keep-alive, and the reasons to end it (RFC 8323 §5).
//!
//! ```text
//! bytes ──> receive ──> CSM, Ping, Pong, Release, Abort: dealt with here
//!                  └──> other messages, one by one
//! timer ──> handle_timeout ──> Ping, or the end
//!                  └──> poll_transmit ──> our CSM first, then signals of ours
//! ```

use std::time::{Duration, Instant};

use super::{Capabilities, CapabilitiesMessage, FrameDecoder, FrameError, Signal, parse_frame};
use crate::{Code, Token};

/// What a peer on a stream may take: sizes and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionLimits {
    /// The longest message that we take, in bytes; 8192. Our CSM announces it.
    pub message_max: usize,
    /// How long the peer may take for its CSM; 10 s.
    pub capabilities_timeout: Duration,
    /// How long the peer may take for a message that it has begun; 30 s.
    pub message_timeout: Duration,
    /// How long the peer may be silent before it is asked whether it is there; 30 min.
    pub idle_timeout: Duration,
    /// How long it may take to answer that; 30 s.
    pub pong_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            message_max: 8192,
            capabilities_timeout: Duration::from_secs(10),
            message_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30 * 60),
            pong_timeout: Duration::from_secs(30),
        }
    }
}

/// What came of bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// No whole message is left; more bytes are needed.
    More,
    /// A signal, or an empty message, was dealt with.
    Signal,
    /// The peer says what it can do: the connection stands, or it can do more now.
    Capabilities(Capabilities),
    /// A request or a response.
    Message(&'a [u8]),
}

/// Why a connection is to be closed, after what [`Connection::poll_transmit`] still gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionEnd {
    /// The first message was none of capabilities.
    #[error("the first message is not a CSM")]
    NotCapabilities,
    /// No CSM came in time.
    #[error("no CSM came in time")]
    NoCapabilities,
    /// What came is no message, or too long a one.
    #[error("{}", .0.reason())]
    Frame(FrameError),
    /// A signal with a critical option that we do not know.
    #[error("a signal has a critical option that is not understood")]
    Signal,
    /// A message was begun and not completed in time.
    #[error("a message was begun and not completed in time")]
    Slow,
    /// The peer does not say anything any more.
    #[error("the peer does not answer any more")]
    Silent,
    /// The peer asked for the end.
    #[error("the peer released the connection")]
    Released,
    /// The peer found fault with us; its words, which are hostile until escaped.
    #[error("the peer aborted the connection: {0:?}")]
    Aborted(String),
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    limits: ConnectionLimits,
    decoder: FrameDecoder,
    /// Of the peer; none before its CSM.
    capabilities: Option<Capabilities>,
    out: Vec<u8>,
    opened: Instant,
    heard: Instant,
    /// Since when a message is incomplete.
    begun: Option<Instant>,
    pinged: Option<Instant>,
}

/// Of the words of an Abort, in bytes.
const DIAGNOSTIC_MAX: usize = 128;

impl Connection {
    /// A connection that stands on the level below; its first message is ready to be sent.
    pub fn new(now: Instant, limits: ConnectionLimits) -> Connection {
        let mut out = Vec::new();
        let capabilities = Signal::Csm(CapabilitiesMessage {
            max_message_size: Some(u32::try_from(limits.message_max).unwrap_or(u32::MAX)),
            block_wise: true,
            extended_token_length: Some(Token::MAX as u32),
        });
        capabilities.write(&Token::EMPTY, &mut out);
        Connection {
            decoder: FrameDecoder::new(limits.message_max),
            limits,
            capabilities: None,
            out,
            opened: now,
            heard: now,
            begun: None,
            pinged: None,
        }
    }

    /// Takes the next message from `input`, which is shortened by what was used; to be called
    /// until it answers [`Incoming::More`].
    ///
    /// # Errors
    /// The connection is to be closed.
    pub fn receive<'a, 'i: 'a>(
        &'a mut self,
        now: Instant,
        input: &mut &'i [u8],
    ) -> Result<Incoming<'a>, ConnectionEnd> {
        if !input.is_empty() {
            self.heard = now;
            self.pinged = None;
        }
        // What does not make a message is kept.
        let partial = self.decoder.buffered() > 0 || !input.is_empty();
        let frame = match self.decoder.decode_frame(input) {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                self.begun = partial.then(|| self.begun.unwrap_or(now));
                return Ok(Incoming::More);
            }
            Err(error) => {
                error.abort().write(&Token::EMPTY, &mut self.out);
                return Err(ConnectionEnd::Frame(error));
            }
        };
        self.begun = None;
        let message =
            parse_frame(frame).map_err(|kind| ConnectionEnd::Frame(FrameError::Malformed(kind)))?;
        let code = message.code();
        if code == Code::EMPTY {
            return Ok(Incoming::Signal);
        }
        if self.capabilities.is_none() && code != Code::CSM {
            abort(&mut self.out, b"the first message is a CSM");
            return Err(ConnectionEnd::NotCapabilities);
        }
        if !code.is_signaling() {
            return Ok(Incoming::Message(frame));
        }
        let signal = match Signal::read(&message) {
            Ok(Some(signal)) => signal,
            Ok(None) => return Ok(Incoming::Signal),
            Err(error) => {
                error.abort().write(&Token::EMPTY, &mut self.out);
                return Err(ConnectionEnd::Signal);
            }
        };
        match signal {
            Signal::Csm(said) => {
                let capabilities = self.capabilities.get_or_insert_default();
                capabilities.update(&said);
                Ok(Incoming::Capabilities(*capabilities))
            }
            Signal::Ping { .. } => {
                let token = Token::new(message.token()).unwrap_or(Token::EMPTY);
                let pong = Signal::Pong { custody: false };
                pong.write(&token, &mut self.out);
                Ok(Incoming::Signal)
            }
            Signal::Pong { .. } => Ok(Incoming::Signal),
            Signal::Release { .. } => Err(ConnectionEnd::Released),
            Signal::Abort { diagnostic, .. } => {
                let words = &diagnostic[..diagnostic.len().min(DIAGNOSTIC_MAX)];
                let words = String::from_utf8_lossy(words).into_owned();
                Err(ConnectionEnd::Aborted(words))
            }
        }
    }

    /// Signals of ours to send; they go before messages that are taken up later.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        (!self.out.is_empty()).then(|| std::mem::take(&mut self.out))
    }

    /// True when signals of ours wait to be sent. What is received then may add to them, so whoever
    /// cannot send does not receive either.
    pub fn has_transmit(&self) -> bool {
        !self.out.is_empty()
    }

    /// When [`Connection::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Instant {
        let limits = &self.limits;
        let patience = match (self.capabilities, self.pinged) {
            (None, _) => self.opened + limits.capabilities_timeout,
            (Some(_), Some(pinged)) => pinged + limits.pong_timeout,
            (Some(_), None) => self.heard + limits.idle_timeout,
        };
        let begun = self.begun.map(|begun| begun + limits.message_timeout);
        begun.map_or(patience, |begun| begun.min(patience))
    }

    /// Asks a silent peer whether it is there.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ConnectionEnd> {
        if now < self.poll_timeout() {
            return Ok(());
        }
        if self.capabilities.is_none() {
            abort(&mut self.out, b"no CSM came in time");
            return Err(ConnectionEnd::NoCapabilities);
        }
        let slow = |begun: Instant| begun + self.limits.message_timeout <= now;
        if self.begun.is_some_and(slow) {
            abort(&mut self.out, b"the message was not completed in time");
            return Err(ConnectionEnd::Slow);
        }
        if self.pinged.is_some() {
            return Err(ConnectionEnd::Silent);
        }
        self.pinged = Some(now);
        Signal::Ping { custody: false }.write(&Token::EMPTY, &mut self.out);
        Ok(())
    }

    /// Asks the peer to end the connection in good order.
    pub fn release(&mut self) {
        let release = Signal::Release {
            alternative_address: None,
            hold_off_s: None,
        };
        release.write(&Token::EMPTY, &mut self.out);
    }
}

fn abort(out: &mut Vec<u8>, diagnostic: &'static [u8]) {
    let signal = Signal::Abort {
        bad_csm_option: None,
        diagnostic,
    };
    signal.write(&Token::EMPTY, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> (Connection, Instant) {
        let now = Instant::now();
        let mut connection = Connection::new(now, ConnectionLimits::default());
        let csm = connection.poll_transmit().expect("our CSM");
        assert_eq!(csm, [0x60, 0xe1, 0x22, 0x20, 0x00, 0x20, 0x21, 0x40]);
        (connection, now)
    }

    /// After the CSM of the peer.
    fn standing() -> (Connection, Instant) {
        let (mut connection, now) = connection();
        let outcome = take(&mut connection, now, &[0x00, 0xe1]);
        assert_eq!(outcome, Ok("capabilities"));
        (connection, now)
    }

    fn take(
        connection: &mut Connection,
        now: Instant,
        mut bytes: &[u8],
    ) -> Result<&'static str, ConnectionEnd> {
        Ok(match connection.receive(now, &mut bytes)? {
            Incoming::More => "more",
            Incoming::Signal => "signal",
            Incoming::Capabilities(_) => "capabilities",
            Incoming::Message(_) => "message",
        })
    }

    /// The code of the one message that is to be sent.
    fn said(connection: &mut Connection) -> Option<Code> {
        let bytes = connection.poll_transmit()?;
        let message = parse_frame(&bytes).expect("one message");
        Some(message.code())
    }

    #[test]
    fn capabilities_come_first() {
        let (mut connection, now) = connection();
        assert_eq!(take(&mut connection, now, &[0, 0]), Ok("signal"));
        let end = take(&mut connection, now, &[0x01, 0x01, 0xaa]);
        assert_eq!(end, Err(ConnectionEnd::NotCapabilities));
        assert_eq!(said(&mut connection), Some(Code::ABORT));

        let (mut connection, now) = standing();
        assert_eq!(
            take(&mut connection, now, &[0x01, 0x01, 0xaa]),
            Ok("message")
        );
        assert_eq!(take(&mut connection, now, &[0, 0xe1]), Ok("capabilities"));
        assert_eq!(said(&mut connection), None);
    }

    #[test]
    fn a_ping_is_answered_with_its_token() {
        let (mut connection, now) = standing();
        assert_eq!(
            take(&mut connection, now, &[0x02, 0xe2, 7, 8]),
            Ok("signal")
        );
        assert_eq!(connection.poll_transmit(), Some(vec![0x02, 0xe3, 7, 8]));
    }

    #[test]
    fn the_peer_may_end_it() {
        let (mut connection, now) = standing();
        let end = take(&mut connection, now, &[0, 0xe4]);
        assert_eq!(end, Err(ConnectionEnd::Released));
        let (mut connection, now) = standing();
        let end = take(&mut connection, now, &[0x30, 0xe5, 0xff, b'n', b'o']);
        assert_eq!(end, Err(ConnectionEnd::Aborted("no".to_owned())));
        assert_eq!(said(&mut connection), None);
    }

    #[test]
    fn a_critical_option_that_is_unknown_aborts() {
        let (mut connection, now) = connection();
        // Option 9 of a CSM, which is odd.
        let end = take(&mut connection, now, &[0x10, 0xe1, 0x90]);
        assert_eq!(end, Err(ConnectionEnd::Signal));
        let abort = connection.poll_transmit().expect("an abort");
        assert_eq!(abort[..4], [0xd0, abort[1], 0xe5, 0x21]);
        assert_eq!(abort[4], 9);
    }

    #[test]
    fn one_byte_more_than_the_limit_aborts() {
        let limits = ConnectionLimits {
            message_max: 100,
            ..ConnectionLimits::default()
        };
        for (body, fits) in [(96, true), (97, false)] {
            let now = Instant::now();
            let mut connection = Connection::new(now, limits);
            assert_eq!(take(&mut connection, now, &[0, 0xe1]), Ok("capabilities"));
            connection.poll_transmit();
            let mut frame = vec![0xd1, body - 13, 0x02, 0xaa, 0xff];
            frame.resize(4 + usize::from(body), 1);
            let outcome = take(&mut connection, now, &frame);
            match fits {
                true => assert_eq!(outcome, Ok("message")),
                false => {
                    assert!(
                        matches!(outcome, Err(ConnectionEnd::Frame(_))),
                        "{outcome:?}"
                    );
                    assert_eq!(said(&mut connection), Some(Code::ABORT));
                }
            }
        }
    }

    #[test]
    fn each_time_out_ends_it() {
        let limits = ConnectionLimits::default();
        let (mut connection, now) = connection();
        let due = now + limits.capabilities_timeout;
        assert_eq!(connection.poll_timeout(), due);
        assert_eq!(connection.handle_timeout(now), Ok(()));
        let end = connection.handle_timeout(due);
        assert_eq!(end, Err(ConnectionEnd::NoCapabilities));

        // A message that comes byte by byte, for ever.
        let (mut connection, mut now) = standing();
        let due = now + limits.message_timeout;
        assert_eq!(take(&mut connection, now, &[0xd1, 200, 0x02]), Ok("more"));
        while now < due {
            assert_eq!(connection.handle_timeout(now), Ok(()));
            now += Duration::from_secs(1);
            assert_eq!(take(&mut connection, now, &[1]), Ok("more"));
        }
        assert_eq!(connection.handle_timeout(due), Err(ConnectionEnd::Slow));

        // Silence: a ping, and again silence.
        let (mut connection, now) = standing();
        let due = now + limits.idle_timeout;
        assert_eq!(connection.poll_timeout(), due);
        assert_eq!(connection.handle_timeout(due), Ok(()));
        assert_eq!(said(&mut connection), Some(Code::PING));
        let due = due + limits.pong_timeout;
        assert_eq!(connection.poll_timeout(), due);
        let mut other = connection;
        assert_eq!(other.handle_timeout(due), Err(ConnectionEnd::Silent));
    }

    #[test]
    fn a_sign_of_life_is_enough() {
        let limits = ConnectionLimits::default();
        let (mut connection, now) = standing();
        let idle = now + limits.idle_timeout;
        assert_eq!(connection.handle_timeout(idle), Ok(()));
        assert_eq!(take(&mut connection, idle, &[0, 0xe3]), Ok("signal"));
        assert_eq!(connection.poll_timeout(), idle + limits.idle_timeout);
    }
}
