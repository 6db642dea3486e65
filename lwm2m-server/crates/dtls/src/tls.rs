//! TLS 1.2 (RFC 5246) over a stream, with the handshake of DTLS 1.2.
//!
//! For what libraries of TLS do not have: raw public keys (RFC 7250) and the pre-shared keys of
//! constrained devices, with the suites of LwM2M. One [`TlsSession`] is one connection; as all here
//! it has no socket and no clock. Whoever drives it
//!
//! ```text
//!   bytes that came ──> receive ──> poll_event ──> Lookup ──> answer
//!                                        │         Up, Closed
//!                                        └──> read: application data
//!   application data ──> write ──> take_output ──> bytes to send
//! ```
//!
//! passes on what [`TlsSession::take_output`] has after each call, also after one that failed: it is
//! the alert then. It also sees to time: a handshake that takes too long is dropped.
//!
//! Nothing is renegotiated, compressed, or continued. What is not authentic ends the session
//! (RFC 5246 §7.2.2).

mod handshake;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use self::handshake::Handshake;
use crate::alert::{Alert, Level};
use crate::cid::Cid;
use crate::config::{ClientConfig, Limits, ServerConfig};
use crate::failure::Failure;
use crate::handshake::{Client, Conversation, Environment, MessageType, Role, Server, Step};
use crate::peer::{Lookup, Peer, Verdict};
use crate::random::Random;
use crate::record::{ContentType, StreamHeader, StreamProtection, write_stream};
use crate::resumption::SessionCache;

/// A connection with TLS 1.2.
pub struct TlsSession {
    state: State,
    limits: Limits,
    random: Box<dyn Random>,
    /// Always empty.
    cache: SessionCache,
    /// What came and was not taken yet.
    input: Vec<u8>,
    output: Vec<u8>,
    plaintext: Plaintext,
    events: VecDeque<TlsEvent>,
}

/// What happens in a session.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsEvent {
    /// The client has shown something, and nothing goes on until [`TlsSession::answer`].
    Lookup(Lookup),
    /// The handshake has ended well. Comes once.
    Up(Arc<Peer>),
    /// The peer has said that nothing more comes.
    Closed,
}

enum State {
    Handshake(Box<Handshake>),
    Up {
        protection: StreamProtection,
        /// The longest plaintext that the peer takes, in bytes.
        fragment_max: usize,
    },
    /// Ended, or failed.
    Over,
}

/// Application data that was not read yet.
#[derive(Default)]
struct Plaintext {
    bytes: Vec<u8>,
    at: usize,
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Handshake(_) => "handshake",
            State::Up { .. } => "up",
            State::Over => "over",
        };
        f.debug_struct("TlsSession")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

impl TlsSession {
    /// The server's side. Of the configuration, Connection IDs and resumption are not used; of the
    /// limits, those of messages, transcripts and identities.
    pub fn server(
        config: Arc<ServerConfig>,
        limits: Limits,
        random: impl Random + 'static,
    ) -> TlsSession {
        let mut config = config;
        if config.cid || config.resumption.is_some() {
            let own = Arc::make_mut(&mut config);
            (own.cid, own.resumption) = (false, None);
        }
        let role = Server::new(config, Cid::from_bytes([0; Cid::BYTES]));
        TlsSession::new(
            Role::Server(Box::new(role)),
            Conversation::on_stream(),
            limits,
            random,
        )
    }

    /// The client's side; the ClientHello is in the output.
    ///
    /// # Errors
    /// The configuration has no suite that fits its credentials.
    pub fn client(
        config: Arc<ClientConfig>,
        limits: Limits,
        random: impl Random + 'static,
    ) -> Result<TlsSession, Failure> {
        let mut config = Arc::unwrap_or_clone(config);
        (config.cid, config.resume) = (crate::CidOffer::None, None);
        let mut random = random;
        let mut conversation = Conversation::on_stream();
        let mut environment = Environment {
            limits: &limits,
            random: &mut random,
            unix_s: 0,
            cache: &mut SessionCache::new(0),
        };
        let own_cid = Cid::from_bytes([0; Cid::BYTES]);
        let client = Client::start(
            Arc::new(config),
            own_cid,
            &mut conversation,
            &mut environment,
        )?;
        let role = Role::Client(Box::new(client));
        let mut session = TlsSession::new(role, conversation, limits, random);
        if let State::Handshake(handshake) = &mut session.state {
            handshake.write_flight(&mut session.output);
        }
        Ok(session)
    }

    fn new(
        role: Role,
        conversation: Conversation,
        limits: Limits,
        random: impl Random + 'static,
    ) -> TlsSession {
        TlsSession {
            state: State::Handshake(Box::new(Handshake::new(role, conversation))),
            limits,
            random: Box::new(random),
            cache: SessionCache::new(0),
            input: Vec::new(),
            output: Vec::new(),
            plaintext: Plaintext::default(),
            events: VecDeque::new(),
        }
    }

    /// Bytes that may wait for the application's answer.
    pub const WAITING_MAX: usize = 64 << 10;

    /// Takes bytes of the peer; `unix_s` is the time, in seconds since 1970, that certificates are
    /// judged by. While an answer is awaited, at most [`TlsSession::WAITING_MAX`] bytes are kept.
    ///
    /// # Errors
    /// Why the session is over. The alert is in the output.
    pub fn receive(&mut self, bytes: &[u8], unix_s: u64) -> Result<(), Failure> {
        if matches!(self.state, State::Over) {
            return Ok(());
        }
        self.input.extend_from_slice(bytes);
        let outcome = self.take_records(unix_s);
        self.ended(outcome)
    }

    /// Goes on with what the application says to [`TlsEvent::Lookup`].
    ///
    /// # Errors
    /// As for [`TlsSession::receive`].
    pub fn answer(&mut self, verdict: Verdict, unix_s: u64) -> Result<(), Failure> {
        let State::Handshake(handshake) = &mut self.state else {
            return Ok(());
        };
        if !std::mem::take(&mut handshake.parked) {
            return Ok(());
        }
        let mut environment = Environment {
            limits: &self.limits,
            random: &mut *self.random,
            unix_s,
            cache: &mut self.cache,
        };
        let conversation = &mut handshake.conversation;
        let step = handshake
            .role
            .answer(conversation, &mut environment, verdict);
        let outcome = step
            .and_then(|step| self.take_step(step))
            .and_then(|()| self.take_messages(unix_s))
            .and_then(|()| self.take_records(unix_s));
        self.ended(outcome)
    }

    /// What has happened since the last call.
    pub fn poll_event(&mut self) -> Option<TlsEvent> {
        self.events.pop_front()
    }

    /// Appends what is to be sent to `out`.
    pub fn take_output(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.output);
    }

    /// Bytes of application data that can be read.
    pub fn readable(&self) -> usize {
        self.plaintext.bytes.len() - self.plaintext.at
    }

    /// Reads application data; 0 when there is none.
    pub fn read(&mut self, out: &mut [u8]) -> usize {
        let rest = &self.plaintext.bytes[self.plaintext.at..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.plaintext.at += count;
        if self.plaintext.at == self.plaintext.bytes.len() {
            // A connection lives long, and mostly idle.
            self.plaintext = Plaintext::default();
        }
        count
    }

    /// Writes application data into the output. False, and nothing written, when the session is
    /// not up.
    #[must_use]
    pub fn write(&mut self, data: &[u8]) -> bool {
        let State::Up {
            protection,
            fragment_max,
        } = &mut self.state
        else {
            return false;
        };
        data.chunks(*fragment_max)
            .all(|piece| protection.seal(&mut self.output, ContentType::ApplicationData, piece))
    }

    /// Says that nothing more comes, and ends the session.
    pub fn close(&mut self) {
        self.say_alert(Alert::CLOSE_NOTIFY, Level::Warning);
        self.state = State::Over;
    }

    /// Gives up on a session that failed.
    fn ended(&mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        if let Err(failure) = &outcome {
            if let Some(alert) = failure.alert() {
                self.say_alert(alert, Level::Fatal);
            }
            self.state = State::Over;
            self.input = Vec::new();
        }
        outcome
    }

    fn say_alert(&mut self, alert: Alert, level: Level) {
        let bytes = alert.encode(level);
        let protection = match &mut self.state {
            State::Handshake(handshake) if handshake.conversation.is_protected => {
                handshake.protections.first_mut()
            }
            State::Handshake(_) => None,
            State::Up { protection, .. } => Some(protection),
            State::Over => return,
        };
        match protection {
            // The numbers last for 2^48 records.
            Some(protection) => _ = protection.seal(&mut self.output, ContentType::Alert, &bytes),
            None => write_stream(&mut self.output, ContentType::Alert, &bytes),
        }
    }

    /// Takes the records that are whole.
    fn take_records(&mut self, unix_s: u64) -> Result<(), Failure> {
        let mut input = std::mem::take(&mut self.input);
        let mut at = 0;
        while !self.is_parked()
            && let Some(header) = input[at..].first_chunk()
        {
            let header = StreamHeader::parse(header).ok_or(Failure::Malformed("record"))?;
            let (start, end) = (
                at + StreamHeader::BYTES,
                at + StreamHeader::BYTES + header.length,
            );
            let Some(fragment) = input.get_mut(start..end) else {
                break;
            };
            self.take_record(header.content_type, fragment, unix_s)?;
            at = end;
        }
        input.drain(..at);
        if input.len() > TlsSession::WAITING_MAX {
            return Err(Failure::TooLarge {
                what: "what waits for an answer",
                found: input.len(),
                max: TlsSession::WAITING_MAX,
            });
        }
        if input.is_empty() {
            input = Vec::new();
        }
        self.input = input;
        Ok(())
    }

    fn is_parked(&self) -> bool {
        match &self.state {
            State::Handshake(handshake) => handshake.parked,
            State::Up { .. } => false,
            State::Over => true,
        }
    }

    fn take_record(
        &mut self,
        content_type: ContentType,
        fragment: &mut [u8],
        unix_s: u64,
    ) -> Result<(), Failure> {
        let content = match &mut self.state {
            State::Handshake(handshake) => handshake.open(content_type, fragment)?,
            State::Up { protection, .. } => {
                let range = protection.open(content_type, fragment);
                &fragment[range.ok_or(Failure::BadRecord)?]
            }
            State::Over => return Ok(()),
        };
        match (content_type, &mut self.state) {
            (ContentType::Alert, _) => self.take_alert(content),
            (ContentType::Handshake, State::Handshake(handshake)) if !content.is_empty() => {
                handshake.messages.extend_from_slice(content);
                self.take_messages(unix_s)
            }
            (ContentType::ChangeCipherSpec, State::Handshake(handshake)) => {
                handshake.change_cipher_spec(content)
            }
            (ContentType::ApplicationData, State::Up { .. }) => {
                self.plaintext.bytes.extend_from_slice(content);
                Ok(())
            }
            (found, _) => Err(Failure::UnexpectedMessage {
                found: match found {
                    ContentType::Handshake => "a handshake message",
                    ContentType::ApplicationData => "application data",
                    _ => "ChangeCipherSpec",
                },
                expected: self.expected(),
            }),
        }
    }

    fn expected(&self) -> &'static str {
        match &self.state {
            State::Handshake(handshake) => handshake.role.expected(),
            _ => "application data",
        }
    }

    fn take_alert(&mut self, content: &[u8]) -> Result<(), Failure> {
        match Alert::parse(content).ok_or(Failure::Malformed("alert"))? {
            (_, Alert::CLOSE_NOTIFY) if matches!(self.state, State::Up { .. }) => {
                self.close();
                self.events.push_back(TlsEvent::Closed);
                Ok(())
            }
            (Level::Warning, alert) if alert != Alert::CLOSE_NOTIFY => Ok(()),
            (_, alert) => Err(Failure::PeerAlert(alert)),
        }
    }

    /// Takes the handshake messages that are whole.
    fn take_messages(&mut self, unix_s: u64) -> Result<(), Failure> {
        while let State::Handshake(handshake) = &mut self.state
            && !handshake.parked
            && let Some(message) = handshake.next_message(&self.limits)?
        {
            let is_finished = message.message_type == MessageType::Finished;
            if is_finished != handshake.protected {
                return Err(Failure::UnexpectedMessage {
                    found: message.message_type.name(),
                    expected: match handshake.protected {
                        true => "Finished",
                        false => "ChangeCipherSpec",
                    },
                });
            }
            let mut environment = Environment {
                limits: &self.limits,
                random: &mut *self.random,
                unix_s,
                cache: &mut self.cache,
            };
            let conversation = &mut handshake.conversation;
            let step = handshake
                .role
                .message(conversation, &mut environment, &message)?;
            self.take_step(step)?;
        }
        Ok(())
    }

    fn take_step(&mut self, step: Step) -> Result<(), Failure> {
        let State::Handshake(handshake) = &mut self.state else {
            return Ok(());
        };
        match step {
            Step::More => {}
            Step::Send => handshake.write_flight(&mut self.output),
            Step::Ask(lookup) => {
                handshake.parked = true;
                self.events.push_back(TlsEvent::Lookup(lookup));
            }
            Step::Up { send } => {
                if send {
                    handshake.write_flight(&mut self.output);
                }
                self.rise()?;
            }
        }
        Ok(())
    }

    /// Turns the handshake into a session.
    fn rise(&mut self) -> Result<(), Failure> {
        let State::Handshake(mut handshake) = std::mem::replace(&mut self.state, State::Over)
        else {
            return Ok(());
        };
        if !handshake.messages.is_empty() {
            return Err(Failure::UnexpectedMessage {
                found: "a handshake message",
                expected: "application data",
            });
        }
        let failed = Failure::Crypto("key derivation");
        let protection = handshake.protections.pop().ok_or(failed.clone())?;
        let outcome = handshake.role.finish().ok_or(failed)?;
        self.state = State::Up {
            protection,
            fragment_max: handshake.conversation.fragment_max,
        };
        self.events.push_back(TlsEvent::Up(outcome.peer));
        Ok(())
    }
}
