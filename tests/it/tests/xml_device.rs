//! The example `xml_device` of the device library, with a server.

#[path = "../../device/examples/xml_device.rs"]
mod example;

use example::water_meter::{Reset, Valve, Volume, WaterMeter, values};

use crate::peer::server;

#[tokio::test]
async fn a_device_from_its_xml_answers_and_acts() {
    let server = server(|_| {}).await;
    let meter = example::device(server.local_addresses()[0]);
    let meter = meter.start().await.expect("it starts");
    meter.wait_registered().await.expect("accepted");
    let device = server.device("xml-device");
    let whole = device.read::<WaterMeter>().await.expect("read");
    assert_eq!(whole.volume, Some(12.5));
    let written = device.write::<Valve>(values::Valve::HalfOpen).await;
    assert_eq!(written, Ok(()));
    assert_eq!(device.read::<Valve>().await, Ok(values::Valve::HalfOpen));
    assert_eq!(device.execute::<Reset>().await, Ok(()));
    assert_eq!(device.read::<Volume>().await, Ok(0.0));
    server.shutdown().await;
}
