//! Sessions that are continued by an abbreviated handshake.

use std::sync::Arc;

use super::{Server, State};
use crate::config::ClientAuthentication;
use crate::failure::Failure;
use crate::handshake::agreement::Agreed;
use crate::handshake::hello::{ClientHello, ServerHello};
use crate::handshake::message::{MessageType, NewSessionTicket};
use crate::handshake::{Conversation, Environment, Step};
use crate::peer::{Identity, Verdict};
use crate::prf::{MasterSecret, Sender};
use crate::resumption::Resumable;

/// Bytes of a ticket. Longer ones, of long certificates, are not given out.
const TICKET_MAX: usize = 2048;

impl Server {
    /// The session that the client wants to continue, where it fits the rest of its hello.
    pub(super) fn find_resumable(
        &self,
        environment: &Environment<'_>,
        hello: &ClientHello<'_>,
    ) -> Result<Option<Resumable>, Failure> {
        let Some(resumption) = &self.config.resumption else {
            return Ok(None);
        };
        let (offers, now_s) = (&hello.extensions, environment.unix_s);
        let session = match offers.session_ticket.filter(|ticket| !ticket.is_empty()) {
            Some(ticket) => resumption.open(ticket, now_s),
            None => environment
                .cache
                .find(hello.start.session_id, now_s)
                .cloned(),
        };
        let session = session.filter(|session| {
            hello.has_suite(session.peer.suite.code())
                && self.config.suites.contains(&session.peer.suite)
                && self.may_be_continued(&session.peer.identity, now_s)
                && session.peer.server_name.as_deref() == offers.server_name
        });
        // RFC 7627 §5.3: what was bound stays bound, and what was not is not continued.
        match session.filter(|session| session.peer.extended_master_secret) {
            Some(_) if !offers.extended_master_secret => Err(Failure::NoExtendedMasterSecret),
            session => Ok(session),
        }
    }

    /// True when a peer of this kind could come in today. Whether this one may is for the
    /// application to say.
    fn may_be_continued(&self, identity: &Identity, now_s: u64) -> bool {
        match identity {
            Identity::Psk(_) => self.config.psk,
            Identity::RawPublicKey(_) => self.config.client_raw_public_keys,
            Identity::X509(identity) => {
                let until_s = u64::try_from(identity.not_after_unix_s).unwrap_or(0);
                self.config.trust.is_some() && now_s <= until_s
            }
            Identity::Anonymous => {
                self.config.client_authentication != ClientAuthentication::Required
            }
        }
    }

    pub(super) fn resume_verdict(
        &mut self,
        conversation: &mut Conversation,
        environment: &mut Environment<'_>,
        verdict: Verdict,
    ) -> Result<Step, Failure> {
        // The ClientHello is all that was said.
        let hello = conversation.transcript[conversation.wire.header_bytes()..].to_vec();
        let hello = ClientHello::parse(conversation.wire, &hello)
            .ok_or(Failure::Malformed("ClientHello"))?;
        match (verdict, self.resumable.take()) {
            (Verdict::Overloaded, _) => Err(Failure::Overloaded),
            (Verdict::Accept, Some(session)) => {
                self.abbreviated_handshake(conversation, environment, &hello, session)
            }
            _ => self.full_handshake(conversation, environment, &hello),
        }
    }

    fn abbreviated_handshake(
        &mut self,
        conversation: &mut Conversation,
        environment: &mut Environment<'_>,
        hello: &ClientHello<'_>,
        session: Resumable,
    ) -> Result<Step, Failure> {
        let (suite, random) = (Some(session.peer.suite), &mut *environment.random);
        let agreed = Agreed::on(
            conversation.wire,
            hello,
            &self.config,
            self.own_cid,
            random,
            suite,
        )?;
        conversation.fragment_max = agreed.fragment_max()?;
        let (code, random) = (agreed.suite.code(), &agreed.server_random);
        let id = hello.start.session_id;
        let server_hello = ServerHello::new(
            conversation.wire,
            random,
            id,
            code,
            agreed.extensions(environment.limits),
        );
        conversation.begin_flight();
        conversation.say(MessageType::ServerHello, |body| server_hello.write(body));
        self.candidates = vec![self.candidate(&agreed, session.master.clone())];
        conversation.say_finished(&session.master, Sender::Server);
        self.identity = session.peer.identity.clone();
        self.resumed = Some(session.peer);
        self.agreed = Some(agreed);
        self.state = State::Finished;
        Ok(Step::Send)
    }

    /// Keeps what the session can be continued with, or gives it to the client to keep.
    pub(super) fn remember(
        &self,
        conversation: &mut Conversation,
        environment: &mut Environment<'_>,
        master: &MasterSecret,
    ) {
        let (Some(resumption), Some(peer)) = (&self.config.resumption, self.peer()) else {
            return;
        };
        let lifetime_s = resumption.lifetime.as_secs();
        let session = Resumable {
            master: master.clone(),
            peer: Arc::new(peer),
            until_s: environment.unix_s.saturating_add(lifetime_s),
        };
        let agreed = self.agreed.as_ref();
        if agreed.is_some_and(|agreed| agreed.ticket) {
            // A ticket has been promised; an empty one says that there is none.
            let ticket = resumption.ticket_key.as_ref();
            let ticket = ticket.and_then(|key| key.seal(&session, environment.random));
            let ticket = ticket.filter(|ticket| ticket.len() <= TICKET_MAX);
            let message = NewSessionTicket {
                lifetime_hint: u32::try_from(lifetime_s).unwrap_or(u32::MAX),
                ticket: ticket.as_deref().unwrap_or_default(),
            };
            conversation.say(MessageType::NewSessionTicket, |body| message.write(body));
        } else if let Some(id) = self.session_id {
            environment.cache.insert(id, session);
        }
    }
}
