//! How handshakes begin: with a ClientHello, of a client or of ours.

use std::sync::Arc;

use super::Endpoint;
use super::clock::{NEVER, millis};
use super::handshaking::Handshake;
use super::types::{ConnectError, Event, Path, SessionId};
use crate::cid::Cid;
use crate::config::ClientConfig;
use crate::failure::Overload;
use crate::handshake::{
    Client, Conversation, Environment, Fragment, HelloStart, HelloVerifyRequest, Message,
    MessageType, Role, Server, Step,
};
use crate::random::random_array;
use crate::record::{ContentType, Header, VERSION_1_0, write_plain};

impl<P: Path> Endpoint<P> {
    /// Begins a handshake with a server.
    pub(super) fn begin(
        &mut self,
        path: P,
        config: Arc<ClientConfig>,
    ) -> Result<SessionId, ConnectError> {
        self.give_up(path);
        let id = self.reserve(path).ok_or(ConnectError::Full)?;
        let own_cid = self.new_cid(id);
        let mut conversation = Conversation::new(0, 0, 0);
        let mut environment = Environment {
            unix_s: self.unix_s(),
            limits: &self.config.limits,
            random: &mut *self.random,
            cache: &mut self.cache,
        };
        match Client::start(config, own_cid, &mut conversation, &mut environment) {
            Ok(client) => {
                let role = Role::Client(Box::new(client));
                let handshake = self.new_handshake(path, role, conversation, [0; 4]);
                self.apply(id, handshake, Ok(Step::Send));
                Ok(id)
            }
            Err(failure) => {
                self.slots.remove(id, path);
                Err(failure.into())
            }
        }
    }

    pub(super) fn client_hello(&mut self, path: P, header: &Header, fragment: &Fragment<'_>) {
        let Some(server) = self.config.server.clone() else {
            self.statistics.discarded += 1;
            return;
        };
        if fragment.offset != 0 {
            // The rest of a ClientHello whose first fragment had a good cookie.
            return self.handshake_fragment(path, fragment);
        }
        let Some(hello) = HelloStart::parse(fragment.data) else {
            self.statistics.malformed += 1;
            return;
        };
        let period = self.cookie_period();
        if !self.cookies.verify(period, &path.octets(), &hello) {
            return self.verify_hello(path, header, fragment, &hello);
        }
        if self.is_repeated(path, &hello) {
            return self.handshake_fragment(path, fragment);
        }
        if !self.rate.allow(self.clock.now(), path.host()) {
            let max = self.config.limits.handshakes_per_address_per_second_max;
            return self.drop_hello(path, Overload::HandshakesOfAddress { max });
        }
        self.give_up(path);
        let Some(id) = self.reserve(path) else {
            let limits = &self.config.limits;
            let overload = match self.slots.handshakes() >= limits.handshakes_max {
                true => Overload::Handshakes {
                    max: limits.handshakes_max,
                },
                false => Overload::Sessions {
                    max: limits.sessions_max,
                },
            };
            return self.drop_hello(path, overload);
        };
        let own_cid = self.new_cid(id);
        let role = Role::Server(Box::new(Server::new(server, own_cid)));
        let number = fragment.sequence;
        // The numbers go on from those of the HelloVerifyRequest (RFC 6347 §4.2.1).
        let conversation = Conversation::new(number, number, header.number.sequence());
        let handshake = self.new_handshake(path, role, conversation, fingerprint(&hello));
        self.slots.put(id, handshake);
        self.handshake_fragment(path, fragment);
    }

    fn drop_hello(&mut self, path: P, overload: Overload) {
        self.statistics.overloaded += 1;
        self.outbox
            .events
            .push_back(Event::Dropped { path, overload });
    }

    /// Answers a ClientHello without a good cookie, and forgets it.
    fn verify_hello(
        &mut self,
        path: P,
        header: &Header,
        fragment: &Fragment<'_>,
        hello: &HelloStart<'_>,
    ) {
        let cookie = self
            .cookies
            .make(self.cookie_period(), &path.octets(), hello);
        let mut body = Vec::with_capacity(64);
        HelloVerifyRequest { cookie: &cookie }.write(&mut body);
        let message = Message::new(MessageType::HelloVerifyRequest, fragment.sequence, &body);
        let scratch = &mut self.outbox.scratch;
        let sequence = header.number.sequence();
        write_plain(
            scratch,
            ContentType::Handshake,
            sequence,
            message.as_bytes(),
        );
        scratch[1..3].copy_from_slice(&VERSION_1_0.to_be_bytes());
        self.outbox.push_scratch(path);
        self.statistics.cookies += 1;
    }

    /// True for the ClientHello of the handshake at the path, or of the session there.
    fn is_repeated(&self, path: P, hello: &HelloStart<'_>) -> bool {
        let place = self.slots.place(path);
        let fingerprint = fingerprint(hello);
        let handshake = place.handshake.and_then(|id| self.slots.handshake(id));
        if let Some(handshake) = handshake {
            return handshake.hello == fingerprint;
        }
        let session = place.session.and_then(|id| self.slots.session(id));
        session.is_some_and(|session| session.hello == fingerprint)
    }

    fn new_handshake(
        &self,
        path: P,
        role: Role,
        conversation: Conversation,
        hello: [u8; 4],
    ) -> Box<Handshake<P>> {
        let now = self.clock.now();
        let timeout = millis(self.config.timing.retransmission_initial);
        Box::new(Handshake {
            path,
            role,
            conversation,
            parked: false,
            early: Vec::new(),
            mtu: self.config.limits.mtu,
            timeout,
            retransmit_at: now + timeout,
            give_up_at: now + millis(self.config.timing.handshake_timeout),
            bad_finished_at: NEVER,
            repeats_left: Handshake::<P>::REPEATS_MAX,
            hello,
        })
    }

    fn reserve(&mut self, path: P) -> Option<SessionId> {
        let limits = &self.config.limits;
        if self.slots.handshakes() >= limits.handshakes_max {
            return None;
        }
        self.slots.reserve(path, limits.sessions_max)
    }

    fn new_cid(&mut self, id: SessionId) -> Cid {
        let random = random_array(&mut *self.random);
        Cid::new(self.config.shard, id.slot, id.generation, random)
    }
}

/// Tells one ClientHello from another: a part of its random.
fn fingerprint(hello: &HelloStart<'_>) -> [u8; 4] {
    let [.., a, b, c, d] = *hello.random;
    [a, b, c, d]
}
