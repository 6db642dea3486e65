//! What the resources of a simulated object are.

use lwm2m_core::{DataType, Operations};

/// One resource in the table of an object.
///
/// ```
/// use lwm2m_core::DataType;
/// use lwm2m_device::Definition;
///
/// const TEMPERATURE: &[Definition] = &[
///     Definition::read(5601, DataType::Float),
///     Definition::execute(5605),
///     Definition::read(5700, DataType::Float).mandatory(),
/// ];
/// assert!(TEMPERATURE[2].mandatory);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// The resource id.
    pub id: u16,
    /// The type of its values; none for an executable resource.
    pub data_type: Option<DataType>,
    /// What a server may do with it.
    pub operations: Operations,
    /// True when it may have more than one instance.
    pub multiple: bool,
    /// True when every object instance has it.
    pub mandatory: bool,
}

impl Definition {
    const fn new(id: u16, data_type: Option<DataType>, rwe: (bool, bool, bool)) -> Definition {
        Definition {
            id,
            data_type,
            operations: Operations {
                read: rwe.0,
                write: rwe.1,
                execute: rwe.2,
            },
            multiple: false,
            mandatory: false,
        }
    }

    /// A resource that is read.
    pub const fn read(id: u16, data_type: DataType) -> Definition {
        Definition::new(id, Some(data_type), (true, false, false))
    }

    /// A resource that is written, and never read.
    pub const fn write(id: u16, data_type: DataType) -> Definition {
        Definition::new(id, Some(data_type), (false, true, false))
    }

    /// A resource that is read and written.
    pub const fn read_write(id: u16, data_type: DataType) -> Definition {
        Definition::new(id, Some(data_type), (true, true, false))
    }

    /// A resource that is executed.
    pub const fn execute(id: u16) -> Definition {
        Definition::new(id, None, (false, false, true))
    }

    /// A resource that no server reaches, only a bootstrap server.
    pub const fn hidden(id: u16, data_type: DataType) -> Definition {
        Definition::new(id, Some(data_type), (false, false, false))
    }

    /// The same, with instances.
    pub const fn multiple(mut self) -> Definition {
        self.multiple = true;
        self
    }

    /// The same, present in every object instance.
    pub const fn mandatory(mut self) -> Definition {
        self.mandatory = true;
        self
    }
}
