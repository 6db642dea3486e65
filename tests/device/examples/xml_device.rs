//! A device from its XML: the table of resources, the values and the ids are generated, and only
//! what the device does is written.
//!
//! `cargo run -p lwm2m-device --example xml_device -- 127.0.0.1:5683`

use std::net::SocketAddr;

use lwm2m_core::ExecuteArguments;
use lwm2m_core::typed::Resource;
use lwm2m_device::{Context, Device, DeviceBuilder, Object, Refusal, Store};

// From here on, a device in some twenty lines.
lwm2m_macros::lwm2m_objects!("../../lwm2m-server/examples/water-meter.xml");
use water_meter::{Reset, Volume, WaterMeter, values::Valve};

struct Meter(Store);

impl Object for Meter {
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
        _arguments: &ExecuteArguments,
        _context: &mut Context,
    ) -> Result<(), Refusal> {
        if resource == Reset::ID {
            self.0.set(instance, Volume::ID, 0.0);
        }
        Ok(())
    }
}

/// A water meter that registers with a server.
pub(crate) fn device(server: SocketAddr) -> DeviceBuilder {
    let meter = WaterMeter {
        volume: Some(12.5),
        valve: Some(Valve::Open),
        ..WaterMeter::default()
    };
    let store = Store::typed([(0, meter)]).expect("invariant: the values are in their ranges");
    Device::builder("xml-device")
        .server(server)
        .object(Meter(store))
}

#[tokio::main]
#[allow(dead_code, reason = "a test takes the device alone")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = std::env::args()
        .nth(1)
        .ok_or("usage: xml_device ADDRESS:PORT")?;
    let running = device(server.parse()?).start().await?;
    running.wait_registered().await?;
    tokio::signal::ctrl_c().await?;
    Ok(running.deregister().await?)
}
