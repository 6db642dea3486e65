//! Observe and notify.

use lwm2m_coap::{Code, OutgoingRequest};
use lwm2m_core::{ContentFormat, Path, Version};
use lwm2m_device::objects::{Temperature, portfolio};
use lwm2m_device::{Device, DeviceEvent};

use crate::pair::{Notified, Pair, to};

const VALUE: Path = Path::resource(3303, 0, 5700);

fn pair(version: Version) -> Pair {
    let builder = Device::builder("dev")
        .version(version)
        .lifetime_s(0)
        .object(Temperature::new(2))
        .object(portfolio());
    Pair::registered(builder)
}

fn set(pair: &mut Pair, value: f64) {
    pair.client.set(pair.now, &VALUE, value);
    pair.settle();
}

fn texts(notified: &[Notified]) -> Vec<(u64, String)> {
    let text = |n: &Notified| (n.second, String::from_utf8_lossy(&n.body).into_owned());
    notified.iter().map(text).collect()
}

#[test]
fn notifies_changes_in_the_accepted_format() {
    let mut pair = pair(Version::V1_1);
    let (id, first) = pair.observe("/3303/0/5700", Some(ContentFormat::Text));
    assert!(first.observing);
    assert_eq!(first.text(), "21.5");
    set(&mut pair, 22.5);
    set(&mut pair, 22.5);
    set(&mut pair, 23.5);
    let notified = pair.take_notified();
    assert_eq!(
        texts(&notified),
        [(0, "22.5".to_owned()), (0, "23.5".to_owned())]
    );
    assert!(
        notified
            .iter()
            .all(|n| n.request == id && n.format == Some(0))
    );
}

#[test]
fn pmin_and_pmax_from_every_level() {
    let mut pair = pair(Version::V1_1);
    assert_eq!(pair.write_attributes("/3303?pmin=5"), Code::CHANGED);
    assert_eq!(pair.write_attributes("/3303/0/5700?pmax=15"), Code::CHANGED);
    pair.observe("/3303/0/5700", Some(ContentFormat::Text));
    pair.advance(1);
    set(&mut pair, 1.5);
    pair.advance(1);
    set(&mut pair, 2.5);
    pair.advance(30);
    let seconds: Vec<u64> = pair.take_notified().iter().map(|n| n.second).collect();
    assert_eq!(seconds, [5, 20], "pmin after the first value, then pmax");
}

#[test]
fn defaults_of_the_server_object_hold() {
    let builder = Device::builder("dev")
        .lifetime_s(0)
        .object(Temperature::new(1))
        .server_settings(|settings| {
            settings.pmin_s = Some(1);
            settings.pmax_s = Some(10);
        });
    let mut pair = Pair::registered(builder);
    pair.observe("/3303/0/5700", None);
    pair.advance(35);
    let seconds: Vec<u64> = pair.take_notified().iter().map(|n| n.second).collect();
    assert_eq!(seconds, [10, 20, 30]);
}

#[test]
fn limits_apply_to_the_resource() {
    let mut pair = pair(Version::V1_1);
    assert_eq!(pair.write_attributes("/3303/0/5700?gt=30"), Code::CHANGED);
    pair.observe("/3303/0/5700", Some(ContentFormat::Text));
    for value in [25.0, 30.5, 31.5, 29.5] {
        set(&mut pair, value);
    }
    let notified = texts(&pair.take_notified());
    assert_eq!(notified, [(0, "30.5".to_owned()), (0, "29.5".to_owned())]);
}

#[test]
fn cancelled_by_observe_1_and_by_reset() {
    let mut pair = pair(Version::V1_1);
    let (id, _) = pair.observe("/3303/0/5700", None);
    let mut cancel = to(Code::GET, "/3303/0/5700");
    cancel.observe = Some(false);
    cancel.token = pair.server.request_token(id);
    assert_eq!(pair.ask(cancel).code, Code::CONTENT);
    assert_eq!(pair.client.observation_count(), 0);
    set(&mut pair, 1.5);
    assert_eq!(pair.take_notified(), []);

    let (id, _) = pair.observe("/3303/0/5700", None);
    pair.server.cancel(id);
    set(&mut pair, 2.5);
    assert_eq!(
        pair.take_notified(),
        [],
        "the server knows it no more, and answers RST"
    );
    assert_eq!(pair.client.observation_count(), 0);
    assert!(matches!(
        pair.events.last(),
        Some(DeviceEvent::ObservationEnded { .. })
    ));
}

#[test]
fn an_instance_is_observed_as_a_whole() {
    let mut pair = pair(Version::V1_1);
    pair.observe("/3303/0", Some(ContentFormat::SenmlJson));
    set(&mut pair, 22.5);
    pair.client
        .set(pair.now, &Path::resource(3303, 1, 5700), 99.0);
    pair.settle();
    let notified = texts(&pair.take_notified());
    assert_eq!(
        notified.len(),
        1,
        "the other instance is none of its business"
    );
    assert!(notified[0].1.contains("\"v\":22.5"), "{}", notified[0].1);
}

#[test]
fn a_deleted_target_ends_the_observation() {
    let mut pair = pair(Version::V1_1);
    pair.observe("/16/0", None);
    assert_eq!(pair.delete("/16/0"), Code::DELETED);
    let notified = pair.take_notified();
    assert_eq!(notified[0].code, Code::NOT_FOUND);
    assert_eq!(pair.client.observation_count(), 0);
}

#[test]
fn refuses_to_observe_what_is_not_readable() {
    let mut pair = pair(Version::V1_1);
    for (path, code) in [
        ("/1/0/8", Code::METHOD_NOT_ALLOWED),
        ("/3303/9", Code::NOT_FOUND),
        ("/0", Code::UNAUTHORIZED),
        ("/3303/0/5700?pmin=1", Code::BAD_REQUEST),
    ] {
        let (_, reply) = pair.observe(path, None);
        assert_eq!((reply.code, reply.observing), (code, false), "{path}");
    }
}

#[test]
fn int_312_and_313_parameters_of_the_observe_replace_what_is_attached() {
    let mut pair = pair(Version::V1_2);
    assert_eq!(
        pair.write_attributes("/3303/0/5700?pmin=5&pmax=60"),
        Code::CHANGED
    );
    let (_, reply) = pair.observe("/3303/0/5700?pmin=5&pmax=10", None);
    assert!(reply.observing);
    pair.advance(25);
    let seconds: Vec<u64> = pair.take_notified().iter().map(|n| n.second).collect();
    assert_eq!(seconds, [10, 20]);
    assert_eq!(
        pair.discover("/3303/0/5700").text(),
        "</3303/0/5700>;pmin=5;pmax=60",
        "not shown in Discover"
    );
}

#[test]
fn confirmable_by_attribute_and_lost_observers() {
    let mut pair = pair(Version::V1_2);
    assert_eq!(pair.write_attributes("/3303/0/5700?con=1"), Code::CHANGED);
    pair.observe("/3303/0/5700", None);
    set(&mut pair, 1.5);
    assert!(matches!(
        pair.events.last(),
        Some(DeviceEvent::Notified {
            confirmable: true,
            ..
        })
    ));
    pair.cut = true;
    set(&mut pair, 2.5);
    pair.advance(100);
    assert_eq!(pair.client.observation_count(), 0, "nobody acknowledges");
}

#[test]
fn observations_are_bounded() {
    let builder = Device::builder("dev")
        .object(Temperature::new(1))
        .configure(|config| config.observations_max = 2);
    let mut pair = Pair::registered(builder);
    let observing: Vec<bool> = ["/3303", "/3303/0", "/3303/0/5700"]
        .iter()
        .map(|path| pair.observe(path, None).1.observing)
        .collect();
    assert_eq!(observing, [true, true, false]);
}

#[test]
fn stored_notifications_follow_with_their_times() {
    let builder = Device::builder("dev")
        .version(Version::V1_2)
        .lifetime_s(0)
        .object(Temperature::new(1))
        .server_settings(|settings| settings.store_notifications = true);
    let mut pair = Pair::registered(builder);
    pair.client.set_wall_clock(pair.now, 1_700_000_000.0);
    assert_eq!(pair.write_attributes("/3303/0/5700?hqmax=2"), Code::CHANGED);
    pair.observe("/3303/0/5700", Some(ContentFormat::SenmlJson));
    pair.client.set_offline(pair.now, true);
    for value in [1.5, 2.5, 3.5] {
        pair.advance(10);
        set(&mut pair, value);
    }
    assert_eq!(pair.take_notified(), []);
    pair.client.set_offline(pair.now, false);
    pair.settle();
    let notified = texts(&pair.take_notified());
    assert_eq!(notified.len(), 1, "{notified:?}");
    let body = &notified[0].1;
    assert!(
        !body.contains("1.5") && body.contains("2.5") && body.contains("3.5"),
        "{body}"
    );
    assert!(
        body.contains("1700000020") && body.contains("1700000030"),
        "{body}"
    );
    assert_eq!(
        pair.take_seen()[0].path,
        "/rd/r1",
        "an Update on coming back"
    );
}

#[test]
fn a_refreshed_observation_stays_one() {
    let mut pair = pair(Version::V1_1);
    let (id, _) = pair.observe("/3303/0/5700", None);
    let refresh = OutgoingRequest {
        observe: Some(true),
        token: pair.server.request_token(id),
        ..to(Code::GET, "/3303/0/5700")
    };
    assert!(pair.ask(refresh).observing);
    assert_eq!(pair.client.observation_count(), 1);
}
