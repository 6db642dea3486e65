//! Typed requests to a simulated device.

#![allow(clippy::unwrap_used)] // tests

use lwm2m_core::typed::{Finding, TypedError, TypedObject};
use lwm2m_core::{DataType, ExecuteArguments, Path, ValueError};
use lwm2m_device::objects::Temperature;
use lwm2m_device::{Definition, Device, DeviceHandle, SimpleObject, Store};
use lwm2m_objects::{device, location_6 as location, lwm2m_server_1 as server_object, temperature};
use lwm2m_server::{Listener, RequestError, Server, TypedRequestError};

/// The latitude is a float by definition; this device has text there.
const LOCATION: &[Definition] = &[
    Definition::read(0, DataType::String),
    Definition::read(1, DataType::Float),
];

/// A server, and a device with two temperatures that is registered there.
async fn pair() -> (Server, DeviceHandle) {
    let listener = Listener::coap("127.0.0.1:0".parse().unwrap());
    let server = Server::builder().listen(listener).start().await.unwrap();
    let location = Store::new(6, LOCATION).with_instance(0, [(0, "north")]);
    let device = Device::builder("typed")
        .server(server.local_addresses()[0])
        .object(Temperature::new(2))
        .object(SimpleObject::new(location));
    let device = device.start().await.unwrap();
    device.wait_registered().await.unwrap();
    (server, device)
}

#[tokio::test]
async fn reads_have_the_type_of_the_resource() {
    let (server, simulated) = pair().await;
    let device = server.device("typed");
    let lifetime: i64 = device.read::<server_object::Lifetime>().await.unwrap();
    assert_eq!(lifetime, 300);
    let path = Path::resource(3303, 1, 5700);
    simulated.set(&path, 21.5).await.unwrap();
    let second = device.instance(1);
    let indoors: f64 = second.read::<temperature::SensorValue>().await.unwrap();
    assert_eq!(indoors, 21.5);
    let errors = device.read::<device::ErrorCode>().await.unwrap();
    assert_eq!(errors.get(&0), Some(&0));
    let whole: device::Device = device.read::<device::Device>().await.unwrap();
    assert_eq!(whole.error_code, errors);
    assert!(whole.missing_mandatory().is_empty(), "{whole:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn writes_and_executes_reach_the_device() {
    let (server, simulated) = pair().await;
    let device = server.device("typed");
    let written = device.write::<server_object::Lifetime>(86_400).await;
    assert_eq!(written, Ok(()));
    let value = simulated.value(&Path::resource(1, 0, 1)).await.unwrap();
    assert_eq!(value, Some(86_400.into()));
    let settings = server_object::Lwm2mServer {
        short_server_id: Some(7),
        lifetime: Some(600),
        ..Default::default()
    };
    // Only what is writable goes out: a Write of the short server id would be refused.
    let first = device.instance(0);
    let written = first.update::<server_object::Lwm2mServer>(settings).await;
    assert_eq!(written, Ok(()));
    assert_eq!(device.read::<server_object::Lifetime>().await, Ok(600));
    let executed = device
        .execute::<server_object::RegistrationUpdateTrigger>()
        .await;
    assert_eq!(executed, Ok(()));
    let arguments = ExecuteArguments::parse("0").unwrap();
    let executed = first
        .execute_with::<temperature::ResetMinAndMaxMeasuredValues>(arguments)
        .await;
    assert_eq!(executed, Ok(()));
    server.shutdown().await;
}

#[tokio::test]
async fn says_what_is_wrong_with_values() {
    let (server, simulated) = pair().await;
    let device = server.device("typed");
    let latitude = device.read::<location::Latitude>().await;
    let expected = DataType::Float;
    let expected = TypedError::Value {
        path: Path::resource(6, 0, 0),
        error: ValueError::Type { expected },
    };
    assert_eq!(latitude, Err(TypedRequestError::Value(expected)));
    let path = Path::resource(3, 0, 9);
    simulated.set(&path, 101).await.unwrap();
    let first = device.instance(0);
    let battery = first.read_with_findings::<device::BatteryLevel>().await;
    let battery = battery.unwrap();
    assert_eq!(battery.value, 101);
    let found = battery.findings.as_slice();
    assert!(matches!(found, [Finding::OutOfRange { path: at, .. }] if *at == path));
    let nobody = server.device("nobody").read::<device::BatteryLevel>().await;
    let expected = TypedRequestError::Request(RequestError::NotRegistered);
    assert_eq!(nobody, Err(expected));
    server.shutdown().await;
}

#[tokio::test]
async fn an_observation_is_a_stream_of_values() {
    let (server, simulated) = pair().await;
    let device = server.device("typed");
    let path = Path::resource(3303, 0, 5700);
    simulated.set(&path, 20.0).await.unwrap();
    let mut values = device.observe::<temperature::SensorValue>().await.unwrap();
    assert!(values.id().is_some());
    assert_eq!(values.next().await, Some(Ok(20.0)));
    simulated.set(&path, 21.0).await.unwrap();
    assert_eq!(values.next().await, Some(Ok(21.0)));
    values.cancel().await.unwrap();
    assert_eq!(device.observations().await, Ok(vec![]));
    let mut ending = device.observe::<temperature::Temperature>().await.unwrap();
    let first = ending.next().await.unwrap().unwrap();
    assert_eq!(first.sensor_value, Some(21.0));
    device.forget().await.unwrap();
    assert_eq!(ending.next().await, None);
    server.shutdown().await;
}
