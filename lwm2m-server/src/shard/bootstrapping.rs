//! The bootstrap interface: Bootstrap-Request, and the sessions that follow (Core 1.2.2 §6.1).
//!
//! A session lives on the shard that heard the Bootstrap-Request, and speaks to the peer that made
//! it, under the OSCORE context that protected it, if any. [`session`](crate::bootstrap::session)
//! says what is asked next; here it is sent, timed and told of.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use lwm2m_coap::{Code, IncomingRequest, OptionNumber, RequestId, Response, ResponseHandle};
use lwm2m_core::{ContentFormat, Path};

mod steps;

use super::sessions::{Origin, identity_of};
use super::{Now, Shard, hook};
use crate::authorizer::refused_name;
use crate::bootstrap::pack;
use crate::bootstrap::parameters::{BootstrapParameters, ParameterError};
use crate::bootstrap::session::Session;
use crate::bootstrap::sessions::{BootstrapId, Full};
use crate::bootstrap::{BootstrapAnswer, BootstrapPlan, BootstrapRequest};
use crate::credentials::LookUp;
use crate::event::EventKind;
use crate::mailbox::Relay;
use crate::transport::Peer;
use crate::{EndpointName, Reason, Refusal};

/// The bootstrap sessions of one shard.
#[derive(Debug, Default)]
pub(super) struct Bootstraps {
    sessions: HashMap<u64, Running>,
    /// Whose request is on its way.
    exchanges: HashMap<RequestId, u64>,
    deadlines: BTreeSet<(Instant, u64)>,
    /// Questions to the store that take their time.
    searches: VecDeque<BootstrapSearch>,
    /// How many sessions there have been.
    count: u64,
}

/// A device in bootstrap.
#[derive(Debug)]
struct Running {
    request: BootstrapRequest,
    /// Where it is, and what protects it.
    handle: ResponseHandle<Peer>,
    deadline: Instant,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The store is asked; the device waits for the answer to its request.
    Asking(Wanted),
    Bootstrapping {
        session: Session,
        exchange: Option<RequestId>,
    },
}

/// What a device has asked for.
#[derive(Debug, Clone)]
enum Wanted {
    /// To be written to.
    Session,
    /// One payload with everything, besides what is its own.
    Pack {
        format: ContentFormat,
        own_account: Vec<Path>,
    },
}

/// A question to the store, for the loop to wait for.
pub(crate) struct BootstrapSearch {
    session: u64,
    timeout: Duration,
    answer: Pin<Box<dyn Future<Output = BootstrapAnswer> + Send>>,
}

impl std::fmt::Debug for BootstrapSearch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BootstrapSearch")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// What the store has answered; none when it took too long.
#[derive(Debug)]
pub(crate) struct FoundPlan {
    session: u64,
    answer: Option<BootstrapAnswer>,
}

impl BootstrapSearch {
    /// Waits for the store.
    pub(crate) async fn run(self) -> FoundPlan {
        FoundPlan {
            session: self.session,
            answer: tokio::time::timeout(self.timeout, self.answer).await.ok(),
        }
    }
}

impl Shard {
    /// `POST /bs`
    pub(super) fn on_bootstrap(&mut self, now: Now, request: IncomingRequest<'_, Peer>) {
        self.take_bootstrap(now, &request, |_| Ok(Wanted::Session));
    }

    /// `GET /bspack`
    pub(super) fn on_bootstrap_pack(&mut self, now: Now, request: IncomingRequest<'_, Peer>) {
        let accept = request.message.accept();
        self.take_bootstrap(now, &request, |parameters| {
            Ok(Wanted::Pack {
                format: pack::format(accept)?,
                own_account: parameters.own_account.clone(),
            })
        });
    }

    fn take_bootstrap(
        &mut self,
        now: Now,
        request: &IncomingRequest<'_, Peer>,
        wanted: impl FnOnce(&BootstrapParameters) -> Result<Wanted, Refusal>,
    ) {
        let items = request.message.values(OptionNumber::URI_QUERY);
        let others_max = self.shared.config.limits.annotations_max;
        let origin = Origin::of(request);
        let parsed = BootstrapParameters::parse(items, others_max).map_err(Refusal::from);
        let parsed = parsed.and_then(|parameters| Ok((wanted(&parameters)?, parameters)));
        let (wanted, parameters) = match parsed {
            Ok(parsed) => parsed,
            Err(refusal) => return self.refuse(now, OPERATION, None, request, refusal),
        };
        let name = parameters.endpoint.or_else(|| self.name_of(origin));
        let Some(endpoint) = name else {
            let refusal = ParameterError::EndpointMissing.into();
            return self.refuse(now, OPERATION, None, request, refusal);
        };
        let authenticated = self.authenticated(origin);
        let asked = BootstrapRequest {
            scheme: self.shared.scheme(&request.peer),
            peer: request.peer.address(),
            identity: identity_of(&authenticated).clone(),
            authenticated,
            preferred_format: parameters.preferred_format,
            parameters: parameters.others,
            endpoint,
        };
        let allowed = hook(|| self.shared.authorizer.authorize_bootstrap(&asked));
        let allowed = allowed.unwrap_or_else(|| Err(super::admitting::panicked()));
        let begun = allowed
            .and_then(|()| packs_are_for_proven_peers(&wanted, &asked))
            .and_then(|()| self.begin_bootstrap(now, &asked.endpoint));
        let id = match begun {
            Ok(id) => id,
            Err(refusal) => {
                let endpoint = Some(&asked.endpoint);
                return self.refuse(now, OPERATION, endpoint, request, refusal);
            }
        };
        if self.relayed_from.is_some() {
            self.keep_route(request.peer);
        }
        let deadline = now.instant + self.shared.config.bootstrap.session_timeout;
        let answer = self.plan_for(&asked);
        self.bootstraps.deadlines.insert((deadline, id));
        let running = Running {
            request: asked,
            handle: request.handle,
            deadline,
            stage: Stage::Asking(wanted),
        };
        self.bootstraps.sessions.insert(id, running);
        match answer {
            LookUp::Now(answer) => self.planned(now, id, Some(answer)),
            LookUp::Later(answer) => self.bootstraps.searches.push_back(BootstrapSearch {
                session: id,
                timeout: self.shared.config.bootstrap.lookup_timeout,
                answer,
            }),
        }
    }

    /// Makes room for a session, and ends the one that the device had.
    fn begin_bootstrap(&mut self, now: Now, endpoint: &EndpointName) -> Result<u64, Refusal> {
        self.bootstraps.count += 1;
        let number = self.bootstraps.count;
        let shard = self.id;
        let id = BootstrapId { shard, number };
        match self.shared.bootstrap_sessions.claim(endpoint, id) {
            Err(Full) => {
                let message = "the server has no room for more bootstrap sessions";
                return Err(Refusal {
                    code: Code::SERVICE_UNAVAILABLE,
                    reason: Reason::new("overloaded", message)
                        .hint("raise bootstrap.sessions_max, or add a server"),
                });
            }
            Ok(None) => {}
            Ok(Some(older)) if older.shard == shard => self.bootstrap_replaced(now, older.number),
            Ok(Some(older)) => {
                let relay = Relay::BootstrapReplaced(older.number);
                self.outbox.push_back((older.shard, relay));
            }
        }
        Ok(number)
    }

    fn plan_for(&self, request: &BootstrapRequest) -> LookUp<BootstrapAnswer> {
        let Some(store) = &self.shared.bootstrap else {
            return LookUp::Now(BootstrapAnswer::Unknown);
        };
        let answer = hook(|| store.configure(request));
        answer.unwrap_or_else(|| LookUp::Now(BootstrapAnswer::Refuse(super::admitting::panicked())))
    }

    /// The next question to the bootstrap store that takes its time.
    pub(crate) fn poll_bootstrap_search(&mut self) -> Option<BootstrapSearch> {
        self.bootstraps.searches.pop_front()
    }

    /// Takes the answer of the store.
    pub(super) fn plan_found(&mut self, now: Now, found: FoundPlan) {
        self.planned(now, found.session, found.answer);
    }

    /// The store has said what is written into a device.
    fn planned(&mut self, now: Now, id: u64, answer: Option<BootstrapAnswer>) {
        let running = self.bootstraps.sessions.get_mut(&id);
        let Some((running, Stage::Asking(wanted))) = running.map(|running| {
            let stage = Stage::Asking(Wanted::Session);
            let stage = std::mem::replace(&mut running.stage, stage);
            (running, stage)
        }) else {
            return;
        };
        let max = self.shared.config.bootstrap.operations_max;
        let plan = match check(answer, &running.request.endpoint, max) {
            Ok(plan) => plan,
            Err(refusal) => return self.refuse_bootstrap(now, id, refusal),
        };
        match wanted {
            Wanted::Session => {
                let session = Session::new(plan, running.request.preferred_format);
                let steps = session.steps();
                running.stage = Stage::Bootstrapping {
                    session,
                    exchange: None,
                };
                let (handle, request) = (running.handle, running.request.clone());
                self.endpoint
                    .respond(now.instant, handle, Response::new(Code::CHANGED));
                self.tell_start(now, &request, steps);
                self.advance_bootstrap(now, id);
            }
            Wanted::Pack {
                format,
                own_account,
            } => self.answer_pack(now, id, &plan, format, own_account),
        }
    }

    fn refuse_bootstrap(&mut self, now: Now, id: u64, refusal: Refusal) {
        let Some(running) = self.remove_bootstrap(id) else {
            return;
        };
        let Running {
            request, handle, ..
        } = running;
        self.refuse_handle(
            now,
            OPERATION,
            Some(&request.endpoint),
            (request.peer, request.identity),
            handle,
            refusal,
        );
    }

    fn answer_pack(
        &mut self,
        now: Now,
        id: u64,
        plan: &BootstrapPlan,
        format: ContentFormat,
        own_account: Vec<Path>,
    ) {
        match pack::render(plan, own_account, format, &*self.shared.models) {
            Err(error) => {
                let refusal = Refusal {
                    code: Code::INTERNAL_SERVER_ERROR,
                    reason: Reason::new("not-encodable", error.to_string())
                        .hint("give the values of the plan the types of the object's definition"),
                };
                self.refuse_bootstrap(now, id, refusal);
            }
            Ok(payload) => {
                let Some(running) = self.remove_bootstrap(id) else {
                    return;
                };
                let response = Response::new(Code::CONTENT)
                    .uint(OptionNumber::CONTENT_FORMAT, u32::from(format.number()))
                    .payload(payload);
                self.tell_start(now, &running.request, 1);
                self.tell_bootstrapped(now, &running.request.endpoint, None);
                let endpoint = Some(&running.request.endpoint);
                self.emit(now, endpoint, || EventKind::BootstrapFinished {
                    steps: 1,
                    failures: 0,
                });
                self.endpoint.respond(now.instant, running.handle, response);
            }
        }
    }

    fn remove_bootstrap(&mut self, id: u64) -> Option<Running> {
        let running = self.bootstraps.sessions.remove(&id)?;
        self.bootstraps.deadlines.remove(&(running.deadline, id));
        if let Stage::Bootstrapping {
            exchange: Some(exchange),
            ..
        } = &running.stage
        {
            self.bootstraps.exchanges.remove(exchange);
            self.endpoint.cancel(*exchange);
        }
        let shard = self.id;
        let session = BootstrapId { shard, number: id };
        let sessions = &self.shared.bootstrap_sessions;
        sessions.release(&running.request.endpoint, session);
        Some(running)
    }

    fn tell_start(&self, now: Now, request: &BootstrapRequest, steps: usize) {
        self.emit(now, Some(&request.endpoint), || {
            EventKind::BootstrapStarted {
                peer: request.peer,
                identity: request.identity.clone(),
                steps,
            }
        });
    }
}

impl Bootstraps {
    /// When [`Shard::bootstrap_timers`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(due, _)| *due)
    }

    fn take_exchange(&mut self, request: RequestId) -> Option<u64> {
        match self.exchanges.is_empty() {
            true => None,
            false => self.exchanges.remove(&request),
        }
    }
}

impl Running {
    fn asks(&self) -> bool {
        matches!(self.stage, Stage::Asking(_))
    }
}

/// The name of a Bootstrap-Request in events.
const OPERATION: &str = "bootstrap";

/// A pack is keys for everybody who asks: only for those who have proven themselves.
fn packs_are_for_proven_peers(wanted: &Wanted, asked: &BootstrapRequest) -> Result<(), Refusal> {
    match wanted {
        Wanted::Pack { .. } if asked.identity.is_anonymous() => Err(Refusal {
            code: Code::METHOD_NOT_ALLOWED,
            reason: Reason::new("pack-without-security", "there is no pack without security")
                .hint("use DTLS, TLS or OSCORE; a Bootstrap-Request to /bs is served"),
        }),
        _ => Ok(()),
    }
}

/// The plan, when there is one that can be carried out.
fn check(
    answer: Option<BootstrapAnswer>,
    endpoint: &EndpointName,
    operations_max: usize,
) -> Result<Arc<BootstrapPlan>, Refusal> {
    match answer {
        None => Err(too_slow()),
        Some(BootstrapAnswer::Refuse(refusal)) => Err(refusal),
        Some(BootstrapAnswer::Unknown) => {
            let hint = format!("add a plan for {endpoint} to the bootstrap store");
            Err(refused_name("bootstrap-not-configured", hint))
        }
        Some(BootstrapAnswer::Configure(plan)) if plan.operations.len() > operations_max => {
            let message = format!("its plan has more than {operations_max} operations");
            Err(Refusal {
                code: Code::INTERNAL_SERVER_ERROR,
                reason: Reason::new("plan-too-long", message)
                    .hint("raise bootstrap.operations_max, or write whole objects"),
            })
        }
        Some(BootstrapAnswer::Configure(plan)) => Ok(plan),
    }
}

fn too_slow() -> Refusal {
    Refusal {
        code: Code::SERVICE_UNAVAILABLE,
        reason: Reason::new(
            "store-too-slow",
            "the bootstrap store did not answer in time",
        )
        .hint("raise bootstrap.lookup_timeout_s, or look why the store is slow"),
    }
}
