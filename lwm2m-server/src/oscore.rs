//! OSCORE (RFC 8613): which context a protected message belongs to, and whose credential that is.
//!
//! ```text
//! request ─> Endpoint: message layer ─> Oscore::unprotect_request
//!              │                           └─ context known? else look the credential up, derive it
//!              └─ blocks, observation ─> IncomingRequest, its handle naming the context
//!                                           └─> authenticated(context): the session's stand-in
//! response ─> Endpoint::respond ─> protected with the context of the request
//! downlink ─> context_of(registration) ─> Endpoint::request, its answer protected or none
//! ```
//!
//! Protection is a layer of the CoAP engine, between its message layer and its requests: a
//! retransmission is recognised before it could be taken for a replay, blocks and observations are
//! those of the inner messages, and a shard sees requests as without security. What differs is who
//! they are from: not the peer's session proves it, but each message by itself.
//!
//! All shards share the contexts, since the kernel gives a device's datagrams to any of them and
//! sequence numbers and replay windows are one for each context. A context is locked for as long as
//! one message takes. Once a device has registered, what it sends is passed on to the shard that
//! has its registration, wherever it comes from: its requests name their context in plain.
//!
//! A context is derived when its first message comes. Where it is not known which requests its
//! device has sent before, the first one is answered with a challenge (RFC 8613 Appendix B.1.2): that
//! is so with [`ClockSequences`], and with [`FileSequences`] after a crash or the loss of the file.
//! Keys that are added while the server runs, with the word that nobody has used them, are new, and their
//! devices are not challenged: some devices cannot answer. Other keys may have been used with a file
//! that was lost. Own sequence numbers continue behind those before a restart.

mod file;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hashbrown::HashMap;
use lwm2m_coap::{
    Code, Message, ObjectSecurity, OptionNumber, ProtectionFault, ResponseFault, SecurityBinding,
    SecurityContextId, SecurityFault,
};
use lwm2m_oscore::{Contexts, ContextsError, OscoreOption, Parameters, UnprotectError};

use crate::Reason;
use crate::credentials::{
    Credential, CredentialChange, CredentialRevision, CredentialStore, LookUp, OscoreCredential,
    Proof,
};
use crate::hooks::CredentialRequest;
use crate::identity::{Authenticated, PeerIdentity};
use crate::registration::Location;

pub use file::{FileSequences, SequenceFileError};
pub use lwm2m_oscore::{
    ContextName, IdContext, KeyFingerprint, KeyId, ReceivedRequests, ReplayState, SequenceStore,
};

/// The OSCORE contexts of a server.
pub(crate) struct Oscore {
    contexts: Contexts,
    sequences: Arc<dyn SequenceStore>,
    credentials: Arc<dyn CredentialStore>,
    owners: RwLock<HashMap<SecurityContextId, Owner>>,
    /// For look-ups that take their time.
    own: Weak<Oscore>,
}

/// Whose a context is.
struct Owner {
    authenticated: Arc<Authenticated>,
    /// The latest registration that was made with it.
    registration: Option<Location>,
}

impl Oscore {
    pub(crate) fn new(
        credentials: Arc<dyn CredentialStore>,
        sequences: Arc<dyn SequenceStore>,
        contexts_max: usize,
    ) -> Arc<Oscore> {
        Arc::new_cyclic(|own| Oscore {
            contexts: Contexts::new(contexts_max, Arc::clone(&sequences)),
            sequences,
            credentials,
            owners: RwLock::default(),
            own: Weak::clone(own),
        })
    }

    /// What has proven the sender of a request.
    pub(crate) fn authenticated(&self, context: SecurityContextId) -> Option<Arc<Authenticated>> {
        self.owner(context, |owner| Arc::clone(&owner.authenticated))
    }

    /// The context of an identity; none of another kind, or when its credential is gone.
    pub(crate) fn context_of(&self, identity: &PeerIdentity) -> Option<SecurityContextId> {
        let PeerIdentity::Oscore(oscore) = identity else {
            return None;
        };
        let id_context = oscore.id_context.as_deref();
        self.contexts.find(&ContextName {
            recipient_id: KeyId::new(&oscore.sender_id)?,
            id_context: match id_context {
                Some(context) => Some(IdContext::new(context)?),
                None => None,
            },
        })
    }

    /// Notes the registration that was made with a context.
    pub(crate) fn registered(&self, context: SecurityContextId, location: Location) {
        let mut owners = self.owners.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = owners.get_mut(&context) {
            owner.registration = Some(location);
        }
    }

    /// The latest registration that was made with a context; it may have ended.
    pub(crate) fn registration(&self, context: SecurityContextId) -> Option<Location> {
        self.owner(context, |owner| owner.registration).flatten()
    }

    /// The latest registration of the sender of a protected request, as it says itself.
    pub(crate) fn registration_named_by(&self, request: &Message<'_>) -> Option<Location> {
        if request.code() != Code::POST {
            return None;
        }
        let option = OscoreOption::decode(request.value(OptionNumber::OSCORE)?).ok()?;
        let contexts = self.contexts.named_by(&option);
        contexts.first().and_then(|id| self.registration(*id))
    }

    /// Credentials have changed: drops the contexts of those that are gone.
    pub(crate) fn revise(&self, revision: &CredentialRevision) {
        let mut owners = self.owners.write().unwrap_or_else(PoisonError::into_inner);
        owners.retain(
            |context, owner| match revision.apply(&owner.authenticated) {
                Some(revised) => {
                    owner.authenticated = revised;
                    true
                }
                None => {
                    self.contexts.remove(*context);
                    false
                }
            },
        );
    }

    /// Credentials were added: some keys are new, and were never used.
    pub(crate) fn introduce(&self, change: &CredentialChange) {
        // One that comes with other endpoint names is not new.
        let before = |credential: &Credential| {
            let mut removed = change.removed.iter();
            removed.any(|removed| removed.proof == credential.proof)
        };
        let added = change.added.iter();
        let added = added.filter(|added| added.never_used && !before(added));
        let contexts: Vec<(ContextName, KeyFingerprint)> = added
            .filter_map(|credential| match &credential.proof {
                Proof::Oscore(oscore) => parameters(oscore),
                _ => None,
            })
            .filter_map(|parameters| {
                let fingerprint = parameters.fingerprint().ok()?;
                Some((ContextName::of(&parameters), fingerprint))
            })
            .collect();
        if !contexts.is_empty() {
            self.sequences.introduce(&contexts);
        }
    }

    /// Keeps what was received, after the last message.
    pub(crate) fn settle(&self) {
        self.contexts.settle();
    }

    fn owner<T>(&self, context: SecurityContextId, f: impl FnOnce(&Owner) -> T) -> Option<T> {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        owners.get(&context).map(f)
    }

    /// Looks up who a request says to be from, and derives the contexts that are new; true when
    /// there are any.
    fn load(&self, outer: &Message<'_>) -> Result<bool, SecurityFault> {
        let value = outer.value(OptionNumber::OSCORE).unwrap_or_default();
        let Ok(OscoreOption {
            kid: Some(kid),
            kid_context,
            ..
        }) = OscoreOption::decode(value)
        else {
            return Ok(false);
        };
        let presented = PeerIdentity::oscore(kid, kid_context);
        let request = CredentialRequest {
            presented: presented.clone(),
            scheme: None,
            peer: None,
        };
        match self.credentials.look_up_for(&request) {
            LookUp::Now(candidates) => self.add_all(&candidates, &presented),
            LookUp::Later(candidates) => {
                let (Some(own), Ok(runtime)) =
                    (self.own.upgrade(), tokio::runtime::Handle::try_current())
                else {
                    return Ok(false);
                };
                runtime.spawn(async move {
                    let candidates = candidates.await;
                    let _ = own.add_all(&candidates, &presented);
                });
                Err(busy("the credential is being looked up"))
            }
        }
    }

    fn add_all(
        &self,
        candidates: &[Arc<Credential>],
        presented: &PeerIdentity,
    ) -> Result<bool, SecurityFault> {
        let mut new = false;
        for credential in candidates {
            new |= self.add(credential, presented)?;
        }
        Ok(new)
    }

    fn add(
        &self,
        credential: &Arc<Credential>,
        presented: &PeerIdentity,
    ) -> Result<bool, SecurityFault> {
        let Proof::Oscore(oscore) = &credential.proof else {
            return Ok(false);
        };
        let Some(authenticated) = Authenticated::by(credential, presented) else {
            return Ok(false);
        };
        let Some(parameters) = parameters(oscore) else {
            return Ok(false);
        };
        // Taken in before anybody can ask whose it is.
        let mut owners = self.owners.write().unwrap_or_else(PoisonError::into_inner);
        match self.contexts.restore(&parameters) {
            Ok(context) => {
                let owner = Owner {
                    authenticated: Arc::new(authenticated),
                    registration: None,
                };
                owners.insert(context, owner);
                Ok(true)
            }
            Err(ContextsError::Full { .. }) => Err(busy("there is no room for more contexts")),
            Err(_) => Ok(false),
        }
    }
}

impl ObjectSecurity for Oscore {
    fn unprotect_request(
        &self,
        outer: &Message<'_>,
        body: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<(Code, SecurityBinding), SecurityFault> {
        let opened = self.contexts.unprotect_request(outer, body, plain);
        let unknown = |fault: &SecurityFault| {
            let maybe_another = [UnprotectError::ContextNotFound, UnprotectError::Decryption];
            maybe_another
                .iter()
                .any(|error| fault.reason == error.reason())
        };
        match opened {
            Err(fault) if unknown(&fault) => match self.load(outer)? {
                true => self.contexts.unprotect_request(outer, body, plain),
                false => Err(fault),
            },
            opened => opened,
        }
    }

    fn protect_response(
        &self,
        binding: &SecurityBinding,
        plain: &Message<'_>,
        outer: &mut Vec<u8>,
    ) -> Result<Code, ProtectionFault> {
        self.contexts.protect_response(binding, plain, outer)
    }

    fn protect_request(
        &self,
        context: SecurityContextId,
        plain: &Message<'_>,
        outer: &mut Vec<u8>,
    ) -> Result<(Code, SecurityBinding), ProtectionFault> {
        self.contexts.protect_request(context, plain, outer)
    }

    fn unprotect_response(
        &self,
        binding: &mut SecurityBinding,
        outer: &Message<'_>,
        body: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<Code, ResponseFault> {
        self.contexts
            .unprotect_response(binding, outer, body, plain)
    }
}

/// True for the challenge that a context starts with of which nothing is known, which is nobody's fault.
pub(crate) fn is_challenge(reason: &'static str) -> bool {
    reason == Contexts::CHALLENGED
}

impl fmt::Debug for Oscore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oscore")
            .field("contexts", &self.contexts)
            .finish_non_exhaustive()
    }
}

/// Sequence numbers that follow the clock: 1024 for each second since 2026 began, until 2060.
///
/// Nothing is kept. A context starts at the number of the server's start, and uses no number before
/// its moment has come; so whatever was used before a restart is lower. A request that is ahead of
/// the clock waits, as those may that come right after the start. That holds while the clock of
/// the machine is never set back over a restart; where it may be, keep the numbers in a
/// [`SequenceStore`] of another kind.
#[derive(Debug)]
pub struct ClockSequences {
    /// The number of the moment at which the server started.
    started: u64,
    /// Where a context goes on that was dropped and comes again.
    reserved: RwLock<HashMap<ContextName, u64>>,
    clock: fn() -> SystemTime,
}

impl ClockSequences {
    /// Numbers for each second.
    pub const PER_SECOND: u64 = 1024;

    /// How long a server waits before it hears devices: the first answers take numbers.
    pub(crate) const HEAD_START: Duration = Duration::from_millis(10);

    /// The start of 2026 in Unix time.
    const EPOCH: Duration = Duration::from_secs(1_767_225_600);

    /// Numbers from now on; `clock` is the time of day.
    pub fn new(clock: fn() -> SystemTime) -> ClockSequences {
        ClockSequences {
            started: ClockSequences::number(clock()),
            reserved: RwLock::default(),
            clock,
        }
    }

    /// The number of a moment.
    fn number(at: SystemTime) -> u64 {
        let since = at.duration_since(UNIX_EPOCH + ClockSequences::EPOCH);
        let ms = since.unwrap_or_default().as_millis() as u64;
        ms.saturating_mul(ClockSequences::PER_SECOND) / 1000
    }
}

impl SequenceStore for ClockSequences {
    fn start(&self, context: &ContextName) -> u64 {
        let reserved = self.reserved.read().unwrap_or_else(PoisonError::into_inner);
        reserved.get(context).copied().unwrap_or(self.started)
    }

    fn reserve(&self, context: &ContextName, limit: u64) -> u64 {
        let limit = limit.min(ClockSequences::number((self.clock)()));
        let mut reserved = self
            .reserved
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let known = reserved.entry(context.clone()).or_insert(self.started);
        *known = limit.max(*known);
        *known
    }
}

/// What is to be told of a protected message that was refused; none for what is not of OSCORE.
pub(crate) fn refusal(reason: &'static str) -> Option<Reason> {
    let of = |error: UnprotectError| error.reason() == reason;
    let (word, hint) = if of(UnprotectError::ContextNotFound) {
        (
            "oscore-context-unknown",
            "add an oscore credential whose recipient id is the device's Sender ID (/21/x/1), and \
             whose id context is its ID Context",
        )
    } else if of(UnprotectError::Decryption) {
        (
            "oscore-decryption-failed",
            "compare the credential with the device's object 21: Master Secret, Master Salt, ID \
             Context and both ids, which are the other way round on the device",
        )
    } else if of(UnprotectError::Replay) {
        (
            "oscore-replay",
            "somebody repeated an older message, or the device started its sequence numbers anew: \
             it has to keep them over a restart",
        )
    } else if of(UnprotectError::NotNoted) {
        (
            "oscore-window-not-kept",
            "the file of [oscore] sequences_file cannot be written: the log says why",
        )
    } else if reason == Contexts::UNANSWERED {
        (
            "oscore-echo-missing",
            "the device has to repeat its request with the Echo option of the answer (RFC 9175). For \
             one that cannot, and a context that nobody has ever used, remove the credential and add it \
             with never_used",
        )
    } else if of(UnprotectError::Malformed) {
        (
            "oscore-malformed",
            "the OSCORE option or the ciphertext is not as RFC 8613 §6 has it",
        )
    } else {
        return None;
    };
    Some(Reason::new(word, reason).hint(hint))
}

fn busy(reason: &'static str) -> SecurityFault {
    SecurityFault {
        reason,
        code: Code::SERVICE_UNAVAILABLE,
        diagnostic: "",
        challenge: None,
    }
}

/// The parameters of a credential, which is the server's side already.
fn parameters(credential: &OscoreCredential) -> Option<Parameters> {
    Some(Parameters {
        master_secret: credential.master_secret.expose().to_vec().into(),
        master_salt: credential.master_salt.clone(),
        id_context: match &credential.id_context {
            Some(context) => Some(IdContext::new(context)?),
            None => None,
        },
        sender_id: KeyId::new(&credential.sender_id)?,
        recipient_id: KeyId::new(&credential.recipient_id)?,
    })
}

#[cfg(test)]
mod tests;
