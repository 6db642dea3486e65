//! Registration: rows 101 to 111.

use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::ObjectList;
use lwm2m_device::{DeviceError, DeviceEvent, Quirks, RegistrationError, objects::portfolio};
use lwm2m_server::EventKind;

use crate::site::{Site, V1_0, V1_1, V1_2, across, binding, in_time, path};

#[tokio::test]
async fn int_101_register() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = Site::open(version, |device| device.query("sms=4915112345678")).await;
        let (registration, replaced) = site.registered().await;
        assert!(!replaced);
        assert_eq!(registration, site.registration().await);
        assert_eq!(registration.endpoint.as_str(), "a");
        assert_eq!(registration.version, version);
        assert_eq!(registration.lifetime_s, 86400);
        assert_eq!(registration.binding.to_string(), binding());
        assert_eq!(registration.sms.as_deref(), Some("4915112345678"));
        assert_eq!(registration.objects.paths, [path("/1/0"), path("/3/0")]);
        assert_eq!(registration.objects.ignored, [] as [&str; 0]);
        let status = site.device.status();
        let location = format!("rd/{}", registration.id);
        assert_eq!(status.location, Some(location));
        assert_eq!(status.local_address, Some(registration.peer));
    })
    .await;
}

#[tokio::test]
async fn int_102_update_and_expiry() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let at_once =
            |config: &mut lwm2m_server::ServerConfig| config.expiry_grace = Duration::ZERO;
        let mut site = Site::configured(version, at_once, |device| device).await;
        site.set("/1/0/1", 2).await;
        assert_eq!(site.updated().await.lifetime_s, 2);
        site.device.stop().await;
        site.event(|event| matches!(event.kind, EventKind::Expired { .. }).then_some(()))
            .await;
        assert!(site.server.registration("a").await.is_none());
    })
    .await;
}

#[tokio::test]
async fn int_103_deregister() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = Site::open(version, |device| {
            device.server_settings(|settings| settings.disable_s = 3600)
        })
        .await;
        site.execute("/1/0/4").await;
        site.done(|event| (event == DeviceEvent::Deregistered).then_some(()))
            .await;
        site.event(|event| matches!(event.kind, EventKind::Deregistered { .. }).then_some(()))
            .await;
        assert!(site.server.registration("a").await.is_none());
    })
    .await;
}

#[tokio::test]
async fn int_104_update_trigger() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = Site::open(version, |device| device.lifetime_s(20)).await;
        let before = site.registration().await;
        site.execute("/1/0/8").await;
        let after = site.updated().await;
        assert!(after.updated_at >= before.updated_at);
        assert_eq!((after.id, after.lifetime_s), (before.id, 20));
        assert_eq!(after.binding, before.binding);
        assert_eq!(after.objects, before.objects);
    })
    .await;
}

#[tokio::test]
async fn int_105_discarded_registration() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = Site::open(version, |device| device).await;
        let before = site.registration().await;
        assert!(site.server.forget("a").await);
        site.device.update().await.expect("the device runs");
        let error = site.done(|event| match event {
            DeviceEvent::UpdateFailed(error) => Some(error),
            _ => None,
        });
        let RegistrationError::Refused { code, .. } = error.await else {
            panic!("the server answers");
        };
        assert_eq!(code, Code::NOT_FOUND);
        site.done(|event| matches!(event, DeviceEvent::Registered { .. }).then_some(()))
            .await;
        let after = site.registration().await;
        assert_ne!(after.id, before.id);
    })
    .await;
}

#[tokio::test]
async fn int_107_extend_lifetime() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = Site::open(version, |device| device.lifetime_s(60)).await;
        assert_eq!(site.registration().await.lifetime_s, 60);
        site.set("/1/0/1", 120).await;
        assert_eq!(site.updated().await.lifetime_s, 120);
        assert_eq!(site.registration().await.lifetime_s, 120);
    })
    .await;
}

#[tokio::test]
async fn int_108_queue_mode() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = Site::open(version, |device| device.queue_mode(true)).await;
        let registration = site.registration().await;
        assert!(registration.binding.to_string().starts_with(binding()));
        assert!(registration.binding.queue);
        assert!(registration.awake);
    })
    .await;
}

#[tokio::test]
async fn int_109_behaviour_in_queue_mode() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let nap = |config: &mut lwm2m_server::ServerConfig| {
            config.awake_time = Duration::from_millis(100);
        };
        let mut site = Site::configured(version, nap, |device| {
            device.queue_mode(true).lifetime_s(240)
        })
        .await;
        site.event(|event| matches!(event.kind, EventKind::Asleep).then_some(()))
            .await;
        let handle = site.server.device("a");
        let read = tokio::spawn(async move { handle.read_path(path("/3/0/0")).await });
        // The device, which listens all the time here, hears of the Read behind its Update only.
        assert!(!site.registration().await.awake);
        site.device.update().await.expect("the device runs");
        let order = site.done(|event| match event {
            DeviceEvent::Updated => Some("update"),
            DeviceEvent::Requested { .. } => Some("read"),
            _ => None,
        });
        assert_eq!(order.await, "update");
        let response = in_time(read).await.expect("no panic").expect("it answers");
        assert_eq!(crate::site::values(&response), ["/3/0/0=Simulated Devices"]);
    })
    .await;
}

const PROFILE: &str = "6:27354b9a";

fn with_profile(config: &mut lwm2m_server::ServerConfig) {
    let list = ObjectList::parse(b"</1/0>,</3/0>").expect("a list");
    config.profiles.push((PROFILE.to_owned(), list));
}

fn list(objects: &str) -> Quirks {
    let mut quirks = Quirks::default();
    quirks.object_list = Some(objects.to_owned());
    quirks
}

#[tokio::test]
async fn int_110_profile_id() {
    let site = Site::configured(V1_2, with_profile, |device| {
        device.query(format!("pid={PROFILE}")).quirks(list(""))
    })
    .await;
    let registration = site.registration().await;
    assert_eq!(registration.objects.paths, [path("/1/0"), path("/3/0")]);
    let unknown = Site::started(V1_2, with_profile, |device| {
        device.query("pid=6:00000000").quirks(list(""))
    })
    .await;
    let outcome = in_time(unknown.device.wait_registered()).await;
    let Err(DeviceError::Registration(RegistrationError::Refused { code, .. })) = outcome else {
        panic!("a refusal, and not {outcome:?}");
    };
    assert_eq!(code, Code::CONFLICT);
}

#[tokio::test]
async fn int_111_profile_id_and_objects() {
    let site = Site::configured(V1_2, with_profile, |device| {
        device
            .query(format!("pid={PROFILE}"))
            .quirks(list("</16/0>"))
            .object(portfolio())
    })
    .await;
    let registration = site.registration().await;
    let expected = ["/1/0", "/3/0", "/16/0"].map(path);
    assert_eq!(registration.objects.paths, expected);
}
