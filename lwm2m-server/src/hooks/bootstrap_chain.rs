//! What interceptors say is written into a device, before what the store says.
//!
//! ```text
//! Bootstrap-Request ─> interceptors in their order, the first that knows ─> store
//! ```

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lwm2m_coap::Code;

use super::{Answer, Hook, Interceptor, failed, next_with};
use crate::bootstrap::{
    BootstrapAnswer, BootstrapChange, BootstrapDocument, BootstrapRequest, BootstrapStore,
    BootstrapStoreError,
};
use crate::credentials::LookUp;
use crate::event::EventSource;
use crate::shard::{Later, guarded, hook};
use crate::{Reason, Refusal};

/// The plans of interceptors, then those of the store.
#[derive(Clone)]
pub(crate) struct BootstrapChain(Arc<Chain>);

struct Chain {
    interceptors: Vec<Arc<dyn Interceptor>>,
    store: Option<Arc<dyn BootstrapStore>>,
    events: EventSource,
    timeout: Duration,
    clock: fn() -> SystemTime,
}

/// Where a question has got to.
enum Asked {
    Said(BootstrapAnswer),
    /// No interceptor knows.
    Nobody,
    /// The one at this place answers later.
    Later(usize, Later<BootstrapAnswer>),
}

impl BootstrapChain {
    pub(crate) fn new(
        interceptors: Vec<Arc<dyn Interceptor>>,
        store: Option<Arc<dyn BootstrapStore>>,
        events: EventSource,
        timeout: Duration,
        clock: fn() -> SystemTime,
    ) -> BootstrapChain {
        BootstrapChain(Arc::new(Chain {
            interceptors,
            store,
            events,
            timeout,
            clock,
        }))
    }
}

impl BootstrapStore for BootstrapChain {
    /// Questions that wait are bounded by those who ask: `bootstrap.sessions_max`.
    fn configure(&self, request: &BootstrapRequest) -> LookUp<BootstrapAnswer> {
        let chain = &self.0;
        if next_with(&chain.interceptors, 0, Hook::Bootstrap).is_none() {
            return chain.in_store(request);
        }
        let request = Arc::new(request.clone());
        match chain.ask(&request, 0) {
            Asked::Said(answer) => LookUp::Now(answer),
            Asked::Nobody => chain.in_store(&request),
            Asked::Later(place, answer) => {
                let chain = Arc::clone(chain);
                Answer::later(chain.go_on(request, place, answer))
            }
        }
    }

    fn documents(&self) -> Option<Vec<BootstrapDocument>> {
        self.0.store.as_ref()?.documents()
    }

    fn change(&self, change: BootstrapChange) -> LookUp<Result<(), BootstrapStoreError>> {
        match &self.0.store {
            Some(store) => store.change(change),
            None => LookUp::Now(Err(BootstrapStoreError::NotHere)),
        }
    }
}

impl Chain {
    /// Asks the interceptors from a place on.
    fn ask(&self, request: &Arc<BootstrapRequest>, from: usize) -> Asked {
        let mut from = from;
        while let Some((place, interceptor)) = next_with(&self.interceptors, from, Hook::Bootstrap)
        {
            from = place + 1;
            let answer = match hook(|| interceptor.bootstrap(request)) {
                Some(Answer::Later(answer)) => return Asked::Later(place, answer),
                Some(Answer::Now(answer)) => Ok(answer),
                None => Err(panicked()),
            };
            if let Some(said) = self.weigh(request, place, answer) {
                return Asked::Said(said);
            }
        }
        Asked::Nobody
    }

    /// Waits for one interceptor after another, then for the store.
    async fn go_on(
        self: Arc<Chain>,
        request: Arc<BootstrapRequest>,
        mut place: usize,
        mut answer: Later<BootstrapAnswer>,
    ) -> BootstrapAnswer {
        loop {
            let said = match tokio::time::timeout(self.timeout, guarded(answer)).await {
                Ok(Some(said)) => Ok(said),
                Ok(None) => Err(panicked()),
                Err(_) => Err(too_slow()),
            };
            if let Some(said) = self.weigh(&request, place, said) {
                return said;
            }
            match self.ask(&request, place + 1) {
                Asked::Said(said) => return said,
                Asked::Nobody => return self.in_store(&request).await,
                Asked::Later(next, later) => (place, answer) = (next, later),
            }
        }
    }

    /// What an answer comes to; none when the next one is to be asked. For an interceptor that
    /// fails the device is refused, and tries again.
    fn weigh(
        &self,
        request: &BootstrapRequest,
        place: usize,
        answer: Result<BootstrapAnswer, Refusal>,
    ) -> Option<BootstrapAnswer> {
        match answer {
            Ok(BootstrapAnswer::Unknown) => None,
            Ok(answer) => Some(answer),
            Err(refusal) => {
                let name = self.interceptors.get(place).map_or("", |i| i.name());
                if let Some(events) = self.events.sender() {
                    let reason = refusal.reason.clone();
                    events.emit((self.clock)(), Some(&request.endpoint), || {
                        failed(name, Hook::Bootstrap, reason)
                    });
                }
                Some(BootstrapAnswer::Refuse(refusal))
            }
        }
    }

    fn in_store(&self, request: &BootstrapRequest) -> LookUp<BootstrapAnswer> {
        match &self.store {
            Some(store) => store.configure(request),
            None => LookUp::Now(BootstrapAnswer::Unknown),
        }
    }
}

fn panicked() -> Refusal {
    Refusal {
        code: Code::INTERNAL_SERVER_ERROR,
        reason: Reason::new("extension-panicked", "an extension panicked")
            .hint("its message and place are on the standard error output of the server"),
    }
}

fn too_slow() -> Refusal {
    Refusal {
        code: Code::SERVICE_UNAVAILABLE,
        reason: Reason::new("extension-timeout", "an extension did not answer in time")
            .hint("look after the extension, or raise limits.hook_timeout"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EndpointName;
    use crate::bootstrap::{BootstrapPlan, MemoryBootstrap};
    use crate::event::EventSender;
    use crate::hooks::HookSet;

    /// Answers by the endpoint name.
    struct Clerk;

    impl Interceptor for Clerk {
        fn name(&self) -> &str {
            "clerk"
        }

        fn bootstrap(&self, request: &Arc<BootstrapRequest>) -> Answer<BootstrapAnswer> {
            match request.endpoint.as_str() {
                "known" => Answer::Now(empty_plan()),
                "later" => Answer::later(async { empty_plan() }),
                "nobody-later" => Answer::later(async { BootstrapAnswer::Unknown }),
                "cursed" => panic!("a bug in an extension"),
                "cursed-later" => Answer::later(async { panic!("a bug in an extension") }),
                "never" => Answer::later(std::future::pending()),
                _ => Answer::Now(BootstrapAnswer::Unknown),
            }
        }
    }

    struct Deaf;

    impl Interceptor for Deaf {
        fn hooks(&self) -> HookSet {
            HookSet::EMPTY.with(Hook::OnRegister)
        }

        fn bootstrap(&self, _: &Arc<BootstrapRequest>) -> Answer<BootstrapAnswer> {
            panic!("it has no such hook")
        }
    }

    fn empty_plan() -> BootstrapAnswer {
        BootstrapAnswer::Configure(Arc::new(BootstrapPlan::new()))
    }

    async fn said(chain: &BootstrapChain, endpoint: &str) -> String {
        let endpoint = EndpointName::new(endpoint).expect("a name");
        let request = BootstrapRequest::new(endpoint, ([127, 0, 0, 1], 1).into());
        match chain.configure(&request).await {
            BootstrapAnswer::Unknown => "unknown".to_owned(),
            BootstrapAnswer::Configure(plan) => format!("{} operations", plan.operations.len()),
            BootstrapAnswer::Refuse(refusal) => refusal.reason.code.to_owned(),
        }
    }

    #[tokio::test]
    async fn the_first_who_knows_counts_and_a_failure_refuses() {
        let (_sender, source) = EventSender::new(64);
        let mut events = source.subscribe();
        let store = Arc::new(MemoryBootstrap::default());
        for stored in ["stored", "nobody-later"] {
            store.set(stored, BootstrapPlan::new().delete(lwm2m_core::Path::ROOT));
        }
        let interceptors: Vec<Arc<dyn Interceptor>> = vec![Arc::new(Deaf), Arc::new(Clerk)];
        // What is there at once is not late, however busy the machine is.
        let timeout = Duration::from_millis(20);
        let chain =
            BootstrapChain::new(interceptors, Some(store), source, timeout, SystemTime::now);
        for (endpoint, expected) in [
            ("known", "0 operations"),
            ("later", "0 operations"),
            ("stored", "1 operations"),
            ("nobody-later", "1 operations"),
            ("stranger", "unknown"),
            ("cursed", "extension-panicked"),
            ("cursed-later", "extension-panicked"),
            ("never", "extension-timeout"),
        ] {
            assert_eq!(said(&chain, endpoint).await, expected, "{endpoint}");
        }
        for endpoint in ["cursed", "cursed-later", "never"] {
            let event = events.next().await.expect("told").expect("room");
            assert_eq!(event.endpoint.as_ref().map(|e| e.as_str()), Some(endpoint));
        }
    }

    #[tokio::test]
    async fn without_a_store_nobody_else_knows() {
        let (_sender, source) = EventSender::new(64);
        let interceptors: Vec<Arc<dyn Interceptor>> = vec![Arc::new(Clerk)];
        let timeout = Duration::from_secs(10);
        let chain = BootstrapChain::new(interceptors, None, source, timeout, SystemTime::now);
        assert_eq!(said(&chain, "known").await, "0 operations");
        assert_eq!(said(&chain, "stored").await, "unknown");
    }
}
