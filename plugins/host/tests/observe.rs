//! Plans of plugins, carried out on a device.

use std::path::{Path as File, PathBuf};
use std::time::Duration;

use lwm2m_device::objects::Temperature;
use lwm2m_device::{Device, DeviceEvent, DeviceHandle};
use lwm2m_plugins::{PluginConfig, PluginHost, PluginsConfig};
use lwm2m_server::observe::{ObserveRule, ObserveStrategies, ObserveStrategy};
use lwm2m_server::{EventKind, Events, Listener, ObservationTarget, Server};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

const EXAMPLE: &str = "observe-by-manufacturer";

/// A host of one plugin, with time enough for its plans on a busy machine.
async fn host(folder: &File, mut plugin: PluginConfig) -> PluginHost {
    plugin.timeout_ms = [("observe_plan".to_owned(), 60_000)].into();
    let config = PluginsConfig {
        directory: Some(folder.to_owned()),
        plugin: vec![plugin],
        ..PluginsConfig::default()
    };
    PluginHost::with(config).await.expect("a host")
}

async fn server(host: PluginHost) -> Server {
    let otherwise = ObserveRule::new(ObserveStrategy::Single);
    let otherwise = otherwise.path("/3/0/16".parse().expect("a path"));
    let server = Server::builder()
        .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
        .observe(ObserveStrategies::default().rule(otherwise))
        .intercept(host);
    server.start().await.expect("the server starts")
}

async fn device(server: &Server) -> DeviceHandle {
    let device = Device::builder("a")
        .server(server.local_addresses()[0])
        .object(Temperature::new(1));
    device.start().await.expect("a port")
}

/// The next plan: who made it, and what it comes to.
async fn planned(events: &mut Events) -> (String, Vec<String>) {
    let search = async {
        loop {
            let event = events.next().await.expect("it runs").expect("in time");
            if let EventKind::ObservePlanned { owner, targets, .. } = &event.kind {
                let targets = targets.iter().map(|target| match target {
                    ObservationTarget::Single(path) => path.to_string(),
                    ObservationTarget::Composite(paths) => {
                        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
                        format!("[{}]", paths.join(" "))
                    }
                });
                return (owner.clone().unwrap_or_default(), targets.collect());
            }
        }
    };
    timeout(PATIENCE, search).await.expect("a plan")
}

fn owned(owner: &str, targets: &[&str]) -> (String, Vec<String>) {
    let targets = targets.iter().map(|target| (*target).to_owned());
    (owner.to_owned(), targets.collect())
}

fn write(file: &File, text: &str) {
    std::fs::write(file, text).expect("the folder is writable");
}

#[tokio::test]
async fn the_example_observes_by_manufacturer_from_the_first_registration_on() {
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(EXAMPLE);
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join(EXAMPLE);
    std::fs::create_dir(&own).expect("a folder");
    for entry in std::fs::read_dir(example).expect("the example") {
        let file = entry.expect("an entry").path();
        if let (true, Some(name)) = (file.is_file(), file.file_name()) {
            std::fs::copy(&file, own.join(name)).expect("copied");
        }
    }
    let plans = "plans = { 'Simulated Devices' = ['/3303/0/5700', '/3/0/9', '/9/0/7'] }";
    let mut plugin = PluginConfig::new(EXAMPLE);
    plugin.grant = vec!["kv".to_owned(), "device:read:/3/0/0".to_owned()];
    plugin.config = toml::from_str(plans).expect("a table");
    let host = host(folder.path(), plugin).await;
    let server = server(host.clone()).await;
    let mut events = server.events();
    let device = device(&server).await;
    let mut doings = device.events();
    // It has asked the device before it is asked for a plan.
    let expected = owned(EXAMPLE, &["[/3303/0/5700]", "[/3/0/9]"]);
    assert_eq!(planned(&mut events).await, expected, "{:?}", host.list());
    let mut observed = Vec::new();
    let watch = async {
        while observed.len() < 2 {
            if let DeviceEvent::ObservationStarted { paths, .. } =
                doings.recv().await.expect("it runs")
            {
                observed.push(paths[0].to_string());
            }
        }
    };
    timeout(PATIENCE, watch).await.expect("observed");
    assert_eq!(observed, ["/3303/0/5700", "/3/0/9"]);
}

#[tokio::test]
async fn another_version_of_a_plugin_changes_what_is_observed() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("planner.rhai");
    let plan = |grouping: &str| {
        let body = format!("observe([\"/3303/0/5700\", \"/3/0/9\"], \"{grouping}\")");
        format!("fn observe_plan(registration) {{ {body} }}")
    };
    write(&script, &plan("single"));
    let host = host(folder.path(), PluginConfig::new("planner")).await;
    let server = server(host.clone()).await;
    let mut events = server.events();
    let _device = device(&server).await;
    let expected = owned("planner", &["/3303/0/5700", "/3/0/9"]);
    assert_eq!(planned(&mut events).await, expected);
    write(&script, &plan("composite-all"));
    let reload = |host: PluginHost| tokio::task::spawn_blocking(move || host.reload());
    reload(host.clone()).await.expect("no panic");
    let expected = owned("planner", &["[/3/0/9 /3303/0/5700]"]);
    assert_eq!(planned(&mut events).await, expected);
    // Without it the strategies count.
    std::fs::remove_file(&script).expect("removed");
    reload(host).await.expect("no panic");
    assert_eq!(
        planned(&mut events).await,
        owned("configuration", &["/3/0/16"])
    );
}
