//! The handshake below its messages: records, ChangeCipherSpec, pieces of messages.

use crate::config::Limits;
use crate::failure::Failure;
use crate::handshake::{Conversation, Message, MessageType, Role};
use crate::record::{ContentType, StreamProtection};

/// What is kept until the session is up.
pub(super) struct Handshake {
    pub(super) role: Role,
    pub(super) conversation: Conversation,
    /// Messages in reception.
    pub(super) messages: Vec<u8>,
    /// The application is asked.
    pub(super) parked: bool,
    /// The peer's ChangeCipherSpec has come.
    pub(super) protected: bool,
    /// One for each of the role's candidates, once there are some.
    pub(super) protections: Vec<StreamProtection>,
}

impl Handshake {
    pub(super) fn new(role: Role, conversation: Conversation) -> Handshake {
        Handshake {
            role,
            conversation,
            messages: Vec::new(),
            parked: false,
            protected: false,
            protections: Vec::new(),
        }
    }

    /// The content of a record.
    pub(super) fn open<'f>(
        &mut self,
        content_type: ContentType,
        fragment: &'f mut [u8],
    ) -> Result<&'f [u8], Failure> {
        if !self.protected {
            return Ok(fragment);
        }
        if let [protection] = &mut self.protections[..] {
            let range = protection.open(content_type, fragment);
            let range = range.ok_or_else(|| self.bad_finished())?;
            return Ok(&fragment[range]);
        }
        // While a key is exchanged for another, either may be meant.
        for index in 0..self.protections.len() {
            let mut copy = fragment.to_vec();
            if let Some(range) = self.protections[index].open(content_type, &mut copy) {
                fragment.copy_from_slice(&copy);
                self.protections.swap(0, index);
                self.protections.truncate(1);
                self.role.candidates().swap(0, index);
                self.role.candidates().truncate(1);
                return Ok(&fragment[range]);
            }
        }
        Err(self.bad_finished())
    }

    fn bad_finished(&self) -> Failure {
        self.role.bad_finished().unwrap_or(Failure::BadFinished)
    }

    /// What comes from now on is protected.
    pub(super) fn change_cipher_spec(&mut self, content: &[u8]) -> Result<(), Failure> {
        let is_due = self.role.awaits_finished() && !self.protected && self.messages.is_empty();
        if !is_due {
            return Err(Failure::UnexpectedMessage {
                found: "ChangeCipherSpec",
                expected: self.role.expected(),
            });
        }
        if content != [1] {
            return Err(Failure::Malformed("ChangeCipherSpec"));
        }
        self.protected = true;
        self.derive_protections();
        Ok(())
    }

    fn derive_protections(&mut self) {
        if self.protections.is_empty() {
            let candidates = self.role.candidates().iter();
            self.protections = candidates
                .map(|candidate| candidate.protection.to_stream())
                .collect();
        }
    }

    /// The next message, once it is whole.
    pub(super) fn next_message(&mut self, limits: &Limits) -> Result<Option<Message>, Failure> {
        let [code, a, b, c, ..] = self.messages[..] else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > limits.handshake_message_max {
            return Err(Failure::TooLarge {
                what: "a handshake message",
                found: length,
                max: limits.handshake_message_max,
            });
        }
        let message_type = MessageType::from_code(code);
        let message_type = message_type.ok_or(Failure::Malformed("handshake message"))?;
        let end = Message::STREAM_HEADER + length;
        let Some(body) = self.messages.get(Message::STREAM_HEADER..end) else {
            return Ok(None);
        };
        let message = Message::new(message_type, 0, body);
        self.messages.drain(..end);
        Ok(Some(message))
    }

    pub(super) fn write_flight(&mut self, out: &mut Vec<u8>) {
        if self.conversation.is_protected {
            self.derive_protections();
        }
        let fragment = self.conversation.fragment_max;
        let protection = self.protections.first_mut();
        self.conversation
            .flight
            .write_to_stream(out, protection, fragment);
    }
}
