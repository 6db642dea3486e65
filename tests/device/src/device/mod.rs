//! A device that runs: a client with a socket on the tokio runtime.

mod builder;
mod driver;
mod handle;

pub use builder::{Device, DeviceBuilder, StartError};

pub(crate) use driver::{drain, flush, sleep_until, unix_now};
pub use handle::{DeviceError, DeviceHandle, DeviceStatus};
