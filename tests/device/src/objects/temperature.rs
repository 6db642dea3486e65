//! Object 3303, Temperature.

use std::time::{Duration, Instant};

use lwm2m_core::{DataType, ExecuteArguments, Value};

use super::Noise;
use crate::{Context, Definition, Object, Refusal, Store};

const MINIMUM: u16 = 5601;
const MAXIMUM: u16 = 5602;
const RESET: u16 = 5605;
const VALUE: u16 = 5700;

const DEFINITIONS: [Definition; 8] = [
    Definition::read(MINIMUM, DataType::Float),
    Definition::read(MAXIMUM, DataType::Float),
    Definition::read(5603, DataType::Float),
    Definition::read(5604, DataType::Float),
    Definition::execute(RESET),
    Definition::read(VALUE, DataType::Float).mandatory(),
    Definition::read(5701, DataType::String),
    Definition::read_write(5750, DataType::String),
];

/// Object 3303: temperatures, which drift when an interval is given.
#[derive(Debug, Clone)]
pub struct Temperature {
    store: Store,
    interval: Option<Duration>,
    next: Option<Instant>,
    noise: Noise,
}

impl Temperature {
    /// Sensors 0 to `instances - 1`, each at 21.5 degrees and constant.
    pub fn new(instances: u16) -> Temperature {
        let mut store = Store::new(3303, &DEFINITIONS[..]);
        for instance in 0..instances {
            store = store.with_instance(
                instance,
                [
                    (MINIMUM, Value::Float(21.5)),
                    (MAXIMUM, Value::Float(21.5)),
                    (5603, Value::Float(-40.0)),
                    (5604, Value::Float(85.0)),
                    (VALUE, Value::Float(21.5)),
                    (5701, Value::from("Cel")),
                ],
            );
        }
        Temperature {
            store,
            interval: None,
            next: None,
            noise: Noise::new(3303),
        }
    }

    /// The same, with values that change in every interval.
    pub fn drifting(mut self, interval: Duration, seed: u64) -> Temperature {
        self.interval = Some(interval);
        self.noise = Noise::new(seed);
        self
    }

    fn drift(&mut self, instance: u16) {
        let Some(before) = self.store.float(instance, VALUE) else {
            return;
        };
        let pull = (21.5 - before) * 0.05;
        let after = before + pull + self.noise.next();
        self.measure(instance, (after * 10.0).round() / 10.0);
    }

    fn measure(&mut self, instance: u16, value: f64) {
        self.store.set(instance, VALUE, value);
        let minimum = self.store.float(instance, MINIMUM).unwrap_or(value);
        let maximum = self.store.float(instance, MAXIMUM).unwrap_or(value);
        self.store.set(instance, MINIMUM, minimum.min(value));
        self.store.set(instance, MAXIMUM, maximum.max(value));
    }
}

impl Object for Temperature {
    fn store(&self) -> &Store {
        &self.store
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    fn started(&mut self, context: &mut Context) {
        self.next = self.interval.map(|interval| context.now + interval);
    }

    fn execute(
        &mut self,
        instance: u16,
        _resource: u16,
        _arguments: &ExecuteArguments,
        _context: &mut Context,
    ) -> Result<(), Refusal> {
        if let Some(value) = self.store.float(instance, VALUE) {
            self.store.set(instance, MINIMUM, value);
            self.store.set(instance, MAXIMUM, value);
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        self.next
    }

    fn elapsed(&mut self, context: &mut Context) {
        let instances: Vec<u16> = self.store.instances().collect();
        for instance in instances {
            self.drift(instance);
        }
        self.next = self.interval.map(|interval| context.now + interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drifts_by_the_clock_and_keeps_the_extremes() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut sensor = Temperature::new(2).drifting(second, 7);
        let mut context = Context::new(start);
        sensor.started(&mut context);
        assert_eq!(sensor.deadline(), Some(start + second));
        for step in 1..50 {
            context.now = start + second * step;
            sensor.elapsed(&mut context);
        }
        let (low, high) = (
            sensor.store.float(1, MINIMUM),
            sensor.store.float(1, MAXIMUM),
        );
        assert!(low < high, "{low:?} {high:?}");
        let none = ExecuteArguments::default();
        sensor.execute(1, RESET, &none, &mut context).unwrap();
        assert_eq!(sensor.store.float(1, MINIMUM), sensor.store.float(1, VALUE));
    }
}
