//! Bootstrap: what is asked, what is written, and how it ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lwm2m_core::ContentFormat;
use lwm2m_server::Reason;
use lwm2m_server::bootstrap::{BootstrapOperation, BootstrapPlan, BootstrapRequest};
use lwm2m_server::hooks::BootstrapEnd;
use serde::{Deserialize, Serialize};

use super::device::{ADDRESS, IdentityForm, SchemeForm};
use super::input::{endpoint, pairs};
use super::value::{MeasurementForm, PathForm};

/// A device that asks for its accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BootstrapForm {
    endpoint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scheme: Option<SchemeForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    #[serde(default, skip_serializing_if = "IdentityForm::is_nosec")]
    identity: IdentityForm,
    /// The number of a content format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preferred_format: Option<u16>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parameters: BTreeMap<String, String>,
}

/// How a bootstrap ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BootstrapEndForm {
    endpoint: String,
    /// Why it failed; left out when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// What is written into a device.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigureForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<Vec<OperationForm>>,
    /// The number of a content format.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OperationForm {
    Discover(PathForm),
    Delete(PathForm),
    Write(Vec<MeasurementForm>),
    Read(PathForm),
}

impl BootstrapForm {
    pub(super) fn of(request: &BootstrapRequest) -> BootstrapForm {
        BootstrapForm {
            endpoint: request.endpoint.to_string(),
            scheme: SchemeForm::named(request.scheme),
            address: Some(request.peer),
            identity: IdentityForm::of(&request.identity),
            preferred_format: request.preferred_format.map(ContentFormat::number),
            parameters: request.parameters.iter().cloned().collect(),
        }
    }

    pub(super) fn request(self) -> Result<BootstrapRequest, String> {
        let peer = self.address.unwrap_or(ADDRESS);
        let mut request = BootstrapRequest::new(endpoint(&self.endpoint)?, peer);
        if let Some(scheme) = self.scheme {
            request.scheme = scheme.name();
        }
        request.identity = self.identity.identity(None);
        if let Some(number) = self.preferred_format {
            let format = ContentFormat::from_number(number);
            let format = format.ok_or_else(|| format!("preferred_format: {number} is unknown"))?;
            request.preferred_format = Some(format);
        }
        request.parameters = pairs(&self.parameters);
        Ok(request)
    }
}

impl BootstrapEndForm {
    pub(super) fn of(end: &BootstrapEnd) -> BootstrapEndForm {
        let failure = end.failure.as_ref();
        BootstrapEndForm {
            endpoint: end.endpoint.to_string(),
            failure: failure.map(|reason| reason.message.to_string()),
        }
    }

    pub(super) fn end(self) -> Result<BootstrapEnd, String> {
        let failure = self.failure.map(|why| Reason::new("device-silent", why));
        Ok(BootstrapEnd::new(endpoint(&self.endpoint)?, failure))
    }
}

impl ConfigureForm {
    pub(super) fn of(plan: &BootstrapPlan) -> ConfigureForm {
        let operation = |operation: &BootstrapOperation| match operation {
            BootstrapOperation::Discover(path) => OperationForm::Discover(PathForm(*path)),
            BootstrapOperation::Delete(path) => OperationForm::Delete(PathForm(*path)),
            BootstrapOperation::Write { records, .. } => {
                OperationForm::Write(records.iter().map(MeasurementForm::of).collect())
            }
            BootstrapOperation::Read(path) => OperationForm::Read(PathForm(*path)),
            // One that a later version of the server adds.
            _ => OperationForm::Discover(PathForm(lwm2m_core::Path::ROOT)),
        };
        ConfigureForm {
            operations: Some(plan.operations.iter().map(operation).collect()),
            format: plan.content_format.map(ContentFormat::number),
        }
    }
}
