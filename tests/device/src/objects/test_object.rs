//! Object 3442, LwM2M v1.1 Test Object: a resource of every type.

use lwm2m_core::{DataType, ExecuteArguments, ObjectLink, Value};

use crate::{Context, Definition, Object, Refusal, ResourceValue, Store};

const DEFINITIONS: [Definition; 23] = [
    Definition::execute(0),
    Definition::execute(1),
    Definition::execute(2),
    Definition::execute(3),
    Definition::read(4, DataType::String).multiple(),
    Definition::read_write(110, DataType::String),
    Definition::read_write(120, DataType::Integer),
    Definition::read_write(125, DataType::Unsigned),
    Definition::read_write(130, DataType::Float),
    Definition::read_write(140, DataType::Boolean),
    Definition::read_write(150, DataType::Opaque),
    Definition::read_write(160, DataType::Time),
    Definition::read_write(170, DataType::ObjectLink),
    Definition::read_write(180, DataType::CoreLink),
    Definition::read_write(1110, DataType::String).multiple(),
    Definition::read_write(1120, DataType::Integer).multiple(),
    Definition::read_write(1125, DataType::Unsigned).multiple(),
    Definition::read_write(1130, DataType::Float).multiple(),
    Definition::read_write(1140, DataType::Boolean).multiple(),
    Definition::read_write(1150, DataType::Opaque).multiple(),
    Definition::read_write(1160, DataType::Time).multiple(),
    Definition::read_write(1170, DataType::ObjectLink).multiple(),
    Definition::read_write(1180, DataType::CoreLink).multiple(),
];

const DEVICE: ObjectLink = ObjectLink {
    object: 3,
    instance: 0,
};

/// Object 3442 with one instance: every type alone and as a multiple-instance resource. Executing
/// `/3442/x/3` puts its arguments into `/3442/x/4`; 0 sets the initial values, 2 removes all.
pub fn test_object() -> impl Object {
    let mut object = TestObject(Store::new(3442, &DEFINITIONS[..]).with_instance(0, NO_VALUES));
    object.reset(0);
    object.0.take_changes();
    object
}

const NO_VALUES: [(u16, ResourceValue); 0] = [];

struct TestObject(Store);

impl TestObject {
    fn reset(&mut self, instance: u16) {
        let values: [Value<'static>; 9] = [
            Value::from("initial value"),
            Value::Integer(1024),
            Value::Unsigned(u64::MAX),
            Value::Float(3.25),
            Value::Boolean(true),
            Value::from(&[1, 2, 3, 4, 5][..]),
            Value::Time(1_700_000_000),
            Value::ObjectLink(DEVICE),
            Value::CoreLink("</3>".into()),
        ];
        let ids = [110, 120, 125, 130, 140, 150, 160, 170, 180];
        for (id, value) in ids.into_iter().zip(values) {
            let several = ResourceValue::multiple([(0, value.clone()), (1, value.clone())]);
            self.0.set(instance, id, value);
            self.0.set(instance, id + 1000, several);
        }
    }

    fn clear(&mut self, instance: u16) {
        for definition in &DEFINITIONS {
            self.0.remove(instance, definition.id);
        }
    }
}

impl Object for TestObject {
    fn store(&self) -> &Store {
        &self.0
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.0
    }

    fn execute(
        &mut self,
        instance: u16,
        resource: u16,
        arguments: &ExecuteArguments,
        _context: &mut Context,
    ) -> Result<(), Refusal> {
        match resource {
            0 | 1 => self.reset(instance),
            2 => self.clear(instance),
            _ => {
                let list = arguments.iter().map(|argument| {
                    let text = argument.value.clone().unwrap_or_default();
                    (u16::from(argument.digit), text)
                });
                let list = ResourceValue::multiple(list);
                self.0.set(instance, 4, list);
            }
        }
        Ok(())
    }
}
