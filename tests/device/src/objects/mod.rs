//! Ready-made objects.

pub(crate) mod accounts;
mod connectivity;
mod device;
mod firmware;
mod location;
mod portfolio;
mod security;
mod server;
mod temperature;
mod test_object;

pub use connectivity::connectivity_monitoring;
pub use device::Device as DeviceObject;
pub use firmware::{Firmware, FirmwareFault};
pub use location::Location;
pub use portfolio::portfolio;
pub use security::security;
pub(crate) use security::security_over_tcp;
pub use server::{Server, ServerSettings};
pub use temperature::Temperature;
pub use test_object::test_object;

/// A small generator for simulated values: the same seed gives the same values.
#[derive(Debug, Clone)]
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Noise {
        Noise(seed | 1)
    }

    /// The next number, -1.0 to 1.0.
    pub(crate) fn next(&mut self) -> f64 {
        // xorshift64* (Vigna): enough for values that only have to look alive.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        bits as f64 / f64::from(1 << 23) - 1.0
    }
}
