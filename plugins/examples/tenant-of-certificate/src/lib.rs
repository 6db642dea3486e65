//! The tenant of a device, from the common name of its certificate: `device.tenant`. A certificate
//! without one may not register; a device that has no certificate is none of its business.

use lwm2m_plugin::registration::{Annotations, Decision, Guest, Registration, Rejection, Update};
use lwm2m_plugin::types::Identity;
use lwm2m_plugin::{Attribute, Plugin, Refusal};

struct TenantOfCertificate;

impl Plugin for TenantOfCertificate {}

impl Guest for TenantOfCertificate {
    fn on_register(reg: Registration) -> Decision {
        let Identity::X509(certificate) = &reg.identity else {
            return Decision::Pass;
        };
        let name = certificate.common_name.as_deref().unwrap_or_default();
        match name.rsplit_once('.') {
            Some((_, tenant)) if !tenant.is_empty() => Decision::Annotate(Annotations {
                set: vec![Attribute {
                    name: "tenant".to_owned(),
                    value: tenant.to_owned(),
                }],
                remove: Vec::new(),
                lifetime_s: None,
            }),
            _ => Decision::Reject(Rejection {
                code: Refusal::Forbidden,
                reason: format!("the common name {name:?} names no tenant"),
            }),
        }
    }

    fn on_update(_: Registration, _: Update) -> Decision {
        Decision::Pass
    }
}

lwm2m_plugin::export!(TenantOfCertificate: registration);
