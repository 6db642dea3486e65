//! Objects of a simulated device.
//!
//! [`Object`] is the extension point. [`SimpleObject`] serves for objects that only hold values;
//! anything that acts on writes, executes or time implements the trait around a [`Store`].

mod definition;
mod store;
mod typed;

use std::time::Instant;

use lwm2m_core::{ExecuteArguments, Path, Value};

use crate::Refusal;

pub use definition::Definition;
pub(crate) use store::zero;
pub use store::{ResourceValue, Store};

/// An object of a device: data in a [`Store`], and what happens when servers use it.
///
/// Every method but the two that give the store has a default, so that an object says only what is
/// particular to it:
///
/// ```
/// use lwm2m_core::{DataType, ExecuteArguments};
/// use lwm2m_device::{Context, Definition, Object, Refusal, ResourceValue, Store};
///
/// const COUNTER: &[Definition] = &[
///     Definition::execute(5505),
///     Definition::read(5501, DataType::Integer).mandatory(),
/// ];
///
/// struct Counter(Store);
///
/// impl Object for Counter {
///     fn store(&self) -> &Store {
///         &self.0
///     }
///     fn store_mut(&mut self) -> &mut Store {
///         &mut self.0
///     }
///     fn execute(
///         &mut self,
///         instance: u16,
///         _resource: u16,
///         _arguments: &ExecuteArguments,
///         _context: &mut Context,
///     ) -> Result<(), Refusal> {
///         self.0.set(instance, 5501, 0);
///         Ok(())
///     }
/// }
///
/// let counter = Counter(Store::new(3400, COUNTER).with_instance(0, [(5501, 17)]));
/// assert_eq!(counter.store().integer(0, 5501), Some(17));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no LwM2M object",
    note = "use `SimpleObject::new(Store::new(id, TABLE))` for an object that only holds values"
)]
pub trait Object: Send + 'static {
    /// The data.
    fn store(&self) -> &Store;

    /// The data, to change.
    fn store_mut(&mut self) -> &mut Store;

    /// The value of a resource, none when the instance does not have it.
    fn read(&self, instance: u16, resource: u16) -> Option<ResourceValue> {
        self.store().value(instance, resource).cloned()
    }

    /// Looks at a value before it is written; its type is right already. Nothing is written when
    /// any value of the request is refused.
    fn check(&self, _instance: u16, _resource: u16, _value: &ResourceValue) -> Result<(), Refusal> {
        Ok(())
    }

    /// A server has written this resource; the value is in the store.
    fn written(&mut self, _instance: u16, _resource: u16, _context: &mut Context) {}

    /// A server executes a resource.
    fn execute(
        &mut self,
        _instance: u16,
        _resource: u16,
        _arguments: &ExecuteArguments,
        _context: &mut Context,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    /// A server has created this instance; its values are in the store.
    fn created(&mut self, _instance: u16, _context: &mut Context) {}

    /// Looks at a deletion before it is done.
    fn check_delete(&self, _instance: u16) -> Result<(), Refusal> {
        Ok(())
    }

    /// The device starts.
    fn started(&mut self, _context: &mut Context) {}

    /// A download that this object asked for ([`Effect::Download`]) has ended.
    fn downloaded(&mut self, _result: Result<&[u8], DownloadError>, _context: &mut Context) {}

    /// When [`Object::elapsed`] is due.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The [deadline](Object::deadline) has come.
    fn elapsed(&mut self, _context: &mut Context) {}
}

/// An object that holds values and does nothing else: executes succeed without effect.
#[derive(Debug, Clone)]
pub struct SimpleObject(Store);

impl SimpleObject {
    /// An object with these values.
    pub fn new(store: Store) -> SimpleObject {
        SimpleObject(store)
    }
}

impl Object for SimpleObject {
    fn store(&self) -> &Store {
        &self.0
    }

    fn store_mut(&mut self) -> &mut Store {
        &mut self.0
    }
}

/// What an object is told of the world, and what it asks of the device.
#[derive(Debug)]
pub struct Context {
    /// The time.
    pub now: Instant,
    /// The wall-clock time in seconds since 1970, where the device knows it.
    pub unix_s: Option<i64>,
    effects: Vec<Effect>,
}

impl Context {
    /// A context without effects, on a device that does not know the wall-clock time.
    pub fn new(now: Instant) -> Context {
        Context {
            now,
            unix_s: None,
            effects: Vec::new(),
        }
    }

    /// Asks the device for something; done after the answer to the current request is on its way.
    pub fn ask(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(crate) fn into_effects(self) -> Vec<Effect> {
        self.effects
    }
}

/// What an object may ask of its device.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// Send an Update.
    Update,
    /// Forget registration and observations, and register anew, as after a power cycle.
    Reboot,
    /// De-register, stay silent for `/1/x/5` seconds, register again.
    Disable,
    /// Ask the bootstrap server for accounts.
    Bootstrap,
    /// Set a value of any object.
    Set(Path, Value<'static>),
    /// Fetch a file; the object gets it through [`Object::downloaded`].
    Download(String),
    /// Abandon the download.
    CancelDownload,
}

/// Why a download brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// The URI has another form than `coap://address[:port]/path`.
    #[error("the URI has another form than coap://address[:port]/path")]
    Uri,
    /// The URI's scheme is not supported.
    #[error("only coap:// is supported")]
    Scheme,
    /// The server answered with an error.
    #[error("the server answered {0}")]
    Code(lwm2m_coap::Code),
    /// The transfer ended early.
    #[error("the transfer ended early: {0}")]
    Transfer(lwm2m_coap::Failure),
}
