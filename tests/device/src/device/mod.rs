//! A device that runs: a client with a socket on the tokio runtime.

mod builder;
mod connection;
mod driver;
mod handle;
#[cfg(feature = "tls-psk")]
mod tls;

pub use builder::{Device, DeviceBuilder, StartError};

pub(crate) use driver::{drain, flush, sleep_until, unix_now};
pub use handle::{DeviceError, DeviceHandle, DeviceStatus};
#[cfg(feature = "tls-psk")]
pub use tls::{TlsAccount, TlsVersion};
