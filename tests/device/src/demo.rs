//! Three devices to look at.

use std::net::SocketAddr;
use std::time::Duration;

use lwm2m_core::Version;

use crate::objects::{
    DeviceObject, Firmware, Location, Temperature, connectivity_monitoring, portfolio, test_object,
};
use crate::{Device, DeviceBuilder, DeviceHandle, StartError};

/// Starts three simulated devices with lively values against a server:
///
/// - `demo-thermometer`, LwM2M 1.0, answers in TLV: two temperatures;
/// - `demo-meter`, LwM2M 1.1: temperature, connectivity, firmware update, portfolio;
/// - `demo-tracker`, LwM2M 1.2: a place that moves, firmware update, a resource of every type.
///
/// They run until their handles are dropped.
///
/// # Errors
/// A socket cannot be bound.
pub async fn demo_devices(server: SocketAddr) -> Result<Vec<DeviceHandle>, StartError> {
    let mut handles = Vec::new();
    for builder in [thermometer(), meter(), tracker()] {
        handles.push(builder.server(server).lifetime_s(60).start().await?);
    }
    Ok(handles)
}

fn thermometer() -> DeviceBuilder {
    let version = Version::V1_0;
    let device = DeviceObject::minimal(version, "Thermometer T2", "T2-000017").with(9, 93);
    Device::builder("demo-thermometer")
        .version(version)
        .object(device)
        .object(Temperature::new(2).drifting(Duration::from_secs(2), 17))
}

fn meter() -> DeviceBuilder {
    let version = Version::V1_1;
    Device::builder("demo-meter")
        .version(version)
        .object(DeviceObject::new(version, "Meter M3", "M3-000042"))
        .object(connectivity_monitoring(version))
        .object(Firmware::new("1.0.0").install_time(Duration::from_secs(3)))
        .object(portfolio())
        .object(Temperature::new(1).drifting(Duration::from_secs(5), 42))
}

fn tracker() -> DeviceBuilder {
    let version = Version::V1_2;
    Device::builder("demo-tracker")
        .version(version)
        .object(DeviceObject::new(version, "Tracker G1", "G1-000099"))
        .object(connectivity_monitoring(version))
        .object(Firmware::new("1.0.0").install_time(Duration::from_secs(3)))
        .object(Location::new(52.5200, 13.4050).moving(Duration::from_secs(3), 99))
        .object(test_object())
}
