//! Credentials of interceptors before those of the store.
//!
//! ```text
//! handshake | OSCORE ─> look_up_for ─> kept? ─> interceptors in order ─> store
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hashbrown::HashMap;
use lwm2m_coap::Code;

use super::{Answer, CredentialAnswer, CredentialRequest, Hook, Interceptor, failed, next_with};
use crate::credentials::{
    Credential, CredentialChangeSender, CredentialChanges, CredentialFilter, CredentialId,
    CredentialStore, CredentialStoreError, CredentialUpdate, LookUp,
};
use crate::event::{EventKind, EventSource};
use crate::identity::PeerIdentity;
use crate::shard::{Later, guarded, hook};
use crate::{EndpointName, Limits, Reason};

/// The credentials of interceptors, then those of the store.
#[derive(Clone)]
pub(crate) struct CredentialChain(Arc<Chain>);

struct Chain {
    interceptors: Vec<Arc<dyn Interceptor>>,
    store: Option<Arc<dyn CredentialStore>>,
    events: EventSource,
    timeout: Duration,
    /// Look-ups of interceptors that are not answered.
    waiting: AtomicUsize,
    waiting_max: usize,
    kept: Mutex<HashMap<PeerIdentity, Kept>>,
    kept_max: usize,
    clock: fn() -> (Instant, SystemTime),
}

/// An answer that may be used again.
struct Kept {
    credential: Arc<Credential>,
    until: Instant,
}

type Found = Vec<Arc<Credential>>;

/// Where a look-up has got to.
enum Asked {
    Found(Found),
    /// No interceptor knows.
    Nobody,
    /// The one at this place answers later.
    Later(usize, Later<CredentialAnswer>),
}

impl CredentialChain {
    pub(crate) fn new(
        interceptors: Vec<Arc<dyn Interceptor>>,
        store: Option<Arc<dyn CredentialStore>>,
        events: EventSource,
        limits: &Limits,
        clock: fn() -> (Instant, SystemTime),
    ) -> CredentialChain {
        CredentialChain(Arc::new(Chain {
            interceptors,
            store,
            events,
            timeout: limits.hook_timeout,
            waiting: AtomicUsize::new(0),
            waiting_max: limits.credential_lookups_max,
            kept: Mutex::default(),
            kept_max: limits.granted_credentials_max,
            clock,
        }))
    }

    /// Forgets the answers that may be used again.
    pub(crate) fn forget(&self) {
        let kept = self.0.kept.lock();
        kept.unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl CredentialStore for CredentialChain {
    fn look_up(&self, identity: &PeerIdentity) -> LookUp<Found> {
        self.look_up_for(&CredentialRequest {
            presented: identity.clone(),
            scheme: None,
            peer: None,
        })
    }

    fn look_up_for(&self, request: &CredentialRequest) -> LookUp<Found> {
        let chain = &self.0;
        if next_with(&chain.interceptors, 0, Hook::Credentials).is_none() {
            return chain.in_store(request);
        }
        if let Some(kept) = chain.kept(&request.presented) {
            return LookUp::Now(vec![kept]);
        }
        let request = Arc::new(request.clone());
        match chain.ask(&request, 0) {
            Asked::Found(found) => LookUp::Now(found),
            Asked::Nobody => chain.in_store(&request),
            Asked::Later(place, answer) => match Waiting::begin(chain) {
                Some(waiting) => Answer::later(waiting.go_on(request, place, answer)),
                None => {
                    chain.refuse(
                        &request,
                        "credentials-overloaded",
                        "too many wait for extensions".into(),
                        "look after the extensions, or raise limits.credential_lookups_max",
                    );
                    LookUp::Now(Vec::new())
                }
            },
        }
    }

    fn covers(&self, endpoint: &EndpointName) -> bool {
        let store = self.0.store.as_ref();
        store.is_some_and(|store| store.covers(endpoint))
    }

    fn find(&self, id: &CredentialId) -> LookUp<Option<Arc<Credential>>> {
        match &self.0.store {
            Some(store) => store.find(id),
            None => LookUp::Now(None),
        }
    }

    fn list(&self, filter: CredentialFilter) -> LookUp<Found> {
        match &self.0.store {
            Some(store) => store.list(filter),
            None => LookUp::Now(Vec::new()),
        }
    }

    fn apply(&self, update: CredentialUpdate) -> LookUp<Result<(), CredentialStoreError>> {
        match &self.0.store {
            Some(store) => store.apply(update),
            None => LookUp::Now(Err(CredentialStoreError::Unavailable(
                "the server has no store".to_owned(),
            ))),
        }
    }

    fn changes(&self) -> CredentialChanges {
        match &self.0.store {
            Some(store) => store.changes(),
            None => CredentialChangeSender::default().subscribe(),
        }
    }
}

impl Chain {
    /// Asks the interceptors from a place on.
    fn ask(&self, request: &Arc<CredentialRequest>, from: usize) -> Asked {
        let mut from = from;
        while let Some((place, interceptor)) =
            next_with(&self.interceptors, from, Hook::Credentials)
        {
            from = place + 1;
            let answer = match hook(|| interceptor.credentials(request)) {
                Some(Answer::Later(answer)) => return Asked::Later(place, answer),
                Some(Answer::Now(answer)) => Ok(answer),
                None => Err(panicked()),
            };
            if let Some(found) = self.weigh(request, place, answer) {
                return Asked::Found(found);
            }
        }
        Asked::Nobody
    }

    /// What an answer comes to; none when the next one is to be asked. An interceptor that fails
    /// lets nobody in.
    fn weigh(
        &self,
        request: &CredentialRequest,
        place: usize,
        answer: Result<CredentialAnswer, Reason>,
    ) -> Option<Found> {
        let name = self.interceptors.get(place).map_or("", |i| i.name());
        let failure = match answer {
            Ok(CredentialAnswer::Unknown) => return None,
            Ok(CredentialAnswer::Deny { why }) => {
                self.refuse(
                    request,
                    "credential-denied",
                    why,
                    format!("extension {name} says so"),
                );
                return Some(Vec::new());
            }
            Ok(CredentialAnswer::Grant { credential, cache }) => {
                match fit(&credential, &request.presented) {
                    Ok(()) => {
                        let granted = Arc::new(credential.as_granted());
                        self.keep(&request.presented, &granted, cache);
                        return Some(vec![granted]);
                    }
                    Err(reason) => reason,
                }
            }
            Err(reason) => reason,
        };
        if let Some(events) = self.events.sender() {
            let (_, wall) = (self.clock)();
            events.emit(wall, None, || failed(name, Hook::Credentials, failure));
        }
        Some(Vec::new())
    }

    fn in_store(&self, request: &CredentialRequest) -> LookUp<Found> {
        match &self.store {
            Some(store) => store.look_up_for(request),
            None => LookUp::Now(Vec::new()),
        }
    }

    fn kept(&self, presented: &PeerIdentity) -> Option<Arc<Credential>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(presented)?;
        (found.until > (self.clock)().0).then(|| Arc::clone(&found.credential))
    }

    fn keep(&self, presented: &PeerIdentity, credential: &Arc<Credential>, time: Duration) {
        let (now, _) = (self.clock)();
        let Some(until) = now.checked_add(time).filter(|until| *until > now) else {
            return;
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= self.kept_max {
            kept.retain(|_, kept| kept.until > now);
        }
        if kept.len() < self.kept_max {
            let credential = Arc::clone(credential);
            kept.insert(presented.clone(), Kept { credential, until });
        }
    }

    /// Tells why a peer is not let in.
    fn refuse(
        &self,
        request: &CredentialRequest,
        word: &'static str,
        why: String,
        hint: impl Into<std::borrow::Cow<'static, str>>,
    ) {
        let unspecified = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        if let Some(events) = self.events.sender() {
            let (_, wall) = (self.clock)();
            events.emit(wall, None, || EventKind::Refused {
                operation: "credentials",
                peer: request.peer.unwrap_or(unspecified),
                identity: request.presented.clone(),
                code: Code::EMPTY,
                reason: Reason::new(word, why).hint(hint),
            });
        }
    }
}

/// A look-up that is counted as long as it waits.
struct Waiting(Arc<Chain>);

impl Waiting {
    /// None when too many wait.
    fn begin(chain: &Arc<Chain>) -> Option<Waiting> {
        let waiting = Waiting(Arc::clone(chain));
        let before = chain.waiting.fetch_add(1, Ordering::Relaxed);
        (before < chain.waiting_max).then_some(waiting)
    }

    /// Waits for one interceptor after another, then for the store.
    async fn go_on(
        self,
        request: Arc<CredentialRequest>,
        mut place: usize,
        mut answer: Later<CredentialAnswer>,
    ) -> Found {
        let chain = &self.0;
        loop {
            let said = match tokio::time::timeout(chain.timeout, guarded(answer)).await {
                Ok(Some(said)) => Ok(said),
                Ok(None) => Err(panicked()),
                Err(_) => Err(Reason::new(
                    "extension-timeout",
                    "it is too slow: the handshake fails",
                )
                .hint("look after the extension, or raise limits.hook_timeout")),
            };
            if let Some(found) = chain.weigh(&request, place, said) {
                return found;
            }
            match chain.ask(&request, place + 1) {
                Asked::Found(found) => return found,
                Asked::Nobody => return chain.in_store(&request).await,
                Asked::Later(next, later) => (place, answer) = (next, later),
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether a credential is one at all, and that of the peer.
fn fit(credential: &Credential, presented: &PeerIdentity) -> Result<(), Reason> {
    let reason = |message: String| {
        Reason::new("credential-unusable", message)
            .hint("it grants the credential of the identity that it was asked about")
    };
    credential
        .check()
        .map_err(|error| reason(error.to_string()))?;
    match credential.identify(presented) {
        Some(_) => Ok(()),
        None => Err(reason(format!("the credential is not that of {presented}"))),
    }
}

fn panicked() -> Reason {
    Reason::new("extension-panicked", "it panicked: the handshake fails")
        .hint("its message and place are on the standard error output of the server")
}

#[cfg(test)]
mod tests;
