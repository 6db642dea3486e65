//! Object 5, Firmware Update: a device that pretends to install what it gets.

use std::time::{Duration, Instant};

use lwm2m_core::{DataType, ExecuteArguments, ObjectVersion, Path, Value};

use crate::{Context, Definition, DownloadError, Effect, Object, Refusal, ResourceValue, Store};

const PACKAGE: u16 = 0;
const PACKAGE_URI: u16 = 1;
const UPDATE: u16 = 2;
const STATE: u16 = 3;
const RESULT: u16 = 5;
const PACKAGE_NAME: u16 = 6;
const PACKAGE_VERSION: u16 = 7;
const PROTOCOLS: u16 = 8;
const DELIVERY_METHOD: u16 = 9;
const CANCEL: u16 = 10;

const IDLE: i64 = 0;
const DOWNLOADING: i64 = 1;
const DOWNLOADED: i64 = 2;
const UPDATING: i64 = 3;

const DEFINITIONS: [Definition; 10] = [
    Definition::write(PACKAGE, DataType::Opaque).mandatory(),
    Definition::read_write(PACKAGE_URI, DataType::String).mandatory(),
    Definition::execute(UPDATE).mandatory(),
    Definition::read(STATE, DataType::Integer).mandatory(),
    Definition::read(RESULT, DataType::Integer).mandatory(),
    Definition::read(PACKAGE_NAME, DataType::String),
    Definition::read(PACKAGE_VERSION, DataType::String),
    Definition::read(PROTOCOLS, DataType::Integer).multiple(),
    Definition::read(DELIVERY_METHOD, DataType::Integer).mandatory(),
    Definition::execute(CANCEL),
];

/// What goes wrong in a simulated firmware update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FirmwareFault {
    /// The package is refused after the transfer, with this Update Result (2 to 7).
    Package(u8),
    /// The installation fails with this Update Result (8 as a rule).
    Install(u8),
    /// The device installs, re-registers, and still has the old version.
    Forgotten,
}

/// Object 5 version 1.1: push to `/5/0/0`, pull by `/5/0/1` over `coap://`, install by `/5/0/2`.
///
/// After the installation `/3/0/3` has the new version, the result is 1 and the device has
/// registered anew. The new version is the first line of the package when that reads
/// `version=...`, else the old one with its last number increased.
#[derive(Debug, Clone)]
pub struct Firmware {
    store: Store,
    installed: String,
    install_time: Duration,
    fault: Option<FirmwareFault>,
    done_at: Option<Instant>,
}

impl Firmware {
    /// A device that runs this version; `/3/0/3` should say the same.
    pub fn new(installed: &str) -> Firmware {
        let store = Store::new(5, &DEFINITIONS[..])
            .single()
            .version(ObjectVersion { major: 1, minor: 1 })
            .with_instance(
                0,
                [
                    (PACKAGE_URI, Value::from("")),
                    (STATE, Value::Integer(IDLE)),
                    (RESULT, Value::Integer(0)),
                    (PACKAGE_NAME, Value::from("firmware")),
                    (PACKAGE_VERSION, Value::from("")),
                    (DELIVERY_METHOD, Value::Integer(2)),
                ],
            )
            .with_values(0, [(PROTOCOLS, ResourceValue::multiple([(0, 0)]))]);
        Firmware {
            store,
            installed: installed.to_owned(),
            install_time: Duration::from_secs(1),
            fault: None,
            done_at: None,
        }
    }

    /// The same, taking this long to install; 1 s when not set.
    pub fn install_time(mut self, install_time: Duration) -> Firmware {
        self.install_time = install_time;
        self
    }

    /// The same, failing in a certain way.
    pub fn fault(mut self, fault: FirmwareFault) -> Firmware {
        self.fault = Some(fault);
        self
    }

    /// The same, with another delivery method (`/5/0/9`): 0 pull, 1 push, 2 both.
    pub fn delivery_method(mut self, method: u8) -> Firmware {
        self.store.set(0, DELIVERY_METHOD, i64::from(method));
        self
    }

    fn state(&self) -> i64 {
        self.store.integer(0, STATE).unwrap_or(IDLE)
    }

    fn enter(&mut self, state: i64, result: i64) {
        self.store.set(0, STATE, state);
        self.store.set(0, RESULT, result);
    }

    fn package_arrived(&mut self, package: &[u8]) {
        if let Some(FirmwareFault::Package(result)) = self.fault {
            return self.enter(IDLE, i64::from(result));
        }
        let version = version_line(package).unwrap_or_else(|| successor(&self.installed));
        self.store.set(0, PACKAGE_VERSION, version);
        self.enter(DOWNLOADED, 0);
    }

    fn reset(&mut self, result: i64, context: &mut Context) {
        if self.state() == DOWNLOADING {
            context.ask(Effect::CancelDownload);
        }
        self.store.set(0, PACKAGE_URI, "");
        self.store.set(0, PACKAGE_VERSION, "");
        self.enter(IDLE, result);
    }

    fn package_written(&mut self, context: &mut Context) {
        let Some(ResourceValue::Single(Value::Opaque(package))) =
            self.store.value(0, PACKAGE).cloned()
        else {
            return;
        };
        // The package is not kept: its bytes are of no use to a simulation.
        self.store.remove(0, PACKAGE);
        if is_reset(&package) {
            self.reset(0, context);
        } else {
            self.package_arrived(&package);
        }
    }

    fn uri_written(&mut self, context: &mut Context) {
        let uri = self.store.text(0, PACKAGE_URI).unwrap_or("").to_owned();
        if uri.is_empty() {
            self.reset(0, context);
        } else {
            self.enter(DOWNLOADING, 0);
            context.ask(Effect::Download(uri));
        }
    }
}

impl Object for Firmware {
    fn store(&self) -> &Store {
        &self.store
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    fn check(&self, _instance: u16, resource: u16, value: &ResourceValue) -> Result<(), Refusal> {
        let resets = match value {
            ResourceValue::Single(Value::Opaque(package)) => is_reset(package),
            ResourceValue::Single(Value::String(uri)) => uri.is_empty(),
            _ => false,
        };
        match self.state() {
            UPDATING => Err(Refusal::not_allowed("an update is under way")),
            DOWNLOADING | DOWNLOADED if !resets => {
                Err(Refusal::bad_request("reset the firmware state first"))
            }
            _ => match (resource, value) {
                (PACKAGE_URI, ResourceValue::Single(Value::String(uri))) if uri.len() > 255 => {
                    Err(Refusal::bad_request("the URI is too long"))
                }
                _ => Ok(()),
            },
        }
    }

    fn written(&mut self, _instance: u16, resource: u16, context: &mut Context) {
        match resource {
            PACKAGE => self.package_written(context),
            PACKAGE_URI => self.uri_written(context),
            _ => {}
        }
    }

    fn execute(
        &mut self,
        _instance: u16,
        resource: u16,
        _arguments: &ExecuteArguments,
        context: &mut Context,
    ) -> Result<(), Refusal> {
        match (resource, self.state()) {
            (UPDATE, DOWNLOADED) => {
                self.enter(UPDATING, 0);
                self.done_at = Some(context.now + self.install_time);
                Ok(())
            }
            (CANCEL, DOWNLOADING | DOWNLOADED) => {
                self.reset(10, context);
                Ok(())
            }
            _ => Err(Refusal::not_allowed("not in this firmware state")),
        }
    }

    fn downloaded(&mut self, result: Result<&[u8], DownloadError>, _context: &mut Context) {
        if self.state() != DOWNLOADING {
            return;
        }
        match result {
            Ok(package) => self.package_arrived(package),
            Err(DownloadError::Scheme) => self.enter(IDLE, 9),
            Err(DownloadError::Uri | DownloadError::Code(_)) => self.enter(IDLE, 7),
            Err(DownloadError::Transfer(_)) => self.enter(IDLE, 4),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.done_at
    }

    fn elapsed(&mut self, context: &mut Context) {
        self.done_at = None;
        match self.fault {
            Some(FirmwareFault::Install(result)) => self.enter(DOWNLOADED, i64::from(result)),
            fault => {
                if fault != Some(FirmwareFault::Forgotten) {
                    let version = self.store.text(0, PACKAGE_VERSION).unwrap_or("");
                    self.installed = version.to_owned();
                    let version = Value::from(self.installed.clone());
                    context.ask(Effect::Set(Path::resource(3, 0, 3), version));
                }
                let forgotten = fault == Some(FirmwareFault::Forgotten);
                self.store.set(0, PACKAGE_URI, "");
                self.enter(IDLE, i64::from(!forgotten));
                context.ask(Effect::Reboot);
            }
        }
    }
}

/// The single zero byte, or no byte at all, that sets the state back to Idle.
fn is_reset(package: &[u8]) -> bool {
    matches!(package, [] | [0])
}

/// The version that a package names in its first line, `version=2.1.0`.
fn version_line(package: &[u8]) -> Option<String> {
    let line = package.split(|byte| *byte == b'\n').next()?;
    let version = line.strip_prefix(b"version=")?;
    let text = std::str::from_utf8(version).ok()?.trim();
    (!text.is_empty() && text.len() <= 64).then(|| text.to_owned())
}

/// `1.0.9` gives `1.0.10`; a version without a number at its end gets `.1`.
fn successor(version: &str) -> String {
    let digits = version.len() - version.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (head, tail) = version.split_at(version.len() - digits);
    match tail
        .parse::<u32>()
        .ok()
        .and_then(|number| number.checked_add(1))
    {
        Some(number) => format!("{head}{number}"),
        None => format!("{version}.1"),
    }
}

#[cfg(test)]
mod tests;
