//! Object 3, Device.

use std::time::{Duration, Instant};

use lwm2m_core::{DataType, ExecuteArguments, ObjectVersion, Value, Version};

use crate::{Context, Definition, Effect, Object, Refusal, ResourceValue, Store};

const REBOOT: u16 = 4;
const FACTORY_RESET: u16 = 5;
const ERROR_CODE: u16 = 11;
const RESET_ERROR_CODE: u16 = 12;
const CURRENT_TIME: u16 = 13;

/// How often Current Time goes on.
const TICK: Duration = Duration::from_secs(60);

const DEFINITIONS: [Definition; 23] = [
    Definition::read(0, DataType::String),
    Definition::read(1, DataType::String),
    Definition::read(2, DataType::String),
    Definition::read(3, DataType::String),
    Definition::execute(REBOOT).mandatory(),
    Definition::execute(FACTORY_RESET),
    Definition::read(6, DataType::Integer).multiple(),
    Definition::read(7, DataType::Integer).multiple(),
    Definition::read(8, DataType::Integer).multiple(),
    Definition::read(9, DataType::Integer),
    Definition::read(10, DataType::Integer),
    Definition::read(ERROR_CODE, DataType::Integer)
        .multiple()
        .mandatory(),
    Definition::execute(RESET_ERROR_CODE),
    Definition::read_write(CURRENT_TIME, DataType::Time),
    Definition::read_write(14, DataType::String),
    Definition::read_write(15, DataType::String),
    Definition::read(16, DataType::String).mandatory(),
    Definition::read(17, DataType::String),
    Definition::read(18, DataType::String),
    Definition::read(19, DataType::String),
    Definition::read(20, DataType::Integer),
    Definition::read(21, DataType::Integer),
    Definition::read(22, DataType::ObjectLink).multiple(),
];

/// Object 3: who made the device, its power supply, its clock; reboots when asked.
///
/// Where the device knows the wall-clock time, Current Time (`/3/0/13`) goes on once a minute; a
/// server that writes it sets the clock.
#[derive(Debug, Clone)]
pub struct Device {
    store: Store,
    /// What a server's writing has added to the wall-clock time, in seconds.
    offset_s: i64,
    tick: Option<Instant>,
}

impl Device {
    /// A device of this model, in the form of an enabler version.
    pub fn new(version: Version, model: &str, serial: &str) -> Device {
        let minor = match version {
            Version::V1_0 => 0,
            Version::V1_1 => 1,
            Version::V1_2 => 2,
        };
        let store = Store::new(3, &DEFINITIONS[..])
            .single()
            .version(ObjectVersion { major: 1, minor })
            .with_instance(
                0,
                [
                    (0, Value::from("Simulated Devices")),
                    (1, Value::from(model.to_owned())),
                    (2, Value::from(serial.to_owned())),
                    (3, Value::from("1.0.0")),
                    (9, Value::Integer(100)),
                    (10, Value::Integer(64)),
                    (CURRENT_TIME, Value::Time(1_700_000_000)),
                    (14, Value::from("+00:00")),
                    (15, Value::from("Etc/UTC")),
                    (16, Value::from("U")),
                    (17, Value::from("simulator")),
                    (18, Value::from("1")),
                    (19, Value::from("1.0.0")),
                    (20, Value::Integer(0)),
                    (21, Value::Integer(256)),
                ],
            )
            .with_values(
                0,
                [
                    (6, ResourceValue::multiple([(0, 1), (1, 5)])),
                    (7, ResourceValue::multiple([(0, 3800), (1, 5000)])),
                    (8, ResourceValue::multiple([(0, 125), (1, 900)])),
                    (ERROR_CODE, ResourceValue::multiple([(0, 0)])),
                ],
            );
        Device {
            store,
            offset_s: 0,
            tick: None,
        }
    }

    /// The least that the specification asks for: manufacturer, model, serial number, firmware
    /// version, error code and binding.
    pub fn minimal(version: Version, model: &str, serial: &str) -> Device {
        let mut device = Device::new(version, model, serial);
        let spare = [6, 7, 8, 9, 10, 13, 14, 15, 17, 18, 19, 20, 21];
        for resource in spare {
            device.store.remove(0, resource);
        }
        device
    }

    /// The same, with another value.
    pub fn with(mut self, resource: u16, value: impl Into<ResourceValue>) -> Device {
        self.store.set(0, resource, value);
        self
    }
}

impl Object for Device {
    fn store(&self) -> &Store {
        &self.store
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    fn started(&mut self, context: &mut Context) {
        if self.store.value(0, CURRENT_TIME).is_some() {
            self.elapsed(context);
        }
    }

    fn written(&mut self, _instance: u16, resource: u16, context: &mut Context) {
        let written = self.store.integer(0, CURRENT_TIME);
        if let (CURRENT_TIME, Some(written), Some(unix_s)) = (resource, written, context.unix_s) {
            self.offset_s = written.saturating_sub(unix_s);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.tick
    }

    fn elapsed(&mut self, context: &mut Context) {
        self.tick = context.unix_s.map(|_| context.now + TICK);
        if let Some(unix_s) = context.unix_s {
            let time = Value::Time(unix_s.saturating_add(self.offset_s));
            self.store.set(0, CURRENT_TIME, time);
        }
    }

    fn execute(
        &mut self,
        instance: u16,
        resource: u16,
        _arguments: &ExecuteArguments,
        context: &mut Context,
    ) -> Result<(), Refusal> {
        match resource {
            RESET_ERROR_CODE => {
                let none = ResourceValue::multiple([(0, 0)]);
                self.store.set(instance, ERROR_CODE, none);
            }
            _ => context.ask(Effect::Reboot),
        }
        Ok(())
    }
}
