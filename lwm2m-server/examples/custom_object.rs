//! An object of your own, from its XML to typed values: a water meter, simulated.
//!
//! `cargo run -p lwm2m-server --example custom_object`

#![allow(clippy::print_stdout)] // a program speaks to its terminal

mod objects {
    lwm2m_macros::lwm2m_objects!("examples/water-meter.xml");
}

use lwm2m_core::typed::Resource;
use lwm2m_device::{Device, SimpleObject, Store};
use lwm2m_server::{Listener, Server};
use objects::water_meter::{Reset, TariffLimit, Valve, Volume, WaterMeter, values};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = Listener::coap("127.0.0.1:0".parse()?);
    let server = Server::builder().listen(listener).start().await?;

    // The device: its object has the table and the values of the same type.
    let meter = WaterMeter {
        volume: Some(12.5),
        valve: Some(values::Valve::Open),
        tariff_limit: [(0, 100), (1, 250)].into(),
        ..WaterMeter::default()
    };
    let simulated = Device::builder("meter-1")
        .server(server.local_addresses()[0])
        .object(SimpleObject::new(Store::typed([(0, meter)])?))
        .start()
        .await?;
    simulated.wait_registered().await?;

    // The server: a resource is named by its type, and its value has the type of the XML.
    let device = server.device("meter-1");
    let valve = device.read::<Valve>().await?;
    let limits = device.read::<TariffLimit>().await?;
    println!("the valve is {valve:?}, the tariffs begin at {limits:?} l");
    device.write::<Valve>(values::Valve::HalfOpen).await?;
    device.execute::<Reset>().await?;
    assert_eq!(device.read::<Valve>().await?, values::Valve::HalfOpen);

    // `device.write::<Volume>(0.0)` does not compile: the volume is read-only.
    let mut volumes = device.observe::<Volume>().await?;
    for _ in 0..3 {
        let volume: f64 = volumes.next().await.ok_or("the observation has ended")??;
        println!("{volume} m3 have passed");
        simulated.set(&Volume::path(0), volume + 0.5).await?;
    }
    volumes.cancel().await?;
    server.shutdown().await;
    Ok(())
}
