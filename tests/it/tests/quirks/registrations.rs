//! Registrations that deviate.

use lwm2m_core::Version;
use lwm2m_device::{DeviceEvent, Quirks, Retry};
use std::time::Duration;

use crate::site::{Site, V1_0, V1_1, V1_2, across, path};

async fn site(version: Version, set: impl FnOnce(&mut Quirks)) -> Site {
    let mut quirks = Quirks::default();
    set(&mut quirks);
    Site::open(version, |device| device.quirks(quirks)).await
}

#[tokio::test]
async fn link_targets_end_with_a_slash() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let site = site(version, |quirks| quirks.trailing_slashes = true).await;
        let objects = site.registration().await.objects;
        assert_eq!(objects.paths, [path("/1/0"), path("/3/0")]);
        let request = lwm2m_core::Request::Discover {
            path: path("/3/0"),
            depth: None,
        };
        let links = site.ask(request).await.expect("it answers").content;
        let lwm2m_server::Content::Links(links) = links else {
            panic!("links, and not {links:?}");
        };
        assert_eq!(links[0].path, path("/3/0"));
        assert!(links.iter().any(|link| link.path == path("/3/0/16")));
    })
    .await;
}

#[tokio::test]
async fn object_lists_of_every_form() {
    for (list, paths) in [
        ("<6/0>, <3/0>", &["/3/0", "/6/0"][..]),
        ("</0/0>,</0/1>,</1/0>,</3/0>", &["/1/0", "/3/0"]),
        ("</3/0>;unknown=1;x=\"a,b\",</3/0>", &["/3/0"]),
        ("</>;rt=\"oma.lwm2m\";ct=11543,</3/0>", &["/3/0"]),
        ("</65535>,</70000>,</-1>,</a/b>,</3/0>", &["/3/0"]),
    ] {
        let site = site(V1_1, |quirks| quirks.object_list = Some(list.to_owned())).await;
        let objects = site.registration().await.objects;
        let mut found = objects.paths.clone();
        found.sort();
        let expected: Vec<_> = paths.iter().map(|text| path(text)).collect();
        assert_eq!(found, expected, "{list}");
        assert_eq!(site.value("/3/0/16").await, "U", "{list}");
    }
}

#[tokio::test]
async fn registers_that_lack_things() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let bare = site(version, |quirks| {
            quirks.no_binding = true;
            quirks.register_without_content_format = true;
            quirks.update_without_content_format = true;
        });
        let mut bare = bare.await;
        let registration = bare.registration().await;
        assert!(registration.binding.udp && !registration.binding.queue);
        assert_eq!(registration.objects.paths, [path("/1/0"), path("/3/0")]);
        bare.device.update().await.expect("the device runs");
        assert_eq!(bare.updated().await.id, registration.id);
        assert_eq!(bare.value("/3/0/16").await, "U");
    })
    .await;
    let old = site(V1_0, |quirks| quirks.no_version = true).await;
    assert_eq!(old.registration().await.version, V1_0);
    assert_eq!(old.value("/3/0/16").await, "U");
}

#[tokio::test]
async fn alternate_paths() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        for root in ["/lwm2m", "/a/b"] {
            let mut site = Site::open(version, |device| device.alternate_path(root)).await;
            let objects = site.registration().await.objects;
            assert_eq!(objects.alternate_path, root);
            assert_eq!(site.value("/3/0/16").await, "U");
            assert_eq!(site.read("/3/0", None).await.len(), 6);
            site.set("/1/0/1", 77).await;
            assert_eq!(site.updated().await.lifetime_s, 77);
            let id = site.observe("/3/0/16", "").await;
            assert_eq!(site.notified(id).await, ["/3/0/16=U"]);
            if version != V1_0 {
                let found = site.read_composite(&["/3/0/16", "/1/0/0"], None).await;
                assert_eq!(found, ["/3/0/16=U", "/1/0/0=1"], "{root}");
                site.write_composite(&[("/1/0/6", true.into())], None).await;
                assert_eq!(site.value("/1/0/6").await, "true");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_register_where_an_update_is_due() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = site(version, |quirks| quirks.register_instead_of_update = true).await;
        let (before, _) = site.registered().await;
        site.device.update().await.expect("the device runs");
        let (after, replaced) = site.registered().await;
        assert!(replaced && before.id != after.id);
        assert_eq!(site.value("/3/0/16").await, "U");
        assert_eq!(site.server.statistics().registrations, 1);
    })
    .await;
}

/// Power cycles without a word, each from another port.
#[tokio::test]
async fn reboots_from_new_ports() {
    across(&[V1_0, V1_1, V1_2], async |version| {
        let mut site = Site::open(version, |device| {
            device
                .new_port_on_reboot(true)
                .configure(|config| config.reboot_time = Duration::ZERO)
        })
        .await;
        let (mut last, _) = site.registered().await;
        for _ in 0..5 {
            let id = site.observe("/3/0/16", "").await;
            site.device.reboot().await.expect("the device runs");
            let (next, replaced) = site.registered().await;
            assert!(replaced && next.peer != last.peer);
            assert_eq!(site.value("/3/0/16").await, "U");
            let standing = site.server.device("a").observations().await;
            assert!(
                standing
                    .expect("registered")
                    .iter()
                    .all(|info| info.id != id)
            );
            last = next;
        }
        assert_eq!(site.server.statistics().registrations, 1);
    })
    .await;
}

#[tokio::test]
async fn a_version_of_the_future_is_refused() {
    let mut site = Site::started(
        V1_2,
        |_| {},
        |device| {
            let retry = Retry {
                first: Duration::ZERO,
                longest: Duration::ZERO,
            };
            let mut quirks = Quirks::default();
            quirks.no_version = true;
            device.retry(retry).quirks(quirks).query("lwm2m=1.3")
        },
    )
    .await;
    let failed = site.done(|event| match event {
        DeviceEvent::RegistrationFailed(error) => Some(error.to_string()),
        _ => None,
    });
    assert!(failed.await.contains("4.12"));
}
