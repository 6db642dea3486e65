//! Object 6, Location.

use std::time::{Duration, Instant};

use lwm2m_core::{DataType, Value};

use super::Noise;
use crate::{Context, Definition, Object, Store};

const LATITUDE: u16 = 0;
const LONGITUDE: u16 = 1;
const TIMESTAMP: u16 = 5;

const DEFINITIONS: [Definition; 7] = [
    Definition::read(LATITUDE, DataType::Float).mandatory(),
    Definition::read(LONGITUDE, DataType::Float).mandatory(),
    Definition::read(2, DataType::Float),
    Definition::read(3, DataType::Float),
    Definition::read(4, DataType::Opaque),
    Definition::read(TIMESTAMP, DataType::Time).mandatory(),
    Definition::read(6, DataType::Float),
];

/// Object 6: a place, which wanders when an interval is given.
#[derive(Debug, Clone)]
pub struct Location {
    store: Store,
    interval: Option<Duration>,
    next: Option<Instant>,
    noise: Noise,
}

impl Location {
    /// A place in degrees north and east that does not move.
    pub fn new(latitude: f64, longitude: f64) -> Location {
        let store = Store::new(6, &DEFINITIONS[..]).single().with_instance(
            0,
            [
                (LATITUDE, Value::Float(latitude)),
                (LONGITUDE, Value::Float(longitude)),
                (2, Value::Float(34.0)),
                (3, Value::Float(8.0)),
                (TIMESTAMP, Value::Time(1_700_000_000)),
                (6, Value::Float(0.0)),
            ],
        );
        Location {
            store,
            interval: None,
            next: None,
            noise: Noise::new(6),
        }
    }

    /// The same, taking a step of some metres in every interval.
    pub fn moving(mut self, interval: Duration, seed: u64) -> Location {
        self.interval = Some(interval);
        self.noise = Noise::new(seed);
        self
    }

    fn step(&mut self, resource: u16) {
        if let Some(degrees) = self.store.float(0, resource) {
            let moved = degrees + self.noise.next() * 0.0005;
            let rounded = (moved * 1e6).round() / 1e6;
            self.store.set(0, resource, rounded);
        }
    }
}

impl Object for Location {
    fn store(&self) -> &Store {
        &self.store
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    fn started(&mut self, context: &mut Context) {
        if let Some(unix_s) = context.unix_s {
            self.store.set(0, TIMESTAMP, Value::Time(unix_s));
        }
        self.next = self.interval.map(|interval| context.now + interval);
    }

    fn deadline(&self) -> Option<Instant> {
        self.next
    }

    fn elapsed(&mut self, context: &mut Context) {
        self.step(LATITUDE);
        self.step(LONGITUDE);
        if let Some(unix_s) = context.unix_s {
            self.store.set(0, TIMESTAMP, Value::Time(unix_s));
        }
        self.next = self.interval.map(|interval| context.now + interval);
    }
}
