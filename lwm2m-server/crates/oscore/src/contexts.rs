//! All security contexts of a server, or of a device: found by `kid` and `kid context`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use lwm2m_coap::{
    Challenge, Code, Message, ObjectSecurity, OptionNumber, ProtectionFault, ResponseFault,
    SecurityBinding, SecurityContextId, SecurityFault,
};

use crate::{
    DeriveError, Freshness, IdContext, KeyFingerprint, KeyId, OscoreOption, Parameters,
    ProtectError, ReceivedRequests, ReplayState, RequestBinding, SecurityContext, UnprotectError,
    UnprotectedRequest,
};

/// Contexts that are tried for a request that names no `kid context`.
const CANDIDATES_MAX: usize = 4;

/// Sequence numbers that are reserved at a time.
const RESERVE_STEP: u64 = 64;

/// The security contexts of one party, for use by several threads at a time.
///
/// Sequence numbers and replay windows are the same for all of them, so that no number is used
/// twice whoever uses it.
pub struct Contexts {
    table: RwLock<Table>,
    contexts_max: usize,
    sequences: Arc<dyn SequenceStore>,
    random: SystemRandom,
}

#[derive(Default)]
struct Table {
    contexts: HashMap<SecurityContextId, Arc<Mutex<SecurityContext>>>,
    by_kid: HashMap<KeyId, Vec<SecurityContextId>>,
    names: HashMap<ContextName, SecurityContextId>,
    last: u64,
}

/// What tells a context from all others of a party.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextName {
    /// Our Recipient ID, the `kid` of the peer's requests.
    pub recipient_id: KeyId,
    /// The ID Context.
    pub id_context: Option<IdContext>,
}

impl ContextName {
    /// The name of the context of these parameters.
    pub fn of(parameters: &Parameters) -> ContextName {
        ContextName {
            recipient_id: parameters.recipient_id,
            id_context: parameters.id_context.clone(),
        }
    }
}

/// Keeps the end of the sequence numbers that may have been used, and of those that may have been
/// received, beyond a restart.
///
/// A number that is used twice with the same keys gives the plaintext away and lets messages be
/// forged: what [`SequenceStore::reserve`] has taken must be there after a power cut. A request that
/// is received twice is a replay: so must what [`SequenceStore::received`] has taken.
pub trait SequenceStore: fmt::Debug + Send + Sync {
    /// Where the numbers of a context start: 0 for new keys, or what was reserved last.
    fn start(&self, context: &ContextName) -> u64;

    /// Makes durable below which number they may be used, and gives it: `limit` at best, less when
    /// it must not be that many, and what it gave last when it cannot. Where that is none more, it
    /// is asked again in a moment.
    fn reserve(&self, context: &ContextName, limit: u64) -> u64;

    /// What is known about the requests that were received under a context with these keys. By
    /// default nothing is kept: the first one has to be proven fresh.
    fn replay(&self, _context: &ContextName, _keys: &KeyFingerprint) -> ReplayState {
        ReplayState::Unknown
    }

    /// Makes durable that requests with numbers below `end` may have been received, and gives the
    /// end that is durable now: `end`, or more, so that it is not asked for each request. None when
    /// it cannot; the request is not taken then.
    fn received(&self, _context: &ContextName, _keys: &KeyFingerprint, _end: u64) -> Option<u64> {
        Some(u64::MAX)
    }

    /// Contexts that are new: nothing was ever sent or received with these keys. Those that are known
    /// already stay as they are.
    fn introduce(&self, _contexts: &[(ContextName, KeyFingerprint)]) {}

    /// Takes what a context remembers as it is put away; kept by [`SequenceStore::flush`], or when
    /// there is another reason to write.
    fn settle(&self, _: &ContextName, _: &KeyFingerprint, _: ReceivedRequests) {}

    /// Makes durable what was settled: nobody uses a context any more.
    fn flush(&self) {}
}

impl Contexts {
    /// The reason of a refusal that is a challenge: nothing is wrong with the request.
    pub const CHALLENGED: &str = "the request has to be repeated with an echo";

    /// The same where the peer goes on without an echo: perhaps it cannot answer.
    pub const UNANSWERED: &str = "the peer does not answer challenges with an echo";

    /// Challenges of a peer that sends several requests at once, before it is said not to answer.
    const CHALLENGES_AT_ONCE: u32 = 2;

    /// An empty table for `contexts_max` contexts.
    pub fn new(contexts_max: usize, sequences: Arc<dyn SequenceStore>) -> Contexts {
        Contexts {
            table: RwLock::default(),
            contexts_max,
            sequences,
            random: SystemRandom::new(),
        }
    }

    /// Derives a context and takes it in.
    ///
    /// # Errors
    /// Parameters of which no context comes, a name that is taken, or no room.
    pub fn add(
        &self,
        parameters: &Parameters,
        replay: ReplayState,
    ) -> Result<SecurityContextId, ContextsError> {
        let name = ContextName::of(parameters);
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if table.names.contains_key(&name) {
            return Err(ContextsError::Taken);
        }
        if table.contexts.len() >= self.contexts_max {
            return Err(ContextsError::Full {
                max: self.contexts_max,
            });
        }
        let start = self.sequences.start(&name);
        let context = SecurityContext::derive(parameters, replay, start)?;
        table.last += 1;
        let id = SecurityContextId(table.last);
        let same_kid = table.by_kid.entry(name.recipient_id).or_default();
        same_kid.push(id);
        table.names.insert(name, id);
        table.contexts.insert(id, Arc::new(Mutex::new(context)));
        Ok(id)
    }

    /// Derives a context and takes it in; what is known about its requests is what the store has
    /// kept.
    ///
    /// # Errors
    /// As [`Contexts::add`].
    pub fn restore(&self, parameters: &Parameters) -> Result<SecurityContextId, ContextsError> {
        let name = ContextName::of(parameters);
        let replay = self.sequences.replay(&name, &parameters.fingerprint()?);
        self.add(parameters, replay)
    }

    /// Tells the store what every context remembers, after the last message.
    pub fn settle(&self) {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        for context in table.contexts.values() {
            self.put_away(&context.lock().unwrap_or_else(PoisonError::into_inner));
        }
        drop(table);
        self.sequences.flush();
    }

    fn put_away(&self, context: &SecurityContext) {
        if let Some(received) = context.received() {
            let keys = context.fingerprint();
            self.sequences.settle(&name_of(context), &keys, received);
        }
    }

    /// Takes a context out; false when it is not there.
    pub fn remove(&self, id: SecurityContextId) -> bool {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let Some(context) = table.contexts.remove(&id) else {
            return false;
        };
        let mut context = context.lock().unwrap_or_else(PoisonError::into_inner);
        self.put_away(&context);
        // Who holds it still has to note what comes now.
        context.noted(0);
        let name = name_of(&context);
        table.names.remove(&name);
        if let Some(same_kid) = table.by_kid.get_mut(&name.recipient_id) {
            same_kid.retain(|other| *other != id);
            if same_kid.is_empty() {
                table.by_kid.remove(&name.recipient_id);
            }
        }
        true
    }

    /// The context of this name.
    pub fn find(&self, name: &ContextName) -> Option<SecurityContextId> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.names.get(name).copied()
    }

    /// The contexts that a request may mean: the one of its `kid context`, or those of its `kid`,
    /// four at most.
    pub fn named_by(&self, option: &OscoreOption<'_>) -> Vec<SecurityContextId> {
        let Some(recipient_id) = option.kid.and_then(KeyId::new) else {
            return Vec::new();
        };
        let Some(context) = option.kid_context else {
            let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
            let same_kid = table.by_kid.get(&recipient_id);
            return same_kid
                .map(|ids| ids.iter().take(CANDIDATES_MAX).copied().collect())
                .unwrap_or_default();
        };
        let id_context = IdContext::new(context);
        id_context
            .and_then(|context| {
                self.find(&ContextName {
                    recipient_id,
                    id_context: Some(context),
                })
            })
            .into_iter()
            .collect()
    }

    /// How many contexts there are.
    pub fn len(&self) -> usize {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.contexts.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of a context.
    pub fn name(&self, id: SecurityContextId) -> Option<ContextName> {
        self.with(id, |context| name_of(context))
    }

    fn with<T>(
        &self,
        id: SecurityContextId,
        f: impl FnOnce(&mut SecurityContext) -> T,
    ) -> Option<T> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let context = Arc::clone(table.contexts.get(&id)?);
        drop(table);
        let mut context = context.lock().unwrap_or_else(PoisonError::into_inner);
        Some(f(&mut context))
    }

    /// As [`Contexts::with`], after there is a sequence number to use.
    fn with_reserve<T>(
        &self,
        id: SecurityContextId,
        f: impl FnOnce(&mut SecurityContext) -> Result<T, ProtectError>,
    ) -> Result<T, ProtectError> {
        let protected = self.with(id, |context| {
            if context.sequence_left() == 0 {
                let limit = context.sequence_next().saturating_add(RESERVE_STEP);
                let granted = self.sequences.reserve(&name_of(context), limit);
                context.reserve(granted.min(limit));
            }
            f(context)
        });
        protected.unwrap_or(Err(ProtectError::ContextNotFound))
    }

    /// Unprotects a request under whichever context it means.
    fn open(
        &self,
        outer: &Message<'_>,
        body: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<(SecurityContextId, UnprotectedRequest), UnprotectError> {
        let value = outer.value(OptionNumber::OSCORE).unwrap_or_default();
        let option = OscoreOption::decode(value).map_err(|_| UnprotectError::Malformed)?;
        if option.kid.is_none() || option.partial_iv.is_none() {
            return Err(UnprotectError::Malformed);
        }
        let mut error = UnprotectError::ContextNotFound;
        for id in self.named_by(&option) {
            let before = plain.len();
            let opened = self.with(id, |context| {
                let request = context.unprotect_request(outer, body, plain)?;
                match self.note(context) {
                    true => Ok(request),
                    false => Err(UnprotectError::NotNoted),
                }
            });
            match opened {
                Some(Ok(request)) => return Ok((id, request)),
                Some(Err(UnprotectError::NotNoted)) => {
                    plain.truncate(before);
                    return Err(UnprotectError::NotNoted);
                }
                Some(Err(fault)) => error = fault,
                None => {}
            }
        }
        Err(error)
    }

    /// Makes durable, now and then, how far the peer's numbers have come; false when it cannot.
    fn note(&self, context: &mut SecurityContext) -> bool {
        let Some(end) = context.to_be_noted() else {
            return true;
        };
        let (name, keys) = (name_of(context), context.fingerprint());
        match self.sequences.received(&name, &keys, end) {
            Some(durable) if durable >= end => {
                context.noted(durable);
                true
            }
            _ => false,
        }
    }

    /// What a peer whose request may be a replay has to echo.
    fn challenge(&self, id: SecurityContextId, binding: SecurityBinding) -> SecurityFault {
        let mut random = [0; SecurityContext::CHALLENGE_LEN];
        let asked = self.random.fill(&mut random).ok().and_then(|()| {
            self.with(id, |context| {
                (context.challenge(random), context.challenges())
            })
        });
        let answers = asked.is_none_or(|(_, times)| times <= Contexts::CHALLENGES_AT_ONCE);
        SecurityFault {
            reason: match answers {
                true => Contexts::CHALLENGED,
                false => Contexts::UNANSWERED,
            },
            code: Code::UNAUTHORIZED,
            diagnostic: "",
            challenge: asked.map(|(echo, _)| Challenge { binding, echo }),
        }
    }
}

impl ObjectSecurity for Contexts {
    fn unprotect_request(
        &self,
        outer: &Message<'_>,
        body: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<(Code, SecurityBinding), SecurityFault> {
        let (id, request) = self
            .open(outer, body, plain)
            .map_err(|error| SecurityFault {
                reason: error.reason(),
                code: error.code(),
                diagnostic: error.diagnostic(),
                challenge: None,
            })?;
        let binding = bound(id, &request.binding);
        match request.freshness {
            Freshness::Fresh => Ok((request.code, binding)),
            Freshness::Unknown => Err(self.challenge(id, binding)),
        }
    }

    fn protect_response(
        &self,
        binding: &SecurityBinding,
        plain: &Message<'_>,
        outer: &mut Vec<u8>,
    ) -> Result<Code, ProtectionFault> {
        let request = RequestBinding::from_words(binding.words);
        let request = request.ok_or(ProtectionFault::Refused(FOREIGN))?;
        let code = self.with_reserve(binding.context, |context| {
            context.protect_response(&request, plain, outer)
        })?;
        Ok(code)
    }

    fn protect_request(
        &self,
        context: SecurityContextId,
        plain: &Message<'_>,
        outer: &mut Vec<u8>,
    ) -> Result<(Code, SecurityBinding), ProtectionFault> {
        let (code, binding) =
            self.with_reserve(context, |context| context.protect_request(plain, outer))?;
        Ok((code, bound(context, &binding)))
    }

    fn unprotect_response(
        &self,
        binding: &mut SecurityBinding,
        outer: &Message<'_>,
        body: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<Code, ResponseFault> {
        let request = RequestBinding::from_words(binding.words);
        let mut request = request.ok_or(ResponseFault::Refused(FOREIGN))?;
        let code = self
            .with(binding.context, |context| {
                context.unprotect_response(&mut request, outer, body, plain)
            })
            .unwrap_or(Err(UnprotectError::ContextNotFound))
            .map_err(|error| match error {
                UnprotectError::Stale => ResponseFault::Repeated,
                error => ResponseFault::Refused(error.reason()),
            })?;
        binding.words = request.to_words();
        Ok(code)
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contexts")
            .field("len", &self.len())
            .field("contexts_max", &self.contexts_max)
            .finish_non_exhaustive()
    }
}

/// A binding that none of our contexts gave.
const FOREIGN: &str = "the binding is not ours";

fn bound(context: SecurityContextId, binding: &RequestBinding) -> SecurityBinding {
    SecurityBinding {
        context,
        words: binding.to_words(),
    }
}

fn name_of(context: &SecurityContext) -> ContextName {
    ContextName {
        recipient_id: *context.recipient_id(),
        id_context: context.id_context().cloned(),
    }
}

/// Why a context is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContextsError {
    /// No context comes of the parameters.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// A context of this Recipient ID and ID Context is there already.
    #[error("a context of this recipient id and id context is there already")]
    Taken,
    /// The table is full.
    #[error("there is no room for more than {max} contexts")]
    Full {
        /// How many there may be.
        max: usize,
    },
}
