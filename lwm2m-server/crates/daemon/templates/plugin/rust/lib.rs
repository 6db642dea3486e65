//! Says what the plugin is for.

use lwm2m_plugin::registration::{Annotations, Decision, Guest, Registration, Rejection, Update};
use lwm2m_plugin::{Attribute, Plugin, Refusal, log};

struct ThisPlugin;

impl Plugin for ThisPlugin {
    /// `config` is the table of this name in `[[plugins.plugin]]`, as JSON.
    fn init(_config: &str) -> Result<(), String> {
        Ok(())
    }
}

impl Guest for ThisPlugin {
    fn on_register(registration: Registration) -> Decision {
        if registration.endpoint == "unwanted" {
            let endpoint = ("endpoint".to_owned(), registration.endpoint);
            log::write(log::Level::Info, "turned away", &[endpoint]);
            return Decision::Reject(Rejection {
                code: Refusal::Forbidden,
                reason: "this device is not wanted here".to_owned(),
            });
        }
        Decision::Annotate(Annotations {
            set: vec![Attribute {
                name: "seen_by".to_owned(),
                value: "{name}".to_owned(),
            }],
            remove: Vec::new(),
            lifetime_s: None,
        })
    }

    fn on_update(_registration: Registration, _update: Update) -> Decision {
        Decision::Pass
    }
}

// The hooks that it has, by their interfaces in the contract.
lwm2m_plugin::export!(ThisPlugin: registration);
