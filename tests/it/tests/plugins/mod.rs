//! Plugins behind a running server: what they may use, and whom a bad one harms.

mod broken;
mod contained;
mod services;

use lwm2m_plugins::{PluginHost, PluginStatus, PluginsConfig};
use lwm2m_server::{Event, EventKind, Events, Listener, Server, ServerConfig};
use tempfile::TempDir;

/// A server with two shards and these plugins.
struct Hosting {
    server: Server,
    host: PluginHost,
    events: Events,
    folder: TempDir,
}

/// Time limits that only what never ends goes over.
const PATIENT: &str = "on_register = 60000, on_update = 60000, on_registered = 60000, \
                       transform = 60000";

impl Hosting {
    /// Files by their paths in the folder of plugins, and settings as in `[plugins]`.
    async fn new(files: &[(String, Vec<u8>)], settings: &str) -> Hosting {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            write(&folder, name, content);
        }
        let config = toml::from_str(settings).expect("settings");
        let config = PluginsConfig {
            directory: Some(folder.path().to_owned()),
            ..config
        };
        let host = PluginHost::with(config).await.expect("a host");
        for status in host.list() {
            assert_eq!(status.error, None);
        }
        let mut config = ServerConfig::default();
        config.shards = 2;
        // Above what plugins may take in these tests.
        config.limits.hook_timeout = std::time::Duration::from_secs(60);
        let server = Server::builder()
            .config(config)
            .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
            .intercept(host.clone())
            .start()
            .await
            .expect("the server starts");
        Hosting {
            events: server.events(),
            server,
            host,
            folder,
        }
    }

    fn status(&self, name: &str) -> PluginStatus {
        let list = self.host.list();
        let status = list.into_iter().find(|status| status.name == name);
        status.expect("a plugin of this name")
    }

    /// What an endpoint is annotated with.
    async fn annotation(&self, endpoint: &str, key: &str) -> Option<String> {
        let registration = self.server.registration(endpoint).await;
        let annotations = registration.expect("registered").annotations;
        let own = annotations.into_iter().find(|(known, _)| known == key);
        own.map(|(_, value)| value)
    }
}

fn write(folder: &TempDir, name: &str, content: &[u8]) {
    let file = folder.path().join(name);
    let parent = file.parent().expect("a folder");
    std::fs::create_dir_all(parent).expect("a folder");
    std::fs::write(file, content).expect("a file");
}

/// What has become of a plugin that was switched off or on, and why.
fn switched(event: &Event, plugin: &str) -> Option<(&'static str, String)> {
    match &event.kind {
        EventKind::ExtensionSwitched {
            extension,
            state,
            reason,
        } if extension == plugin => Some((*state, reason.message.to_string())),
        _ => None,
    }
}

/// The word and the message of a failure of this plugin.
fn failure(event: &Event, plugin: &str) -> Option<(&'static str, String)> {
    match &event.kind {
        EventKind::ExtensionFailed {
            extension, reason, ..
        } if extension == plugin => {
            assert!(reason.hint.is_some(), "{reason:?}");
            Some((reason.code, reason.message.to_string()))
        }
        _ => None,
    }
}
