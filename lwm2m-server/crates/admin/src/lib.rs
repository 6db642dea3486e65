//! The HTTP API over a running server. Only this crate knows HTTP.
//!
//! ```no_run
//! # async fn serve(server: lwm2m_server::Server) -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! lwm2m_admin::serve(listener, server, lwm2m_admin::HttpLimits::default()).await
//! # }
//! ```
//!
//! [`serve`] holds callers to limits; [`router`] is for those who have a server of their own. Who
//! has more to tell adds routes: [`serve_with_more`], [`router_with_more`].
//!
//! All paths begin with `/api/v1`. `{ep}` is an endpoint name, percent-encoded; `{path}` an LwM2M
//! path without its first slash, as in `3/0/9`.
//!
//! | Method | Path | What |
//! | --- | --- | --- |
//! | GET | `/status` | version, listeners, counters |
//! | GET | `/capabilities` | versions, bindings, backends and modes of security, optional parts |
//! | GET | `/events?endpoint=` | everything that happens, as server-sent events |
//! | GET | `/models` | the objects in service, what the models directory changed last, what is wrong in it |
//! | GET | `/objects/{id}?version=` | the model of an object: names, types, units |
//! | GET | `/clients?after=&limit=&contains=` | registrations by endpoint name; `next` is the `after` of the next page |
//! | GET | `/clients/{ep}` | one registration with its objects |
//! | DELETE | `/clients/{ep}` | forgets the registration without telling the device |
//! | GET | `/clients/{ep}/objects/{path}` | Read |
//! | PUT | `/clients/{ep}/objects/{path}` | Write, replacing: [values](#values) |
//! | POST | `/clients/{ep}/objects/{path}` | Write, changing only what is named |
//! | DELETE | `/clients/{ep}/objects/{path}` | Delete |
//! | GET | `/clients/{ep}/discover/{path}?depth=` | Discover |
//! | PUT | `/clients/{ep}/attributes/{path}?pmin=10&st` | Write-Attributes; a key without value unsets it |
//! | POST | `/clients/{ep}/execute/{path}` | Execute: `{"arguments": "0='text',1"}` or no body |
//! | POST | `/clients/{ep}/create/{object}` | Create with the lowest free instance id; `?instance=device` leaves the choice to the device |
//! | POST | `/clients/{ep}/create/{object}/{instance}` | Create of this instance |
//! | POST | `/clients/{ep}/composite/read` | Read-Composite: `{"paths": ["/3/0", "/1/0/1"]}` |
//! | POST | `/clients/{ep}/composite/write` | Write-Composite: `{"values": {"/1/0/1": 300}}` |
//! | GET | `/bootstrap/plans` | what is written into which device, never keys: [bootstrap](#bootstrap) |
//! | POST | `/bootstrap/plans` | adds a plan |
//! | GET | `/bootstrap/plans/{endpoint}` | the plan for these endpoint names, as it says them |
//! | DELETE | `/bootstrap/plans/{endpoint}` | removes it |
//! | POST | `/bootstrap/import` | adds the plans of a file of TOML, all or none |
//! | GET | `/credentials?after=&limit=&endpoint=&mode=` | credentials by id, never their keys; `next` as above |
//! | POST | `/credentials` | adds one: [credentials](#credentials) |
//! | GET | `/credentials/{id}` | one credential |
//! | DELETE | `/credentials/{id}` | removes it; its sessions and registrations end |
//! | POST | `/credentials/generate` | makes a pre-shared key: `{"endpoint": "meter-7", "identity": "meter-7", "bits": 128}`; the answer has the `key`, once |
//! | POST | `/credentials/import?format=` | adds many, all or none: JSON, or CSV with `format=csv` or as `text/csv` |
//! | GET | `/observe/rules` | what the server observes on which devices by itself: [observe rules](#observe-rules) |
//! | PUT | `/observe/rules` | takes these in the place of all that came over HTTP: `{"rules": […]}`, all or none |
//! | GET | `/observe/rules/{endpoint}` | the rule for these endpoint names |
//! | PUT | `/observe/rules/{endpoint}` | makes it, or takes another in its place |
//! | DELETE | `/observe/rules/{endpoint}` | removes it; one of the configuration counts again |
//! | GET | `/clients/{ep}/observations` | the observations that stand; `planned` are those that the server made by itself, `withdrawn` those of them that were cancelled here: they stay away until the plan or the links change |
//! | POST | `/clients/{ep}/observations` | Observe: `{"path": "/3/0/9"}`, or `{"paths": […]}` for a composite; `attributes` (1.2) as in `{"pmin": 5}` |
//! | DELETE | `/clients/{ep}/observations/{id}?mode=` | cancels, `active` (default) or `passive` |
//!
//! Everything that asks a device takes `?timeout_s=` (how long it may wait and run) and
//! `?unchecked=true` (sends what the version or model of the device rules out); `?format=` names
//! the format of what is sent, or for Read and Observe of the answer; composite reads take
//! `?accept=` for the answer. A request whose caller goes away is withdrawn while it still waits.
//!
//! # Answers
//!
//! `{"code": "2.05 Content", "format": "senml-cbor", "elapsed_ms": 41.8, "values": […],
//! "faults": […]}`; also `links` (Discover), `created` (Create), `observation` (the id, when one
//! stands now). A value is `{"path", "value", "type", "name", "unit", "time"}`; the last three are
//! left out when they are not known. A fault is `{"path", "error", "raw"}`: a value that could not
//! be decoded, with its bytes in base64.
//!
//! # Values
//!
//! A Write takes `{"value": 5}` at the path itself, or `{"values": {"14": "+02:00", "6/0": 1,
//! "/3/0/15": "Europe/Berlin"}}` below it. The object model gives the type; `{"value": "5",
//! "type": "integer"}` gives it where no model does, at either place. Opaque is base64, or
//! `{"hex": "00ff"}`, `{"base64": "AP8="}`; a time Unix seconds or RFC 3339; an object link
//! `"21:3"`; every other type also goes as text. `null` in a composite write removes a resource
//! instance.
//!
//! # Credentials
//!
//! `{"id": "m7", "mode": "psk", "identity": "meter-7", "key": "00ff…", "endpoints": ["meter-7"]}`;
//! all fields are those of [`CredentialDocument`](lwm2m_server::credentials::CredentialDocument).
//! An answer has no key, but `key_bytes`, and `warnings` as `{"code", "message", "hint"}`. An
//! import is a list of such objects, or CSV whose head line names the fields.
//!
//! # Bootstrap
//!
//! `{"endpoint": "meter-*", "server": [{"short_server_id": 101, "uri": "coaps://192.0.2.1:5685",
//! "credential": "psk"}]}`; the fields are those of a `[[device]]` in `bootstrap.toml`, which is where
//! plans are kept. See [`BootstrapDocument`](lwm2m_server::bootstrap::BootstrapDocument).
//!
//! # Observe rules
//!
//! `{"endpoint": "urn:imei:35*", "strategy": "SINGLE", "paths": ["/3/0/9"], "attributes": {"/3/0/9":
//! {"pmin": 10}}}`; the fields are those of an `[[observe.rule]]` of the configuration, see
//! [`ObserveRuleDocument`](lwm2m_server::observe::ObserveRuleDocument). The first one that fits a
//! device counts: those that came over HTTP, the one set last first, then those of the configuration
//! for other endpoints; `*`, for devices that no other rule is for, is always last. `set_by` says which
//! is which, `operator` or `configuration`. What came over HTTP is kept in `[observe] file` and counts
//! after a restart as well. `changing` is true while devices are looked at since rules have changed,
//! `planned` and `unfinished` are numbers of devices, and `refused` says why the configuration was not
//! taken when it was read last.
//!
//! # Events
//!
//! The names are `registered`, `updated`, `deregistered`, `expired`, `refused`, `session_ended`,
//! `awake`, `asleep`,
//! `observation_started`, `observation_ended`, `notification`, `undecodable`, `send`,
//! `observe_rules`, `observe_planned`, `observe_established`, `observe_failed`,
//! `models_loaded`, `keys_reloaded` and `lagged` (events were dropped because the reader was slow).
//! Their data is an object with `at`, `endpoint` where it is known, and what belongs to the event:
//! `registration`, `observation` with `paths`, `values` with `faults`, `reason`, `models` as the
//! `directory` of `/models`, `warnings` about certificates; of a plan its `owner`, the `observations`
//! that it comes to, and the paths that are `left_out`, then how many were `made`, `cancelled` and
//! `failed`.
//!
//! # Errors
//!
//! Problem documents (RFC 9457) with `type`, `title`, `status`, `detail` and where there is one
//! `coap_code` and `hint`. `type` is `urn:lwm2m:problem:` and a word:
//!
//! | Status | Words |
//! | --- | --- |
//! | as the device's 4.xx | `device-refused`: 4.00, 4.04 to 4.06, 4.08, 4.09, 4.12, 4.13, 4.15, 4.22 and 4.29 keep their number, 4.01 and 4.03 become 403, others 502 |
//! | 400 | `invalid-request`, `invalid-path`, `invalid-endpoint`, `invalid-parameter`, `invalid-body`, `invalid-value`, `unencodable`, `invalid-credential`, `invalid-plan`, `invalid-rule` with `errors`, `invalid-import` with `errors` as `{"line", "field", "message"}` |
//! | 403 | `cross-origin`: a web page of another origin asked for a change |
//! | 404 | `not-registered`, `no-observation`, `unknown-object`, `unknown-route`, `unknown-credential`, `no-credentials` when the server has no store, `unknown-plan`, `no-plans` when it keeps none, `unknown-rule` |
//! | 405 | `method-not-allowed` |
//! | 409 | `too-many-observations` of one device, `credential-taken`, `credentials-full`, `plan-taken`, `plans-full`, `rule-of-configuration`, `rules-full` |
//! | 410 | `registration-ended` while the request waited |
//! | 413 | `body-too-large`: above [`BODY_MAX`], or [`IMPORT_MAX`] for an import |
//! | 422 | `against-model`, `not-in-version`: refused before sending, see `unchecked` |
//! | 502 | `device-refused` (5.xx), `device-reset`, `protocol-violation`, `undecodable-answer` |
//! | 503 | `queue-full`, `overloaded`, `shutting-down`, `too-many-streams`, `credentials-unavailable`, `plans-unavailable`, `rules-unavailable`, with Retry-After |
//! | 504 | `asleep`, `deadline`, `device-silent`, `no-response` |
//!
//! There is no authentication and no CORS: listen on loopback, or put a proxy in front.

mod answer;
mod body;
mod bootstrap;
mod capabilities;
mod clients;
mod credentials;
mod events;
mod models;
mod naming;
mod observations;
mod observe;
mod operations;
mod origin;
mod problem;
mod query;
mod registration;
mod serve;
mod status;
mod target;
mod time;
mod value;

use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware;
use axum::routing::{delete, get, post, put};
use axum::{Extension, Router};
use lwm2m_server::Server;
use tower_http::timeout::RequestBodyTimeoutLayer;

pub use serve::{HttpLimits, serve, serve_with_more};
pub use time::rfc3339;

use problem::Problem;

/// The largest request body, in bytes; 1 MiB.
pub const BODY_MAX: usize = 1 << 20;

/// The largest body of an import of credentials or plans, in bytes; 32 MiB.
pub const IMPORT_MAX: usize = 32 << 20;

/// The API over `server`, with the paths of the [table](crate).
pub fn router(server: Server) -> Router {
    router_with(server, &HttpLimits::default())
}

/// The API over `server`, with other limits for what a request may take.
pub fn router_with(server: Server, limits: &HttpLimits) -> Router {
    router_with_more(server, limits, Router::new())
}

/// The same with routes of somebody else below `/api/v1`: they are held to the same limits, and a
/// web page of another origin changes nothing through them either.
pub fn router_with_more(server: Server, limits: &HttpLimits, more: Router<Server>) -> Router {
    let client = Router::new()
        .route("/", get(clients::one).delete(clients::forget))
        .route(
            "/objects/{*path}",
            get(operations::read)
                .put(operations::replace)
                .post(operations::update)
                .delete(operations::delete),
        )
        .route("/discover/{*path}", get(operations::discover))
        .route("/attributes/{*path}", put(operations::write_attributes))
        .route("/execute/{*path}", post(operations::execute))
        .route("/create/{*path}", post(operations::create))
        .route("/composite/read", post(operations::read_composite))
        .route("/composite/write", post(operations::write_composite))
        .route(
            "/observations",
            get(observations::list).post(observations::start),
        )
        .route("/observations/{id}", delete(observations::cancel));
    let api = Router::new()
        .route("/status", get(status::status))
        .route("/capabilities", get(capabilities::capabilities))
        .route("/events", get(events::stream))
        .layer(Extension(events::Streams::new(limits.event_streams_max)))
        .route("/models", get(models::all))
        .route("/objects/{id}", get(models::object))
        .route("/clients", get(clients::list))
        .nest("/clients/{endpoint}", client)
        .nest("/bootstrap", bootstrap())
        .nest("/credentials", credentials())
        .route("/observe/rules", get(observe::list).put(observe::replace))
        .route(
            "/observe/rules/{endpoint}",
            get(observe::one).put(observe::set).delete(observe::remove),
        )
        .merge(more);
    Router::new()
        .nest("/api/v1", api)
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(origin::same_origin))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(RequestBodyTimeoutLayer::new(limits.body_timeout))
        .with_state(server)
}

fn bootstrap() -> Router<Server> {
    let import = post(bootstrap::import).layer(DefaultBodyLimit::max(IMPORT_MAX));
    Router::new()
        .route("/plans", get(bootstrap::list).post(bootstrap::add))
        .route(
            "/plans/{endpoint}",
            get(bootstrap::one).delete(bootstrap::remove),
        )
        .route("/import", import)
}

fn credentials() -> Router<Server> {
    let import = post(credentials::import).layer(DefaultBodyLimit::max(IMPORT_MAX));
    Router::new()
        .route("/", get(credentials::list).post(credentials::add))
        .route("/import", import)
        .route("/generate", post(credentials::generate))
        .route("/{id}", get(credentials::one).delete(credentials::remove))
}

async fn unknown_route(uri: axum::http::Uri) -> Problem {
    Problem::unknown_route(uri.path())
}

async fn method_not_allowed(method: Method) -> Problem {
    Problem::method_not_allowed(&method)
}
