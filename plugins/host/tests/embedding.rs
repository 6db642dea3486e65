//! The example of a server of one's own with plugins, at work.

#[allow(dead_code)] // a program with a main
#[path = "../../../lwm2m-server/examples/hosted_plugins.rs"]
mod hosted_plugins;

use std::time::Duration;

use lwm2m_device::Device;
use lwm2m_plugins::{PluginConfig, PluginHost, PluginsConfig};
use lwm2m_server::{Code, EventKind};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_extension_in_rust_sees_what_the_plugins_before_it_have_annotated() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = r#"
        fn on_register(registration) {
            let parts = registration.endpoint.split(".");
            if parts.len == 2 { annotate(#{ tenant: parts[1] }) }
        }
    "#;
    std::fs::write(folder.path().join("tenant.rhai"), script).expect("a plugin");
    // Time enough on a busy machine.
    let mut patient = PluginConfig::new("tenant");
    patient.timeout_ms = [("on_register".to_owned(), 60_000)].into();
    let config = PluginsConfig {
        directory: Some(folder.path().to_owned()),
        plugin: vec![patient],
        ..PluginsConfig::default()
    };
    let host = PluginHost::with(config).await.expect("a host");
    let server = hosted_plugins::server(host).await;
    let server = server.expect("the server starts");
    let mut events = server.events();
    let device = |endpoint: &str| {
        let device = Device::builder(endpoint).server(server.local_addresses()[0]);
        async move { device.start().await.expect("a port") }
    };
    let mut devices = Vec::new();
    for endpoint in ["meter-1.north", "meter-1.south", "lamp"] {
        let device = device(endpoint).await;
        let registered = timeout(PATIENCE, device.wait_registered()).await;
        registered.expect("in time").expect("registered");
        devices.push(device);
    }
    let _one_too_many = device("meter-2.north").await;
    let refused = async {
        loop {
            let event = events.next().await.expect("it runs").expect("in time");
            if let EventKind::Refused { code, reason, .. } = &event.kind {
                return (*code, reason.code, reason.message.to_string());
            }
        }
    };
    let (code, word, message) = timeout(PATIENCE, refused).await.expect("it is refused");
    assert_eq!((code, word), (Code::FORBIDDEN, "tenant-full"));
    assert_eq!(message, "north has all its devices");
}
