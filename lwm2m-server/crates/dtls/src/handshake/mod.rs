//! The handshake: what both sides keep, and the state of either.
//!
//! A role ([`Server`], [`Client`]) gets whole messages in order and answers with a [`Step`]. It
//! writes what it wants to say into the [`Conversation`], and knows neither addresses nor time.

mod agreement;
mod client;
mod ecdhe;
mod extension;
mod flight;
mod hello;
mod message;
mod reassembly;
mod server;
mod wire;

use std::sync::Arc;

use zeroize::Zeroizing;

pub(crate) use client::Client;
pub(crate) use flight::{Flight, Room};
pub(crate) use hello::HelloStart;
pub(crate) use message::{Fragment, HelloVerifyRequest, Message, MessageType};
pub(crate) use reassembly::Reassembly;
pub(crate) use server::Server;
pub(crate) use wire::Wire;

use crate::config::Limits;
use crate::failure::Failure;
use crate::peer::{Lookup, Peer, Verdict};
use crate::prf::{MasterSecret, Sender};
use crate::random::Random;
use crate::record::{PLAINTEXT_MAX, Protection};
use crate::resumption::{Resumption, SessionCache};

/// What comes of a message.
#[derive(Debug)]
pub(crate) enum Step {
    /// More messages of the same flight are due.
    More,
    /// The flight in the conversation is to be sent.
    Send,
    /// The application is to be asked; the handshake waits for its answer.
    Ask(Lookup),
    /// The session is up; with `send`, after the flight in the conversation.
    Up {
        /// We have the last word.
        send: bool,
    },
}

/// What a role may use.
pub(crate) struct Environment<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) random: &'a mut dyn Random,
    /// Seconds since 1970.
    pub(crate) unix_s: u64,
    pub(crate) cache: &'a mut SessionCache,
}

/// The state of one side.
pub(crate) enum Role {
    Server(Box<Server>),
    Client(Box<Client>),
}

/// What a finished handshake leaves.
pub(crate) struct Outcome {
    pub(crate) protection: Protection,
    pub(crate) peer: Arc<Peer>,
    /// For a client, what it may continue the session with.
    pub(crate) resumption: Option<Box<Resumption>>,
}

impl Role {
    /// Takes the next message. `message` came protected exactly when it is a Finished.
    pub(crate) fn message(
        &mut self,
        conversation: &mut Conversation,
        environment: &mut Environment<'_>,
        message: &Message,
    ) -> Result<Step, Failure> {
        match self {
            Role::Server(server) => server.message(conversation, environment, message),
            Role::Client(client) => client.message(conversation, environment, message),
        }
    }

    /// Goes on with an answer of the application.
    pub(crate) fn answer(
        &mut self,
        conversation: &mut Conversation,
        environment: &mut Environment<'_>,
        verdict: Verdict,
    ) -> Result<Step, Failure> {
        match self {
            Role::Server(server) => server.answer(conversation, environment, verdict),
            Role::Client(_) => Ok(Step::More),
        }
    }

    /// True when the keys are there and the peer's Finished message is due.
    pub(crate) fn awaits_finished(&self) -> bool {
        match self {
            Role::Server(server) => server.awaits_finished(),
            Role::Client(client) => client.awaits_finished(),
        }
    }

    /// The keys that the peer's protected records may be under; none yet at first.
    pub(crate) fn candidates(&mut self) -> &mut Vec<Candidate> {
        match self {
            Role::Server(server) => server.candidates(),
            Role::Client(client) => client.candidates(),
        }
    }

    /// What is due, for people.
    pub(crate) fn expected(&self) -> &'static str {
        match self {
            Role::Server(server) => server.expected(),
            Role::Client(client) => client.expected(),
        }
    }

    /// Why protected records of the peer cannot be opened; none when it must be that they were
    /// forged.
    pub(crate) fn bad_finished(&self) -> Option<Failure> {
        match self {
            Role::Server(server) => server.bad_finished(),
            Role::Client(_) => None,
        }
    }

    /// What is left after [`Step::Up`].
    pub(crate) fn finish(self) -> Option<Outcome> {
        match self {
            Role::Server(server) => server.finish(),
            Role::Client(client) => client.finish(),
        }
    }
}

/// Keys that may turn out to be the right ones. While a key is exchanged for another, a server has
/// two; the client's Finished message tells.
pub(crate) struct Candidate {
    /// The label of the pre-shared key that they come of.
    pub(crate) label: u64,
    pub(crate) master: MasterSecret,
    pub(crate) protection: Protection,
}

/// What was said so far, what is being said, and the numbers of it.
pub(crate) struct Conversation {
    pub(crate) wire: Wire,
    /// All messages that Finished is computed over.
    pub(crate) transcript: Zeroizing<Vec<u8>>,
    pub(crate) inbound: Reassembly,
    /// Our latest flight.
    pub(crate) flight: Flight,
    /// The message that was due when the flight was sent: the peer's flight before ended there.
    pub(crate) answered: u16,
    /// Next message of ours.
    next_message: u16,
    /// Next record of epoch 0.
    pub(crate) record_sequence: u64,
    /// The longest plaintext that the peer takes.
    pub(crate) fragment_max: usize,
    /// Our ChangeCipherSpec is out.
    pub(crate) is_protected: bool,
}

impl Conversation {
    /// The peer's first message has the number `due`, ours has `first`; our first record has
    /// `record_sequence`.
    pub(crate) fn new(due: u16, first: u16, record_sequence: u64) -> Conversation {
        Conversation {
            wire: Wire::Datagram,
            transcript: Zeroizing::new(Vec::with_capacity(1024)),
            inbound: Reassembly::new(due),
            flight: Flight::default(),
            answered: due,
            next_message: first,
            record_sequence,
            fragment_max: PLAINTEXT_MAX,
            is_protected: false,
        }
    }

    /// Over a stream, where messages have no numbers.
    pub(crate) fn on_stream() -> Conversation {
        Conversation {
            wire: Wire::Stream,
            ..Conversation::new(0, 0, 0)
        }
    }

    /// Adds a message of the peer to the transcript.
    fn hear(&mut self, message: &Message, limits: &Limits) -> Result<(), Failure> {
        let found = self.transcript.len() + self.wire.header_bytes() + message.body().len();
        if found > limits.transcript_bytes_max {
            return Err(Failure::TooLarge {
                what: "a handshake",
                found,
                max: limits.transcript_bytes_max,
            });
        }
        self.wire.transcribe(message, &mut self.transcript);
        Ok(())
    }

    /// Begins a new flight.
    fn begin_flight(&mut self) {
        self.flight.clear();
        self.answered = self.inbound.due();
    }

    /// Says a message in the clear.
    fn say(&mut self, message_type: MessageType, write: impl FnOnce(&mut Vec<u8>)) {
        let mut body = Vec::new();
        write(&mut body);
        let message = Message::new(message_type, self.next_message, &body);
        self.next_message += 1;
        self.wire.transcribe(&message, &mut self.transcript);
        self.flight.push(message);
    }

    /// Says Finished, under the new keys.
    fn say_finished(&mut self, master: &MasterSecret, sender: Sender) {
        let verify_data = master.verify_data(sender, &self.transcript);
        let message = Message::new(MessageType::Finished, self.next_message, &verify_data);
        self.next_message += 1;
        self.wire.transcribe(&message, &mut self.transcript);
        self.flight.push_finished(message);
        self.is_protected = true;
    }

    /// Checks the peer's Finished and adds it to the transcript.
    fn hear_finished(
        &mut self,
        message: &Message,
        master: &MasterSecret,
        sender: Sender,
        limits: &Limits,
    ) -> Result<(), Failure> {
        use subtle::ConstantTimeEq;

        let expected = master.verify_data(sender, &self.transcript);
        if bool::from(message.body().ct_eq(&expected)) {
            self.hear(message, limits)
        } else {
            Err(Failure::BadFinished)
        }
    }

    /// Forgets what was said before the cookie (RFC 6347 §4.2.1).
    fn forget(&mut self) {
        self.transcript.clear();
    }
}

/// The failure for a message that is not due.
fn unexpected(found: MessageType, expected: &'static str) -> Failure {
    Failure::UnexpectedMessage {
        found: found.name(),
        expected,
    }
}
