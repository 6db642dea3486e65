//! Whether a Register or Update is taken: interceptors in their order, then the authorizer.
//!
//! ```text
//! on_register | on_update ─> admit ─> ask_interceptors ─> consult ─┬─> conclude ─> enrol | renew ─> answer
//!                                            │              ^      └─> park ─> question ─> loop ─┐
//!                                            └─> line ──────┤                                    │
//!                                                           └── decided <─ Command::Decided ─────┘
//! ```
//!
//! Interceptors are asked when all of a batch has been read: one after the other, what an extension
//! works with stays in the caches of the processor, as does what the server works with before and
//! after it. Another request of a device that has sent one of them in the same batch has them asked
//! before it: what comes from one address is begun in its order.
//!
//! A request that waits for an interceptor is parked with all that it needs: the CoAP engine has
//! acknowledged it by the time that matters, and its answer goes out as a separate response.
//! Registers and Updates of the same device line up behind it. Nothing of a request is taken before the last
//! interceptor has decided; whatever may have changed until then is looked at again.

use std::sync::Arc;

use lwm2m_coap::{Code, ResponseHandle};

use super::lines::Ticket;
use super::questions::{Later, Question};
use super::registering::Register;
use super::sessions::{NO_REGISTRATION, Origin, identity_of};
use super::updating::Changes;
use super::{Now, Shard, hook};
use crate::hooks::{self, Annotations, Answer, Decision, Hook, Interceptor, Update};
use crate::registration::{EndpointName, Location};
use crate::transport::Peer;
use crate::{PeerIdentity, Reason, Refusal, Registration};

/// A Register or Update, with all that it takes to answer it later.
#[derive(Debug)]
pub(crate) struct Petition {
    handle: ResponseHandle<Peer>,
    relayed_from: Option<u16>,
    wish: Wish,
    /// The interceptor to ask next.
    next: usize,
    /// The registration as it would be, with what interceptors have noted; made for the first of
    /// them.
    candidate: Option<Arc<Registration>>,
    /// What an Update changes, for interceptors.
    update: Arc<Update>,
    /// True when something may have changed since it was read.
    waited: bool,
}

#[derive(Debug)]
enum Wish {
    Register(Register),
    Update(Location, Changes),
}

/// Whose requests stay in order: those of one name and identity. Nobody holds up a name with an
/// identity that is not the owner's.
pub(super) type Line = (EndpointName, PeerIdentity);

impl Petition {
    pub(super) fn register(handle: ResponseHandle<Peer>, register: Register) -> Petition {
        Petition::new(handle, Wish::Register(register))
    }

    pub(super) fn update(
        handle: ResponseHandle<Peer>,
        location: Location,
        changes: Changes,
    ) -> Petition {
        Petition::new(handle, Wish::Update(location, changes))
    }

    fn new(handle: ResponseHandle<Peer>, wish: Wish) -> Petition {
        Petition {
            handle,
            relayed_from: None,
            wish,
            next: 0,
            candidate: None,
            update: Arc::default(),
            waited: false,
        }
    }

    fn hook(&self) -> Hook {
        match self.wish {
            Wish::Register(_) => Hook::OnRegister,
            Wish::Update(..) => Hook::OnUpdate,
        }
    }

    fn ask(&self, interceptor: &dyn Interceptor) -> Option<Answer<Decision>> {
        let candidate = self.candidate.as_ref()?;
        hook(|| match self.wish {
            Wish::Register(_) => interceptor.on_register(candidate),
            Wish::Update(..) => interceptor.on_update(candidate, &self.update),
        })
    }

    /// Takes note of a decision.
    fn weigh(&mut self, decision: Decision, annotations_max: usize) -> Result<(), Refusal> {
        let (facts, is_final) = match decision {
            Decision::Pass => return Ok(()),
            Decision::Annotate(facts) => (facts, false),
            Decision::Accept(facts) => (facts, true),
            Decision::Reject(refusal) => return Err(refusal),
        };
        if is_final {
            self.next = usize::MAX;
        }
        match &mut self.candidate {
            Some(candidate) => note(Arc::make_mut(candidate), facts, annotations_max),
            None => Ok(()),
        }
    }
}

impl Shard {
    /// Takes a request in, when interceptors have been asked that have the hook.
    pub(super) fn admit(&mut self, now: Now, mut petition: Petition) {
        let nobody_waits = self.parked.is_empty() && self.petitions.is_empty();
        if nobody_waits && !hooks::any_with(&self.shared.interceptors, petition.hook()) {
            return self.conclude(now, petition);
        }
        petition.relayed_from = self.relayed_from;
        petition.waited = true;
        self.petitions.push_back(petition);
    }

    /// Asks about what the turn has brought.
    pub(crate) fn ask_interceptors(&mut self, now: Now) {
        self.work_off_petitions(now);
        self.drain_events(now);
    }

    /// Asks before the turn is over when a peer comes with another request.
    pub(super) fn ask_before(&mut self, now: Now, peer: &Peer) {
        let of_peer = |petition: &Petition| petition.handle.peer() == *peer;
        if self.petitions.iter().any(of_peer) {
            self.work_off_petitions(now);
        }
    }

    /// Asks, unless something of the same device waits before it.
    fn work_off_petitions(&mut self, now: Now) {
        while let Some(petition) = self.petitions.pop_front() {
            match self.line_before(&petition) {
                Some(line) => self.line_up(now, &line, petition),
                None => self.consult(now, petition),
            }
        }
    }

    fn line_before(&self, petition: &Petition) -> Option<Line> {
        if self.parked.is_empty() {
            return None;
        }
        let line = self.line_of(petition);
        line.filter(|line| self.parked.has(line))
    }

    /// True when an Update has to go through [`Shard::admit`] even when it changes nothing.
    pub(super) fn is_asked_about_updates(&self) -> bool {
        let interceptors = &self.shared.interceptors;
        !interceptors.is_empty()
            && (!self.parked.is_empty()
                || !self.petitions.is_empty()
                || hooks::any_with(interceptors, Hook::OnUpdate))
    }

    /// Takes what an interceptor says; none when it panicked.
    pub(super) fn decided(&mut self, now: Now, ticket: Ticket, decision: Option<Decision>) {
        self.settle(now, ticket, decision.ok_or_else(panicked));
    }

    /// Refuses the requests whose interceptors have not answered in time.
    pub(super) fn pass_hook_deadlines(&mut self, now: Now) {
        let now_ms = self.ms(now.instant);
        while let Some(ticket) = self.parked.overdue(now_ms) {
            let reason = Reason::new(
                "extension-timeout",
                "an extension of the server is too slow",
            )
            .hint("look after the extension, or raise limits.hook_timeout");
            let refusal = Refusal {
                code: Code::SERVICE_UNAVAILABLE,
                reason,
            };
            self.settle(now, ticket, Err(refusal));
        }
    }

    fn settle(&mut self, now: Now, ticket: Ticket, decision: Result<Decision, Refusal>) {
        let Some((line, mut petition)) = self.parked.answered(ticket) else {
            return;
        };
        let annotations_max = self.shared.config.limits.annotations_max;
        match decision.and_then(|decision| petition.weigh(decision, annotations_max)) {
            Ok(()) => self.consult(now, petition),
            Err(refusal) => self.turn_down(now, &petition, refusal),
        }
        while let Some(next) = self.parked.next(&line) {
            self.consult(now, next);
        }
    }

    /// Asks the interceptors until one answers later or refuses.
    fn consult(&mut self, now: Now, mut petition: Petition) {
        let annotations_max = self.shared.config.limits.annotations_max;
        while let Some(place) = self.next_to_ask(&petition) {
            petition.next = place + 1;
            if petition.candidate.is_none() && !self.picture(now, &mut petition) {
                // The registration has ended: the end says so to the device.
                break;
            }
            let Some(interceptor) = self.shared.interceptors.get(place) else {
                break;
            };
            let decision = match petition.ask(&**interceptor) {
                Some(Answer::Later(answer)) => return self.park(now, petition, answer),
                Some(Answer::Now(decision)) => Ok(decision),
                None => Err(panicked()),
            };
            let weighed = decision.and_then(|decision| petition.weigh(decision, annotations_max));
            if let Err(refusal) = weighed {
                return self.turn_down(now, &petition, refusal);
            }
        }
        self.conclude(now, petition);
    }

    fn next_to_ask(&self, petition: &Petition) -> Option<usize> {
        let interceptors = &self.shared.interceptors;
        let next = hooks::next_with(interceptors, petition.next, petition.hook());
        next.map(|(place, _)| place)
    }

    /// Waits for an interceptor.
    fn park(&mut self, now: Now, petition: Petition, answer: Later<Decision>) {
        let Some(line) = self.line_of(&petition) else {
            return self.conclude(now, petition);
        };
        let deadline = now.instant + self.shared.config.limits.hook_timeout;
        match self.parked.ask(line, petition, self.ms(deadline)) {
            Ok((ticket, waiting)) => {
                let question = Question::decision(ticket, answer, waiting);
                self.questions.push_back(question);
            }
            Err(petition) => self.turn_down(now, &petition, no_room()),
        }
    }

    /// Waits behind another request of the same device.
    fn line_up(&mut self, now: Now, line: &Line, petition: Petition) {
        let handle = petition.handle;
        if self.parked.any(line, |other| other.handle == handle) {
            // The same message once more, and the engine has forgotten it.
            return;
        }
        if let Err(petition) = self.parked.join(line, petition) {
            self.turn_down(now, &petition, no_room());
        }
    }

    /// None when the registration has ended.
    fn line_of(&self, petition: &Petition) -> Option<Line> {
        let (endpoint, authenticated) = match &petition.wish {
            Wish::Register(register) => (&register.endpoint, &register.authenticated),
            Wish::Update(location, _) => {
                let entry = self.table.get(*location)?;
                (&entry.endpoint, &entry.authenticated)
            }
        };
        Some((endpoint.clone(), identity_of(authenticated).clone()))
    }

    /// Makes the registration as it would be; false when it has ended.
    fn picture(&self, now: Now, petition: &mut Petition) -> bool {
        let peer = petition.handle.peer();
        let candidate = match &petition.wish {
            Wish::Register(register) => Some(register.candidate(now, peer)),
            Wish::Update(location, changes) => {
                let entry = self.table.get(*location);
                entry.map(|entry| {
                    petition.update = Arc::new(changes.compare(entry, peer));
                    changes.candidate(now, entry, *location, peer)
                })
            }
        };
        petition.candidate = candidate.map(Arc::new);
        petition.candidate.is_some()
    }

    /// The interceptors are done: the rest of the way.
    fn conclude(&mut self, now: Now, petition: Petition) {
        let Petition {
            handle,
            relayed_from,
            mut wish,
            candidate,
            waited,
            ..
        } = petition;
        if let Some(candidate) = candidate {
            let candidate = Arc::unwrap_or_clone(candidate);
            match &mut wish {
                Wish::Register(register) => register.take_over(candidate),
                Wish::Update(_, changes) => changes.take_over(candidate),
            }
        }
        let current = match waited {
            true => std::mem::replace(&mut self.relayed_from, relayed_from),
            false => self.relayed_from,
        };
        match wish {
            Wish::Register(register) => {
                let endpoint = register.endpoint.clone();
                let still_itself = match waited {
                    true => self.is_still(&handle, register.authenticated.as_deref()),
                    false => Ok(()),
                };
                let enrolled = still_itself.and_then(|()| self.enrol(now, &handle, register));
                match enrolled {
                    Ok(created) => self.endpoint.respond(now.instant, handle, created),
                    Err(refusal) => {
                        self.refuse_to(now, "register", Some(&endpoint), handle, refusal);
                    }
                }
            }
            Wish::Update(location, changes) => {
                let origin = Origin::of_handle(&handle);
                let still_its = match (waited, self.table.get(location)) {
                    (false, _) => Ok(()),
                    (true, None) => Err(has_ended()),
                    (true, Some(entry)) => self
                        .check_owner(location, origin)
                        .and_then(|()| self.is_still(&handle, entry.authenticated.as_deref())),
                };
                let renewed = still_its.and_then(|()| self.renew(now, location, &handle, changes));
                if let Err(refusal) = renewed {
                    let endpoint = self.table.get(location).map(|entry| entry.endpoint.clone());
                    self.refuse_to(now, "update", endpoint.as_ref(), handle, refusal);
                }
            }
        }
        self.relayed_from = current;
    }

    /// Refuses a peer whose session has ended, or is somebody else's, since it asked.
    fn is_still(
        &self,
        handle: &ResponseHandle<Peer>,
        before: Option<&crate::Authenticated>,
    ) -> Result<(), Refusal> {
        let identity = self.identity(Origin::of_handle(handle));
        let peer = handle.peer();
        let gone = peer.connection().is_some() && !self.endpoint.is_connected(peer);
        let same = match before {
            _ if gone => false,
            Some(before) => before.identity == identity,
            None => identity.is_anonymous(),
        };
        match same {
            true => Ok(()),
            false => Err(Refusal {
                code: Code::UNAUTHORIZED,
                reason: Reason::new("session-ended", "the session has ended meanwhile")
                    .hint("the device connects and registers again"),
            }),
        }
    }

    fn turn_down(&mut self, now: Now, petition: &Petition, refusal: Refusal) {
        let handle = petition.handle;
        match &petition.wish {
            Wish::Register(register) => {
                self.refuse_to(now, "register", Some(&register.endpoint), handle, refusal);
            }
            Wish::Update(location, _) => {
                let endpoint = self
                    .table
                    .get(*location)
                    .map(|entry| entry.endpoint.clone());
                self.refuse_to(now, "update", endpoint.as_ref(), handle, refusal);
            }
        }
    }
}

/// Notes what an interceptor says about a registration.
fn note(candidate: &mut Registration, facts: Annotations, max: usize) -> Result<(), Refusal> {
    let Annotations {
        set,
        remove,
        lifetime_s,
    } = facts;
    let annotations = &mut candidate.annotations;
    let before = annotations.len();
    annotations.retain(|(key, _)| !remove.contains(key));
    annotate(annotations, set);
    candidate.lifetime_s = lifetime_s.unwrap_or(candidate.lifetime_s);
    if annotations.len() > max && annotations.len() > before {
        return Err(Refusal {
            code: Code::INTERNAL_SERVER_ERROR,
            reason: Reason::new(
                "annotations-too-many",
                format!("extensions annotate more than {max} facts"),
            )
            .hint("raise limits.annotations_max, or have the device send fewer parameters"),
        });
    }
    Ok(())
}

/// Adds facts; a key that is there already gets the new value.
pub(super) fn annotate(annotations: &mut Vec<(String, String)>, facts: Vec<(String, String)>) {
    // There are few, and they stay with the device.
    annotations.reserve_exact(facts.len());
    for (key, value) in facts {
        match annotations.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            None => annotations.push((key, value)),
        }
    }
}

/// An extension that panics refuses the device it was asked about, and harms no other.
pub(super) fn panicked() -> Refusal {
    Refusal {
        code: Code::INTERNAL_SERVER_ERROR,
        reason: Reason::new("extension-panicked", "an extension of the server panicked")
            .hint("its message and place are on the standard error output of the server"),
    }
}

fn no_room() -> Refusal {
    Refusal {
        code: Code::SERVICE_UNAVAILABLE,
        reason: Reason::new(
            "extensions-overloaded",
            "too many requests wait for extensions",
        )
        .hint(
            "look after the extensions, or raise limits.parked_requests_max or \
             limits.parked_per_device_max",
        ),
    }
}

fn has_ended() -> Refusal {
    Refusal {
        code: Code::NOT_FOUND,
        reason: Reason::new("unknown-registration", NO_REGISTRATION)
            .hint("it ended while an extension was asked: the device registers again"),
    }
}
