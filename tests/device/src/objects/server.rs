//! Object 1, LwM2M Server.

use lwm2m_core::{DataType, ExecuteArguments, ObjectVersion, Value, Version};

use crate::{Context, Definition, Effect, Object, Refusal, ResourceValue, Store};

const LIFETIME: u16 = 1;
const DISABLE: u16 = 4;
const UPDATE_TRIGGER: u16 = 8;
const BOOTSTRAP_TRIGGER: u16 = 9;

const BASE: [Definition; 9] = [
    Definition::read(0, DataType::Integer).mandatory(),
    Definition::read_write(LIFETIME, DataType::Integer).mandatory(),
    Definition::read_write(2, DataType::Integer),
    Definition::read_write(3, DataType::Integer),
    Definition::execute(DISABLE),
    Definition::read_write(5, DataType::Integer),
    Definition::read_write(6, DataType::Boolean).mandatory(),
    Definition::read_write(7, DataType::String).mandatory(),
    Definition::execute(UPDATE_TRIGGER).mandatory(),
];

const SINCE_1_1: [Definition; 10] = [
    Definition::execute(BOOTSTRAP_TRIGGER),
    Definition::hidden(13, DataType::Unsigned),
    Definition::hidden(14, DataType::Unsigned),
    Definition::hidden(15, DataType::Boolean),
    Definition::hidden(16, DataType::Boolean),
    Definition::hidden(17, DataType::Unsigned),
    Definition::hidden(18, DataType::Unsigned),
    Definition::hidden(19, DataType::Unsigned),
    Definition::hidden(20, DataType::Unsigned),
    Definition::read_write(23, DataType::Boolean),
];

const SINCE_1_2: [Definition; 2] = [
    Definition::read_write(26, DataType::Integer),
    Definition::read_write(27, DataType::Unsigned),
];

/// The settings of a server account that the Server object shows.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSettings {
    /// Short Server ID, 1 to 65534.
    pub short_server_id: u16,
    /// Lifetime of the registration, in seconds.
    pub lifetime_s: u32,
    /// Default Minimum Period, in seconds; none: the resource is absent.
    pub pmin_s: Option<u32>,
    /// Default Maximum Period, in seconds; none: the resource is absent.
    pub pmax_s: Option<u32>,
    /// Disable Timeout, in seconds.
    pub disable_s: u32,
    /// Whether notifications are kept while the server is out of reach.
    pub store_notifications: bool,
    /// Binding, as in `U`.
    pub binding: String,
    /// Mute Send (1.1); none: the resource is absent.
    pub mute_send: Option<bool>,
    /// Confirmable notifications by default (1.2); none: the resource is absent.
    pub confirm_notifications: Option<bool>,
}

impl Default for ServerSettings {
    fn default() -> ServerSettings {
        ServerSettings {
            short_server_id: 1,
            lifetime_s: 300,
            pmin_s: None,
            pmax_s: None,
            disable_s: 86400,
            store_notifications: false,
            binding: "U".to_owned(),
            mute_send: Some(false),
            confirm_notifications: None,
        }
    }
}

/// Object 1: acts on Registration Update Trigger and Disable, and checks what is written.
#[derive(Debug, Clone)]
pub struct Server {
    store: Store,
    /// There is a bootstrap server to ask.
    bootstraps: bool,
}

impl Server {
    /// The Server object in the form of this enabler version, with instance 0.
    pub fn new(version: Version, settings: &ServerSettings) -> Server {
        let mut definitions = BASE.to_vec();
        if version >= Version::V1_1 {
            definitions.extend(SINCE_1_1);
        }
        if version >= Version::V1_2 {
            definitions.extend(SINCE_1_2);
        }
        let minor = match version {
            Version::V1_0 => 0,
            Version::V1_1 => 1,
            Version::V1_2 => 2,
        };
        let mut store = Store::new(1, definitions)
            .version(ObjectVersion { major: 1, minor })
            .with_instance(
                0,
                [
                    (0, Value::Integer(i64::from(settings.short_server_id))),
                    (LIFETIME, Value::Integer(i64::from(settings.lifetime_s))),
                    (5, Value::Integer(i64::from(settings.disable_s))),
                    (6, Value::Boolean(settings.store_notifications)),
                    (7, Value::from(settings.binding.clone())),
                ],
            );
        let mut optional = |resource, value: Option<Value<'static>>, since| {
            if let Some(value) = value.filter(|_| version >= since) {
                store.set(0, resource, value);
            }
        };
        let seconds = |s: u32| Value::Integer(i64::from(s));
        optional(2, settings.pmin_s.map(seconds), Version::V1_0);
        optional(3, settings.pmax_s.map(seconds), Version::V1_0);
        optional(23, settings.mute_send.map(Value::Boolean), Version::V1_1);
        let mode = settings
            .confirm_notifications
            .map(|con| Value::Integer(i64::from(con)));
        optional(26, mode, Version::V1_2);
        Server {
            store,
            bootstraps: false,
        }
    }

    /// The same, as a bootstrap server finds it: without instances, and with one to ask.
    pub(crate) fn before_bootstrap(mut self) -> Server {
        self.store.remove_instance(0);
        self.bootstraps = true;
        self
    }
}

impl Object for Server {
    fn store(&self) -> &Store {
        &self.store
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    fn check(&self, _instance: u16, resource: u16, value: &ResourceValue) -> Result<(), Refusal> {
        let valid = match (resource, value) {
            (LIFETIME | 2 | 3 | 5, ResourceValue::Single(Value::Integer(seconds))) => {
                u32::try_from(*seconds).is_ok()
            }
            (7, ResourceValue::Single(Value::String(binding))) => {
                !binding.is_empty() && binding.bytes().all(|letter| b"UTSNMHQ".contains(&letter))
            }
            (26, ResourceValue::Single(Value::Integer(mode))) => (0..=1).contains(mode),
            (27, ResourceValue::Single(Value::Unsigned(suite))) => *suite <= 255,
            _ => true,
        };
        if valid {
            Ok(())
        } else {
            Err(Refusal::bad_request("the value is out of range"))
        }
    }

    fn check_delete(&self, _instance: u16) -> Result<(), Refusal> {
        if self.store.instances().count() == 1 {
            return Err(Refusal::not_allowed("the last server account stays"));
        }
        Ok(())
    }

    fn execute(
        &mut self,
        _instance: u16,
        resource: u16,
        _arguments: &ExecuteArguments,
        context: &mut Context,
    ) -> Result<(), Refusal> {
        match resource {
            DISABLE => context.ask(Effect::Disable),
            UPDATE_TRIGGER => context.ask(Effect::Update),
            BOOTSTRAP_TRIGGER if self.bootstraps => context.ask(Effect::Bootstrap),
            _ => return Err(Refusal::not_allowed("there is no bootstrap server")),
        }
        Ok(())
    }
}
