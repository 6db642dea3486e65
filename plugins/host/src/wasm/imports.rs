//! Host functions: what a component imports of the contract, carried out by the services.

use std::time::Duration;

use wasmtime::component::{HasSelf, Linker};

use super::bindings::lwm2m::plugin::{
    clock, device, events, http, kv, log, metrics, registry, types,
};
use super::instance::State;
use super::{input, output};
use crate::Failure;
use crate::services::{
    DeviceError, EventError, HttpError, HttpRequest, KvError, Level, RegistryError, Scope,
};

/// Links all of them. What a plugin may do is looked at when it does it: components of some
/// languages import everything.
///
/// # Errors
/// Something is linked already.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Own = HasSelf<State>;
    log::add_to_linker::<_, Own>(linker, |state| state)?;
    metrics::add_to_linker::<_, Own>(linker, |state| state)?;
    clock::add_to_linker::<_, Own>(linker, |state| state)?;
    kv::add_to_linker::<_, Own>(linker, |state| state)?;
    registry::add_to_linker::<_, Own>(linker, |state| state)?;
    device::add_to_linker::<_, Own>(linker, |state| state)?;
    http::add_to_linker::<_, Own>(linker, |state| state)?;
    events::add_to_linker::<_, Own>(linker, |state| state)
}

type Hosted<T> = wasmtime::Result<T>;

impl types::Host for State {}

impl log::Host for State {
    fn write(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> Hosted<()> {
        self.context.count()?;
        if level == log::Level::Error {
            self.last_error = Some(first_words(&message));
        }
        self.context.log(self::level(level), &message, &fields);
        Ok(())
    }

    fn enabled(&mut self, level: log::Level) -> Hosted<bool> {
        self.context.count()?;
        Ok(match level {
            log::Level::Trace => tracing::enabled!(tracing::Level::TRACE),
            log::Level::Debug => tracing::enabled!(tracing::Level::DEBUG),
            log::Level::Info => tracing::enabled!(tracing::Level::INFO),
            log::Level::Warn => tracing::enabled!(tracing::Level::WARN),
            log::Level::Error => tracing::enabled!(tracing::Level::ERROR),
        })
    }
}

fn level(level: log::Level) -> Level {
    match level {
        log::Level::Trace => Level::Trace,
        log::Level::Debug => Level::Debug,
        log::Level::Info => Level::Info,
        log::Level::Warn => Level::Warn,
        log::Level::Error => Level::Error,
    }
}

/// What becomes of standard output: a line in the log for each of its lines.
#[cfg(feature = "wasi")]
pub(super) fn log_output(state: &mut State, output: &str) {
    let said = |line: &&str| !line.trim().is_empty() && !line.starts_with("note: run with");
    let lines: Vec<&str> = output.lines().filter(said).collect();
    // With a trap these are its last words; otherwise nobody asks for them.
    state.last_error = Some(first_words(&lines.join(" ")));
    for line in lines {
        state.context.log(Level::Info, line, &[]);
    }
}

/// No more of a message than an event has room for.
fn first_words(message: &str) -> String {
    const MAX: usize = 300;
    message[..message.floor_char_boundary(MAX)].to_owned()
}

impl metrics::Host for State {
    fn add(&mut self, name: String, value: f64, labels: Vec<(String, String)>) -> Hosted<()> {
        self.context.count()?;
        self.context.add_metric(&name, value, labels);
        Ok(())
    }

    fn observe(&mut self, name: String, value: f64, labels: Vec<(String, String)>) -> Hosted<()> {
        self.add(name, value, labels)
    }
}

/// Random bytes at once.
const RANDOM_MAX: u32 = 4096;

impl clock::Host for State {
    fn now_ms(&mut self) -> Hosted<u64> {
        self.context.count()?;
        Ok(self.context.services().clock.now_ms())
    }

    fn monotonic_ns(&mut self) -> Hosted<u64> {
        self.context.count()?;
        Ok(self.context.services().clock.since(self.started).as_nanos() as u64)
    }

    fn random(&mut self, len: u32) -> Hosted<Vec<u8>> {
        self.context.count()?;
        if len > RANDOM_MAX {
            let what = format!("it asks for {len} random bytes; there are {RANDOM_MAX} at once");
            return Err(Failure::Failed(what).into());
        }
        let mut bytes = vec![0; len as usize];
        rand::fill(&mut bytes[..]);
        Ok(bytes)
    }
}

impl kv::Host for State {
    async fn get(
        &mut self,
        scope: kv::Scope,
        key: String,
    ) -> Hosted<Result<Option<kv::Entry>, kv::Error>> {
        self.context.count()?;
        self.context.kv_reached().await;
        let entry = self.context.kv_get(self::scope(scope), &key);
        Ok(entry.map_err(kv_error).map(|entry| {
            entry.map(|entry| kv::Entry {
                value: entry.value,
                revision: entry.revision,
            })
        }))
    }

    async fn set(
        &mut self,
        scope: kv::Scope,
        key: String,
        value: Vec<u8>,
        ttl_s: Option<u32>,
    ) -> Hosted<Result<u64, kv::Error>> {
        self.context.count()?;
        self.context.kv_reached().await;
        let set = self.context.kv_set(self::scope(scope), &key, value, ttl_s);
        Ok(set.map_err(kv_error))
    }

    async fn compare_and_set(
        &mut self,
        scope: kv::Scope,
        key: String,
        expected: u64,
        value: Vec<u8>,
        ttl_s: Option<u32>,
    ) -> Hosted<Result<u64, kv::Error>> {
        self.context.count()?;
        self.context.kv_reached().await;
        let scope = self::scope(scope);
        let set = self
            .context
            .kv_compare_and_set(scope, &key, expected, value, ttl_s);
        Ok(set.map_err(kv_error))
    }

    async fn delete(&mut self, scope: kv::Scope, key: String) -> Hosted<Result<(), kv::Error>> {
        self.context.count()?;
        self.context.kv_reached().await;
        let deleted = self.context.kv_delete(self::scope(scope), &key);
        Ok(deleted.map_err(kv_error))
    }

    async fn increment(
        &mut self,
        scope: kv::Scope,
        key: String,
        by: i64,
    ) -> Hosted<Result<i64, kv::Error>> {
        self.context.count()?;
        self.context.kv_reached().await;
        let number = self.context.kv_increment(self::scope(scope), &key, by);
        Ok(number.map_err(kv_error))
    }

    async fn keys(
        &mut self,
        scope: kv::Scope,
        prefix: String,
        limit: u32,
    ) -> Hosted<Result<Vec<String>, kv::Error>> {
        self.context.count()?;
        self.context.kv_reached().await;
        let keys = self.context.kv_keys(self::scope(scope), &prefix, limit);
        Ok(keys.map_err(kv_error))
    }
}

fn scope(scope: kv::Scope) -> Scope {
    match scope {
        kv::Scope::Plugin => Scope::Plugin,
        kv::Scope::Device => Scope::Device,
    }
}

fn kv_error(error: KvError) -> kv::Error {
    match error {
        KvError::PermissionDenied => kv::Error::PermissionDenied,
        KvError::Quota => kv::Error::Quota,
        KvError::TooLarge => kv::Error::TooLarge,
        KvError::Conflict => kv::Error::Conflict,
        KvError::Unavailable(why) => kv::Error::Unavailable(why),
    }
}

impl registry::Host for State {
    async fn get(
        &mut self,
        endpoint: String,
    ) -> Hosted<Result<Option<types::Registration>, registry::Error>> {
        self.context.count()?;
        let found = self.context.registration(&endpoint).await;
        let found = found.map(|found| found.as_ref().map(input::registration));
        Ok(found.map_err(registry_error))
    }

    async fn names(
        &mut self,
        after: Option<String>,
        limit: u32,
    ) -> Hosted<Result<Vec<String>, registry::Error>> {
        self.context.count()?;
        let names = self.context.endpoint_names(after, limit).await;
        Ok(names.map_err(registry_error))
    }
}

fn registry_error(error: RegistryError) -> registry::Error {
    match error {
        RegistryError::PermissionDenied => registry::Error::PermissionDenied,
        RegistryError::Unavailable => registry::Error::Unavailable,
    }
}

impl device::Host for State {
    async fn read(
        &mut self,
        endpoint: String,
        paths: Vec<types::Path>,
    ) -> Hosted<Result<Vec<types::Measurement>, device::Error>> {
        self.context.count()?;
        let paths = output::paths(&paths)?;
        let records = self.context.device_read(&endpoint, &paths).await;
        let received = self.context.services().clock.now();
        let measured = |records: Vec<_>| input::measurements(&records, received);
        Ok(records.map(measured).map_err(device_error))
    }

    async fn write(
        &mut self,
        endpoint: String,
        values: Vec<(types::Path, types::Value)>,
    ) -> Hosted<Result<(), device::Error>> {
        self.context.count()?;
        let values = output::values(values)?;
        let written = self.context.device_write(&endpoint, values).await;
        Ok(written.map_err(device_error))
    }

    async fn execute(
        &mut self,
        endpoint: String,
        path: types::Path,
        arguments: Option<String>,
    ) -> Hosted<Result<(), device::Error>> {
        self.context.count()?;
        let path = output::path(&path)?;
        let executed = self
            .context
            .device_execute(&endpoint, path, arguments)
            .await;
        Ok(executed.map_err(device_error))
    }

    async fn write_attributes(
        &mut self,
        endpoint: String,
        path: types::Path,
        attributes: types::NotificationAttributes,
    ) -> Hosted<Result<(), device::Error>> {
        self.context.count()?;
        let path = output::path(&path)?;
        let attributes = output::attributes(attributes);
        let written = self
            .context
            .device_write_attributes(&endpoint, path, attributes)
            .await;
        Ok(written.map_err(device_error))
    }

    async fn discover(
        &mut self,
        endpoint: String,
        path: types::Path,
    ) -> Hosted<Result<String, device::Error>> {
        self.context.count()?;
        let path = output::path(&path)?;
        let links = self.context.device_discover(&endpoint, path).await;
        Ok(links.map_err(device_error))
    }
}

fn device_error(error: DeviceError) -> device::Error {
    match error {
        DeviceError::PermissionDenied(..) => device::Error::PermissionDenied,
        DeviceError::NotAllowedHere => device::Error::NotAllowedHere,
        DeviceError::NotRegistered => device::Error::NotRegistered,
        DeviceError::Timeout => device::Error::Timeout,
        DeviceError::Response(code) => device::Error::Response(code),
        DeviceError::Transport(why) => device::Error::Transport(why),
    }
}

impl http::Host for State {
    async fn send(
        &mut self,
        request: http::Request,
    ) -> Hosted<Result<http::Response, http::Error>> {
        self.context.count()?;
        let request = HttpRequest {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
            timeout: request
                .timeout_ms
                .map(|ms| Duration::from_millis(ms.into())),
        };
        let response = self.context.http(request).await;
        Ok(response.map_err(http_error).map(|response| http::Response {
            status: response.status,
            headers: response.headers,
            body: response.body,
        }))
    }
}

fn http_error(error: HttpError) -> http::Error {
    match error {
        HttpError::PermissionDenied(_) => http::Error::PermissionDenied,
        HttpError::NotAllowedHere => http::Error::NotAllowedHere,
        HttpError::Timeout => http::Error::Timeout,
        HttpError::TooLarge => http::Error::TooLarge,
        HttpError::Failed(why) => http::Error::Failed(why),
    }
}

impl events::Host for State {
    fn emit(
        &mut self,
        kind: String,
        endpoint: Option<String>,
        json: String,
    ) -> Hosted<Result<(), events::Error>> {
        self.context.count()?;
        let emitted = self.context.emit(&kind, endpoint.as_deref(), &json);
        Ok(emitted.map_err(event_error))
    }
}

fn event_error(error: EventError) -> events::Error {
    match error {
        EventError::PermissionDenied => events::Error::PermissionDenied,
        EventError::TooLarge => events::Error::TooLarge,
        EventError::InvalidJson => events::Error::InvalidJson,
        EventError::Unavailable => events::Error::Unavailable,
    }
}
