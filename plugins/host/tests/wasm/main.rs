//! Components that are really executed, behind the hooks of the server: made here from WebAssembly
//! text and the contract, so that no toolchain is needed.

mod cache;
mod clock;
mod contained;
mod examples;
#[allow(dead_code)] // tests of other crates use all of it
mod guest;
mod hooks;
mod loading;
mod passing;

use std::net::SocketAddr;
use std::sync::Arc;

use lwm2m_core::ObjectList;
use lwm2m_plugins::{PluginHost, PluginStatus, PluginsConfig};
use lwm2m_server::hooks::{Batch, Update};
use lwm2m_server::{Decision, EndpointName, Interceptor, Registration};
use tempfile::TempDir;

use guest::Guest;

/// A host with plugins in a folder of its own.
struct Hosted {
    host: PluginHost,
    folder: TempDir,
}

impl Hosted {
    /// Plugins by their names, with settings as in `[plugins]`.
    async fn new(plugins: &[(&str, Vec<u8>)], settings: &str) -> Hosted {
        let folder = TempDir::new().expect("a folder");
        for (name, component) in plugins {
            let file = folder.path().join(format!("{name}.wasm"));
            std::fs::write(file, component).expect("a plugin");
        }
        let config = toml::from_str(settings).expect("settings");
        let config = PluginsConfig {
            directory: Some(folder.path().to_owned()),
            ..config
        };
        let host = PluginHost::with(config).await.expect("a host");
        Hosted { host, folder }
    }

    /// One plugin, called `p`, with time enough on a busy machine.
    async fn one(guest: &Guest) -> Hosted {
        Hosted::patient(guest, "").await
    }

    /// The same with further settings of the plugin.
    async fn patient(guest: &Guest, settings: &str) -> Hosted {
        let settings = format!("[[plugin]]\nname = 'p'\n{PATIENT}\n{settings}");
        Hosted::new(&[("p", guest.build())], &settings).await
    }

    fn status(&self, name: &str) -> PluginStatus {
        let list = self.host.list();
        let status = list.into_iter().find(|status| status.name == name);
        status.expect("a plugin of this name")
    }

    /// Why a plugin is not in service; empty when it is.
    fn refused(&self, name: &str) -> String {
        let error = self.status(name).error;
        error.map_or(String::new(), |error| {
            format!("{error}; {}", error.hint.clone().unwrap_or_default())
        })
    }

    async fn on_register(&self) -> Decision {
        self.host.on_register(&registration()).await
    }
}

/// Time limits that only what never ends goes over.
const PATIENT: &str = "timeout_ms = { credentials = 60000, on_register = 60000, on_update = 60000, \
    on_registered = 60000, on_updated = 60000, on_gone = 60000, observe_plan = 60000, \
    observe_failed = 60000, transform = 60000, firmware = 60000, firmware_step = 60000, \
    bootstrap = 60000, on_bootstrapped = 60000 }";

/// The reason word and the message of a refusal.
fn refusal(decision: &Decision) -> (&'static str, String) {
    match decision {
        Decision::Reject(refusal) => (refusal.reason.code, refusal.reason.message.to_string()),
        other => ("", format!("{other:?}")),
    }
}

fn endpoint() -> EndpointName {
    EndpointName::new("urn:imei:350000000000001").expect("a name")
}

fn registration() -> Arc<Registration> {
    let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
    let mut registration = Registration::new(endpoint(), peer);
    let objects = "</lwm2m>;rt=\"oma.lwm2m\",</lwm2m/1/0>,</lwm2m/3/0>;ver=1.1,</lwm2m/5>";
    registration.objects = Arc::new(ObjectList::parse(objects.as_bytes()).expect("links"));
    registration.annotations = vec![("tenant".to_owned(), "north".to_owned())];
    Arc::new(registration)
}

fn update() -> Arc<Update> {
    let mut update = Update::default();
    update.lifetime_changed = true;
    Arc::new(update)
}

fn batch(records: Vec<lwm2m_core::Record<'static>>) -> Arc<Batch> {
    Arc::new(Batch::new(endpoint(), records))
}
