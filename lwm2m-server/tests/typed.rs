//! Typed requests to a simulated device.

#![allow(clippy::unwrap_used)] // tests

mod objects {
    lwm2m_macros::lwm2m_objects!("examples/water-meter.xml");
}

use std::collections::BTreeMap;

use lwm2m_core::typed::{Finding, Resource, TypedError, TypedObject};
use lwm2m_core::{DataType, ExecuteArguments, Path, Value, ValueError, Version};
use lwm2m_device::objects::Temperature;
use lwm2m_device::{Definition, Device, DeviceHandle, SimpleObject, Store};
use lwm2m_objects::{device, location_6 as location, lwm2m_server_1 as server_object, temperature};
use lwm2m_server::{
    Content, EventKind, Events, Listener, ObservationError, RequestError, Server, ServerConfig,
    TypedRequestError,
};
use objects::water_meter::{PassCode, TariffLimit, Valve, Volume, WaterMeter, values};

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

/// A device of this version with a water meter, which only the types of this test know.
async fn meter(version: Version) -> (Server, DeviceHandle) {
    let listener = Listener::coap("127.0.0.1:0".parse().unwrap());
    let server = Server::builder().listen(listener).start().await.unwrap();
    let meter = WaterMeter {
        volume: Some(12.5),
        valve: Some(values::Valve::Open),
        tariff_limit: [(0, 100), (3, 250)].into(),
        pass_code: Some("1234".to_owned()),
    };
    let device = Device::builder("meter")
        .version(version)
        .server(server.local_addresses()[0])
        .object(SimpleObject::new(Store::typed([(0, meter)]).unwrap()));
    let device = device.start().await.unwrap();
    device.wait_registered().await.unwrap();
    (server, device)
}

#[tokio::test]
async fn the_type_is_enough_for_the_server_to_know_the_object() {
    for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
        let (server, simulated) = meter(version).await;
        assert!(server.models().object(26241, None).is_none());
        let device = server.device("meter");
        if version == Version::V1_0 {
            // TLV says nothing of types: without one these are bytes.
            let answer = device.read_path(Volume::path(0)).await.unwrap();
            let Content::Values(decoded) = answer.content else {
                unreachable!("values");
            };
            assert!(matches!(decoded.records[0].value, Value::Opaque(_)));
        }
        assert_eq!(device.read::<Volume>().await, Ok(12.5));
        assert_eq!(device.read::<Valve>().await, Ok(values::Valve::Open));
        let limits = device.read::<TariffLimit>().await;
        assert_eq!(limits, Ok(BTreeMap::from([(0, 100), (3, 250)])));

        let first = device.instance(0);
        let whole = first.read_with_findings::<WaterMeter>().await.unwrap();
        assert_eq!(whole.findings, []);
        assert_eq!(whole.value.tariff_limit.len(), 2);
        // What is only written is in no answer, and missing from none.
        assert_eq!(whole.value.pass_code, None);
        assert_eq!(whole.value.missing_mandatory(), Vec::<u16>::new());

        let mut volumes = device.observe::<Volume>().await.unwrap();
        assert_eq!(volumes.next().await, Some(Ok(12.5)));
        simulated.set(&Volume::path(0), 13.0).await.unwrap();
        assert_eq!(volumes.next().await, Some(Ok(13.0)));
        volumes.cancel().await.unwrap();

        let written = device.write::<TariffLimit>([(1, 7)].into()).await;
        assert_eq!(written, Ok(()));
        assert_eq!(device.read::<TariffLimit>().await, Ok([(1, 7)].into()));
        let written = device.write::<PassCode>("4321".to_owned()).await;
        assert_eq!(written, Ok(()));
        let code = simulated.value(&PassCode::path(0)).await.unwrap();
        assert_eq!(code, Some("4321".into()));
        server.shutdown().await;
    }
}

/// The next notification of anything.
async fn notified(events: &mut Events) {
    loop {
        let event = events.next().await.unwrap().unwrap();
        if matches!(event.kind, EventKind::Notification { .. }) {
            return;
        }
    }
}

#[tokio::test]
async fn an_observation_has_a_bounded_queue_of_its_own() {
    let mut config = ServerConfig::default();
    config.limits.observation_queue_max = 4;
    let server = Server::builder()
        .config(config)
        .listen(Listener::coap("127.0.0.1:0".parse().unwrap()))
        .start()
        .await
        .unwrap();
    let simulated = Device::builder("typed")
        .server(server.local_addresses()[0])
        .object(Temperature::new(2));
    let simulated = simulated.start().await.unwrap();
    simulated.wait_registered().await.unwrap();
    let device = server.device("typed");
    let mut events = server.events();
    let own = Path::resource(3303, 0, 5700);
    let other = Path::resource(3303, 1, 5700);
    let mut values = device.observe::<temperature::SensorValue>().await.unwrap();
    assert!(values.next().await.unwrap().is_ok());
    notified(&mut events).await;
    device.observe_path(other).await.unwrap();
    notified(&mut events).await;
    // Values of others take no room.
    for number in 0..10 {
        simulated
            .set(&other, 50.0 + f64::from(number))
            .await
            .unwrap();
        notified(&mut events).await;
    }
    for number in 0..4 {
        simulated.set(&own, 30.0 + f64::from(number)).await.unwrap();
        notified(&mut events).await;
    }
    for number in 0..4 {
        assert_eq!(values.next().await, Some(Ok(30.0 + f64::from(number))));
    }
    // One more than the limit: the oldest makes room.
    for number in 0..5 {
        simulated.set(&own, 40.0 + f64::from(number)).await.unwrap();
        notified(&mut events).await;
    }
    assert_eq!(values.next().await, Some(Err(ObservationError::Lagged(1))));
    assert_eq!(values.next().await, Some(Ok(41.0)));
    server.shutdown().await;
}

#[tokio::test]
async fn an_observation_reports_what_is_wrong_with_values() {
    let (server, simulated) = pair().await;
    let device = server.device("typed");
    let path = Path::resource(3, 0, 9);
    let mut levels = device.observe::<device::BatteryLevel>().await.unwrap();
    let first = levels.next_with_findings().await.unwrap().unwrap();
    assert_eq!(first.findings, []);
    simulated.set(&path, 101).await.unwrap();
    let next = levels.next_with_findings().await.unwrap().unwrap();
    assert_eq!(next.value, 101);
    let found = next.findings.as_slice();
    assert!(matches!(found, [Finding::OutOfRange { path: at, .. }] if *at == path));

    let mut latitudes = device.observe::<location::Latitude>().await.unwrap();
    let wrong = latitudes.next().await;
    assert!(matches!(wrong, Some(Err(ObservationError::Value(_)))));
    let latitude = Path::resource(6, 0, 0);
    simulated.set(&latitude, "52.5").await.unwrap();
    assert_eq!(latitudes.next().await, Some(Ok(52.5)));

    // In a whole instance, what cannot be taken is a finding beside the rest.
    simulated.set(&latitude, "south").await.unwrap();
    let first = device.instance(0);
    let whole = first.read_with_findings::<location::Location>().await;
    let whole = whole.unwrap();
    assert_eq!(whole.value.latitude, None);
    let found = whole.findings.as_slice();
    assert!(matches!(found, [Finding::Value { path, .. }] if *path == latitude));

    device.forget().await.unwrap();
    assert_eq!(levels.next().await, None);
    assert_eq!(levels.end().map(|reason| reason.code), Some("forgotten"));
    server.shutdown().await;
}
