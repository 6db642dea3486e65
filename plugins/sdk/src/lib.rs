//! Plugins for a LwM2M server, in Rust, as WASM components.
//!
//! A plugin is a type that implements [`Plugin`], and the traits of the hooks that it wants. The
//! last line of it says which ones these are:
//!
//! ```
//! use lwm2m_plugin::registration::{Decision, Guest, Registration, Rejection, Update};
//! use lwm2m_plugin::{Plugin, Refusal};
//!
//! struct OnlyOurs;
//!
//! impl Plugin for OnlyOurs {}
//!
//! impl Guest for OnlyOurs {
//!     fn on_register(reg: Registration) -> Decision {
//!         if reg.endpoint.starts_with("urn:imei:") {
//!             return Decision::Pass;
//!         }
//!         Decision::Reject(Rejection {
//!             code: Refusal::Forbidden,
//!             reason: "not one of ours".to_owned(),
//!         })
//!     }
//!
//!     fn on_update(_: Registration, _: Update) -> Decision {
//!         Decision::Pass
//!     }
//! }
//!
//! lwm2m_plugin::export!(OnlyOurs: registration);
//! ```
//!
//! Build it with `cargo build --release --target wasm32-wasip2` as a `cdylib`. A plugin has no
//! files, no sockets and no environment; what it prints goes to the log of the server, and so does a
//! panic. Its memory lasts until its instance is recycled: what has to stay is kept in [`kv`].

mod contract {
    wit_bindgen::generate!({
        path: "../wit",
        world: "imports",
    });
}

pub use contract::lwm2m::plugin::types;
pub use contract::lwm2m::plugin::{clock, device, events, http, kv, log, metrics, registry};
pub use types::{Attribute, Link, Measurement, Path, Refusal, Registration, Value};

/// What every plugin has.
pub trait Plugin {
    /// Called once for each instance, before any hook; `config` is the plugin's own table of the
    /// server's configuration, as JSON.
    ///
    /// # Errors
    /// What is wrong with the configuration: the plugin is not loaded, or the version before it
    /// stays in service.
    fn init(config: &str) -> Result<(), String> {
        let _ = config;
        Ok(())
    }
}

/// The bindings of one exported interface, with an `export!` of its own: a plugin exports those that
/// it has and no others.
macro_rules! exported {
    ($(#[$doc:meta] $interface:ident $world:literal;)*) => { $(
        #[$doc]
        pub mod $interface {
            #[doc(hidden)]
            pub mod bindings {
                wit_bindgen::generate!({
                    inline: $world,
                    path: "../wit",
                    with: { "lwm2m:plugin/types@0.1.0": crate::types },
                    pub_export_macro: true,
                });
            }
            pub use bindings::exports::lwm2m::plugin::$interface::*;
        }
    )* };
}

exported! {
    /// *lifecycle*: what [`Plugin`] stands for.
    lifecycle
    "package lwm2m:guest;
    world has-lifecycle { import lwm2m:plugin/types@0.1.0; export lwm2m:plugin/lifecycle@0.1.0; }";
    /// Decide about Register and Update, while the device waits.
    registration
    "package lwm2m:guest; world has-registration { export lwm2m:plugin/registration@0.1.0; }";
    /// Hear of registrations after the fact, and talk to devices.
    devices
    "package lwm2m:guest; world has-devices { export lwm2m:plugin/devices@0.1.0; }";
    /// Look up credentials in handshakes.
    credentials
    "package lwm2m:guest; world has-credentials { export lwm2m:plugin/credentials@0.1.0; }";
    /// Say what is observed on a device.
    observe
    "package lwm2m:guest; world has-observe { export lwm2m:plugin/observe@0.1.0; }";
    /// Change values on their way north.
    telemetry
    "package lwm2m:guest; world has-telemetry { export lwm2m:plugin/telemetry@0.1.0; }";
    /// Say how an image gets to a device.
    firmware
    "package lwm2m:guest; world has-firmware { export lwm2m:plugin/firmware@0.1.0; }";
    /// Drive a delivery step by step.
    firmware_driver
    "package lwm2m:guest; world has-driver { export lwm2m:plugin/firmware-driver@0.1.0; }";
    /// Say what the bootstrap server writes.
    bootstrap
    "package lwm2m:guest; world has-bootstrap { export lwm2m:plugin/bootstrap@0.1.0; }";
}

/// Exports a plugin: its type, and after a colon the modules whose `Guest` it implements.
#[macro_export]
macro_rules! export {
    ($plugin:ident: $($interface:ident),+ $(,)?) => {
        const _: () = {
            struct Lifecycle;

            impl $crate::lifecycle::Guest for Lifecycle {
                fn init(config: String) -> Result<(), String> {
                    $crate::report_panics();
                    <$plugin as $crate::Plugin>::init(&config)
                }
            }

            $crate::lifecycle::bindings::export!(
                Lifecycle with_types_in $crate::lifecycle::bindings
            );
            $($crate::$interface::bindings::export!(
                $plugin with_types_in $crate::$interface::bindings
            );)+
        };
    };
}

/// Lets panics say why in the log of the server, and in its event about them.
#[doc(hidden)]
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        log::write(log::Level::Error, &panic.to_string(), &[]);
    }));
}

impl std::fmt::Display for Path {
    /// As in `/3303/0/5700`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "/{}", self.object)?;
        [self.instance, self.resource, self.resource_instance]
            .iter()
            .flatten()
            .try_for_each(|id| write!(f, "/{id}"))
    }
}

impl Path {
    /// What a link of a registration says: an object, or one of its instances.
    pub fn of_link(link: Link) -> Path {
        let [object, instance] = [link >> 16, link & 0xffff].map(|id| id as u16);
        Path {
            object,
            instance: (instance != u16::MAX).then_some(instance),
            resource: None,
            resource_instance: None,
        }
    }
}

impl Registration {
    /// Its links, as paths.
    pub fn paths(&self) -> impl Iterator<Item = Path> + '_ {
        self.links.iter().copied().map(Path::of_link)
    }

    /// True when the device has an object, with instances or without.
    pub fn has_object(&self, object: u16) -> bool {
        self.paths().any(|path| path.object == object)
    }

    /// The instances of an object that the device has.
    pub fn instances(&self, object: u16) -> impl Iterator<Item = u16> + '_ {
        let of_it = self.paths().filter(move |path| path.object == object);
        of_it.filter_map(|path| path.instance)
    }
}

impl Value {
    /// The number that it is; none for what is no number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Integer(number) | Value::Time(number) => Some(*number as f64),
            Value::Unsigned(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }
}
