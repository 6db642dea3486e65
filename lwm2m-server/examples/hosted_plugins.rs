//! A server of one's own with plugins in a folder, and an extension in Rust beside them in the same
//! chain.
//!
//! ```console
//! $ cargo run -p lwm2m-plugins --example hosted_plugins -- plugins
//! ```
//!
//! The plugins say whose a device is, by an annotation; the extension behind them lets no tenant have
//! more devices than it has paid for. It is built with `lwm2m-plugins`, which knows this crate, so it
//! is an example of that one.

#![allow(clippy::print_stdout)] // a program speaks to its terminal

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lwm2m_plugins::PluginHost;
use lwm2m_server::hooks::EndReason;
use lwm2m_server::{
    Answer, Code, Decision, Hook, HookSet, Interceptor, Listener, Reason, Refusal, Registration,
    Server,
};

/// So many devices of one tenant may be registered.
const PAID_FOR: usize = 1;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or("plugins".to_owned());
    let server = server(PluginHost::open(folder).await?).await?;
    println!("devices register at {}", server.local_uris().join(", "));
    let mut events = server.events();
    while let Some(event) = events.next().await {
        println!("{event:?}");
    }
    Ok(())
}

/// Starts it.
pub(crate) async fn server(plugins: PluginHost) -> Result<Server, Box<dyn std::error::Error>> {
    Ok(Server::builder()
        .listen(Listener::coap("127.0.0.1:0".parse()?))
        .intercept(plugins)
        .intercept(Quota::default())
        .start()
        .await?)
}

/// Counts the devices of each tenant.
#[derive(Default)]
struct Quota {
    /// By their endpoint names: an Update or a second Register of a device is no second device.
    tenants: Mutex<HashMap<String, Vec<String>>>,
}

impl Interceptor for Quota {
    fn name(&self) -> &str {
        "quota"
    }

    fn hooks(&self) -> HookSet {
        HookSet::EMPTY.with(Hook::OnRegister).with(Hook::OnGone)
    }

    fn on_register(&self, registration: &Arc<Registration>) -> Answer<Decision> {
        let Some(tenant) = tenant(registration) else {
            return Answer::Now(Decision::Pass);
        };
        let endpoint = registration.endpoint.to_string();
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let devices = tenants.entry(tenant.clone()).or_default();
        if !devices.contains(&endpoint) {
            if devices.len() >= PAID_FOR {
                return Answer::Now(Decision::Reject(Refusal {
                    code: Code::FORBIDDEN,
                    reason: Reason::new("tenant-full", format!("{tenant} has all its devices"))
                        .hint("remove a device of this tenant, or let it have more"),
                }));
            }
            devices.push(endpoint);
        }
        Answer::Now(Decision::Pass)
    }

    fn on_gone(&self, registration: &Arc<Registration>, reason: EndReason) -> Answer<()> {
        if reason != EndReason::Replaced
            && let Some(tenant) = tenant(registration)
        {
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            let devices = tenants.entry(tenant).or_default();
            devices.retain(|endpoint| endpoint != registration.endpoint.as_str());
        }
        Answer::Now(())
    }
}

/// What a plugin before this has annotated.
fn tenant(registration: &Registration) -> Option<String> {
    let mut annotations = registration.annotations.iter();
    let (_, tenant) = annotations.find(|(key, _)| key == "tenant")?;
    Some(tenant.clone())
}
