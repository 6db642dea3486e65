//! The bootstrap interface, client side (Core 1.2.2 §6.1).
//!
//! ```text
//! find_server ─┬─ no bootstrap account, or one has been given ──> register
//!              └─> GET /bspack (1.2, where asked for) ─┬─> pack ─────────────────────┐
//!                    └─ refused ─> POST /bs ─> writes … ─> Bootstrap-Finish ─────────┴─> adopt
//! ```

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lwm2m_coap::{
    Code, Failure, IncomingRequest, IncomingResponse, OptionNumber, OutgoingRequest, RequestId,
    Response,
};
use lwm2m_core::codec::{self, Scope};
use lwm2m_core::{ContentFormat, Path, Record, Version};

use super::operation::Asked;
use super::provisioned::Provisioned;
use super::registration::{max_age, refused};
use super::{Client, DeviceEvent, DtlsAccount, OscoreAccount, RegistrationError};
use crate::Refusal;
use crate::tree::AllTypes;

/// The account of a bootstrap server.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BootstrapAccount {
    /// The bootstrap server.
    pub server: SocketAddr,
    /// DTLS with it; none without.
    pub dtls: Option<DtlsAccount>,
    /// OSCORE with it; none without.
    pub oscore: Option<OscoreAccount>,
    /// Where the account is in object 0, and in 21; 0.
    pub instance: u16,
    /// The preferred format (`pct`); SenML CBOR. A client of 1.0 does not send it.
    pub format: Option<ContentFormat>,
    /// Asks for a pack first (1.2); false.
    pub pack: bool,
    /// Tells its endpoint name; true.
    pub names_itself: bool,
    /// What stands for the servers of the accounts that are given; none to go where they say.
    pub stand_in: Option<StandIn>,
}

/// A server that stands for all others: a device that is given an account of any server goes to
/// this one, with the security of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandIn {
    /// For accounts without security.
    pub coap: SocketAddr,
    /// For accounts with DTLS.
    pub coaps: SocketAddr,
}

impl BootstrapAccount {
    /// An account without security.
    pub fn new(server: SocketAddr) -> BootstrapAccount {
        BootstrapAccount {
            server,
            dtls: None,
            oscore: None,
            instance: 0,
            format: Some(ContentFormat::SenmlCbor),
            pack: false,
            names_itself: true,
            stand_in: None,
        }
    }

    /// The account with DTLS.
    pub fn dtls(mut self, account: DtlsAccount) -> BootstrapAccount {
        self.dtls = Some(account);
        self
    }

    /// The account with OSCORE.
    pub fn oscore(mut self, account: OscoreAccount) -> BootstrapAccount {
        self.oscore = Some(account);
        self
    }

    /// The account, with a server that stands for those of the accounts that it gives.
    pub fn stand_in(mut self, server: StandIn) -> BootstrapAccount {
        self.stand_in = Some(server);
        self
    }

    /// The instances of the objects that are of this account.
    fn own(&self) -> Vec<Path> {
        let context = self.oscore.as_ref().map(|_| 21);
        let objects = [0].into_iter().chain(context);
        let instance = |object| Path::instance(object, self.instance);
        objects.map(instance).collect()
    }
}

/// Where a client stands with its bootstrap server.
#[derive(Debug, Default)]
pub(super) enum Bootstrap {
    /// Not in bootstrap.
    #[default]
    Idle,
    /// Asks at this time.
    Waiting { until: Instant },
    /// A request is under way.
    Requesting { request: RequestId, pack: bool },
    /// The server writes; it has until then for the Finish.
    Taking { until: Instant },
    /// An account was given, and is taken up at this time.
    Given {
        account: Box<Provisioned>,
        at: Instant,
    },
}

/// How long a client waits for the Bootstrap-Finish (EXCHANGE_LIFETIME).
const PATIENCE: Duration = Duration::from_secs(247);

impl Bootstrap {
    /// True while messages of the bootstrap server are of interest.
    pub(super) fn is_active(&self) -> bool {
        !matches!(self, Bootstrap::Idle)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Bootstrap::Waiting { until } | Bootstrap::Taking { until } => Some(*until),
            Bootstrap::Given { at, .. } => Some(*at),
            Bootstrap::Idle | Bootstrap::Requesting { .. } => None,
        }
    }
}

impl Client {
    /// Registers, or asks for an account when there is none yet.
    pub(super) fn find_server(&mut self, now: Instant) {
        match &self.config.bootstrap {
            Some(account) if !self.provisioned => {
                let pack = account.pack && self.version >= Version::V1_2;
                self.ask_for_account(now, pack);
            }
            _ => self.register(now),
        }
    }

    /// Asks the bootstrap server for accounts, as with `/1/x/9`. Without an account of one nothing
    /// happens.
    pub fn bootstrap(&mut self, now: Instant) {
        let Some(account) = self.config.bootstrap.clone() else {
            return;
        };
        self.stop();
        self.provisioned = false;
        let BootstrapAccount {
            server,
            dtls,
            oscore,
            ..
        } = account;
        self.turn_to(now, server, dtls, oscore);
        self.find_server(now);
        self.settle(now);
    }

    fn ask_for_account(&mut self, now: Instant, pack: bool) {
        let Some(account) = &self.config.bootstrap else {
            return;
        };
        let (code, path) = match pack {
            true => (Code::GET, "bspack"),
            false => (Code::POST, "bs"),
        };
        let mut request = OutgoingRequest::new(code).option(OptionNumber::URI_PATH, path);
        if account.names_itself {
            let name = format!("ep={}", self.config.endpoint_name);
            request = request.option(OptionNumber::URI_QUERY, name);
        }
        let format = account.format.filter(|_| self.version > Version::V1_0);
        match format {
            Some(format) if pack => {
                let own = account.own();
                let own: Vec<String> = own.iter().map(|path| format!("<{path}>")).collect();
                request = request
                    .option(OptionNumber::URI_QUERY, format!("acc={}", own.join(",")))
                    .uint(OptionNumber::ACCEPT, u32::from(format.number()));
            }
            Some(format) => {
                let preferred = format!("pct={}", format.number());
                request = request.option(OptionNumber::URI_QUERY, preferred);
            }
            None => {}
        }
        let request = self.to_server(request);
        self.bootstrap = match self.endpoint.request(now, self.config.server, request) {
            Ok(request) => Bootstrap::Requesting { request, pack },
            Err(_) => Bootstrap::Waiting {
                until: now + self.config.retry.first,
            },
        };
    }

    /// Does what is due.
    pub(super) fn bootstrap_due(&mut self, now: Instant) {
        if self.bootstrap.deadline().is_none_or(|due| due > now) {
            return;
        }
        match std::mem::take(&mut self.bootstrap) {
            Bootstrap::Waiting { .. } => self.find_server(now),
            Bootstrap::Taking { .. } => {
                let failure = RegistrationError::NoAnswer(Failure::NoResponse);
                self.bootstrap_failed(now, None, failure);
            }
            Bootstrap::Given { account, .. } => self.adopt(now, *account),
            Bootstrap::Idle | Bootstrap::Requesting { .. } => {}
        }
    }

    /// True when the response was to a request of this interface.
    pub(super) fn bootstrap_response(
        &mut self,
        now: Instant,
        response: &IncomingResponse<'_, SocketAddr>,
    ) -> bool {
        let Bootstrap::Requesting { request, pack } = &self.bootstrap else {
            return false;
        };
        if *request != response.request {
            return false;
        }
        match (response.message.code(), *pack) {
            (Code::CHANGED, false) => {
                let until = now + PATIENCE;
                self.bootstrap = Bootstrap::Taking { until };
            }
            (Code::CONTENT, true) => {
                let format = response.message.content_format();
                let taken = self.take_pack(format, &response.body);
                match taken.and_then(|()| self.account_given()) {
                    Ok(account) => self.given(now, account),
                    Err(_) => self.ask_for_account(now, false),
                }
            }
            (_, true) => self.ask_for_account(now, false),
            (_, false) => self.bootstrap_failed(now, max_age(response), refused(response)),
        }
        true
    }

    /// True when the failed request was of this interface.
    pub(super) fn bootstrap_unanswered(
        &mut self,
        now: Instant,
        failed: RequestId,
        failure: Failure,
    ) -> bool {
        let asked = match &self.bootstrap {
            Bootstrap::Requesting { request, .. } => *request == failed,
            _ => false,
        };
        if asked {
            self.close_session(now);
            self.bootstrap_failed(now, None, RegistrationError::NoAnswer(failure));
        }
        asked
    }

    /// The bootstrap server is of no use now: another attempt follows.
    pub(super) fn bootstrap_failed(
        &mut self,
        now: Instant,
        pause: Option<Duration>,
        reason: RegistrationError,
    ) {
        if let Bootstrap::Requesting { request, .. } = &self.bootstrap {
            self.endpoint.cancel(*request);
        }
        let until = now + pause.unwrap_or_else(|| self.config.retry.pause(1));
        self.bootstrap = Bootstrap::Waiting { until };
        self.statistics.failed += 1;
        self.tell(DeviceEvent::BootstrapFailed(reason));
    }

    /// The answer to a request of the bootstrap server; none when it stays unanswered.
    pub(super) fn serve_bootstrap(
        &mut self,
        now: Instant,
        request: &IncomingRequest<'_, SocketAddr>,
    ) -> Option<Response> {
        if self.config.quirks.silent {
            return None;
        }
        let method = request.message.code();
        let finish = request.message.uri_path().eq([b"bs"]) && method == Code::POST;
        let (path, outcome) = if finish {
            (None, self.finish(now))
        } else {
            let asked = self.asked(&request.message, &request.body);
            let path = asked.as_ref().ok().map(|asked| asked.path);
            (path, asked.and_then(|asked| self.provision(&asked)))
        };
        let response = outcome.unwrap_or_else(|refusal| {
            Response::new(refusal.code).payload(refusal.reason.as_bytes())
        });
        self.tell(DeviceEvent::Requested {
            method,
            path,
            code: Some(response.code),
        });
        Some(response)
    }

    fn provision(&mut self, asked: &Asked<'_>) -> Result<Response, Refusal> {
        let own = self.own_account();
        let path = &asked.path;
        match asked.method {
            Code::PUT if path.is_root() => Err(Refusal::bad_request("not on the root path")),
            Code::PUT => {
                let records = self.records(*path, asked.format, asked.body)?;
                self.tree.bootstrap_write(path, records, &own)?;
                Ok(Response::new(Code::CHANGED))
            }
            Code::DELETE => {
                self.tree.bootstrap_delete(path, &own)?;
                Ok(Response::new(Code::DELETED))
            }
            Code::GET if asked.accept == Some(ContentFormat::Link.number()) => {
                let links = self.tree.bootstrap_discover(path, self.version)?;
                let format = u32::from(ContentFormat::Link.number());
                Ok(Response::new(Code::CONTENT)
                    .uint(OptionNumber::CONTENT_FORMAT, format)
                    .payload(links))
            }
            Code::GET if self.version > Version::V1_0 => {
                let records = self.tree.bootstrap_read(path)?;
                self.content(path, &records, asked.accept)
            }
            _ => Err(Refusal::not_allowed(
                "a bootstrap server writes, deletes and reads",
            )),
        }
    }

    /// Bootstrap-Finish: from here on the client judges.
    fn finish(&mut self, now: Instant) -> Result<Response, Refusal> {
        let account = self.account_given()?;
        self.given(now, account);
        Ok(Response::new(Code::CHANGED))
    }

    fn account_given(&self) -> Result<Provisioned, Refusal> {
        let account = self.config.bootstrap.as_ref();
        Provisioned::of(&self.tree, account.and_then(|account| account.stand_in))
    }

    /// The account is taken up when the answer is out.
    fn given(&mut self, now: Instant, account: Provisioned) {
        self.bootstrap = Bootstrap::Given {
            account: Box::new(account),
            at: now,
        };
    }

    /// Registers with the account that was given.
    fn adopt(&mut self, now: Instant, account: Provisioned) {
        let Provisioned {
            server,
            dtls,
            oscore,
            server_instance,
        } = account;
        self.config.server_instance = server_instance;
        self.provisioned = true;
        self.turn_to(now, server, dtls, oscore);
        self.tell(DeviceEvent::Bootstrapped { server });
        self.register(now);
    }

    /// Ends what there is with one server, to begin with another.
    fn turn_to(
        &mut self,
        now: Instant,
        server: SocketAddr,
        dtls: Option<DtlsAccount>,
        oscore: Option<OscoreAccount>,
    ) {
        self.settle(now);
        self.close_session(now);
        self.settle(now);
        self.config.server = server;
        self.config.dtls = dtls;
        self.config.oscore = oscore;
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.endpoint = super::endpoint(&self.config, self.seed);
        self.delayed.clear();
        self.secure = None;
        self.reset_session(now);
    }

    /// A pack: every object in it has the instances that are in it, and the own account.
    fn take_pack(&mut self, format: Option<u16>, body: &[u8]) -> Result<(), Refusal> {
        let own = self.own_account();
        let records = self.records(Path::ROOT, format, body)?;
        let mut objects: Vec<u16> = records.iter().filter_map(|r| r.path.object_id()).collect();
        objects.sort_unstable();
        objects.dedup();
        for object in objects {
            self.tree.bootstrap_delete(&Path::object(object), &own)?;
        }
        self.tree.bootstrap_write(&Path::ROOT, records, &own)
    }

    fn records(
        &self,
        path: Path,
        format: Option<u16>,
        body: &[u8],
    ) -> Result<Vec<Record<'static>>, Refusal> {
        let format = format.ok_or(Refusal::unsupported_format("no content format"))?;
        // TLV is what every client has to understand here.
        let format = match ContentFormat::from_number(format) {
            Some(ContentFormat::Tlv) => ContentFormat::Tlv,
            _ => self.formats.of_payload(format)?,
        };
        let decoded = codec::decode(format, Scope::from(path), body, &AllTypes(&self.tree));
        let decoded = decoded.map_err(|_| Refusal::bad_request("the payload is malformed"))?;
        let records = decoded.into_owned().strict();
        records.map_err(|_| Refusal::bad_request("a value has the wrong type"))
    }

    fn own_account(&self) -> Vec<Path> {
        let account = self.config.bootstrap.as_ref();
        account.map(BootstrapAccount::own).unwrap_or_default()
    }
}
