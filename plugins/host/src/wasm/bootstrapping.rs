//! A Bootstrap-Request for the contract, and the plan that comes back.

use std::sync::Arc;

use lwm2m_core::{ContentFormat, Path, Record};
use lwm2m_server::bootstrap::{
    BootstrapAnswer, BootstrapOperation, BootstrapPlan, BootstrapRequest,
};
use lwm2m_server::{Reason, Refusal};

use super::bindings::exports::lwm2m::plugin::bootstrap;
use super::bindings::lwm2m::plugin::types as wit;
use super::{input, output};
use crate::Failure;

pub(super) fn request(request: &BootstrapRequest) -> bootstrap::Request {
    bootstrap::Request {
        endpoint: request.endpoint.as_str().to_owned(),
        scheme: request.scheme.to_owned(),
        address: request.peer.to_string(),
        identity: input::identity(&request.identity),
        preferred_format: request.preferred_format.map(ContentFormat::number),
        parameters: input::attributes(&request.parameters),
    }
}

/// # Errors
/// A path that there is none of or that a value cannot have, a format that is not known.
pub(super) fn answer(answer: bootstrap::Answer) -> Result<BootstrapAnswer, Failure> {
    let config = match answer {
        bootstrap::Answer::Unknown => return Ok(BootstrapAnswer::Unknown),
        bootstrap::Answer::Refuse((code, why)) => {
            return Ok(BootstrapAnswer::Refuse(Refusal {
                code: output::code(code),
                reason: Reason::new("plugin-rejected", why),
            }));
        }
        bootstrap::Answer::Configure(config) => config,
    };
    let mut plan = BootstrapPlan::new();
    if let Some(number) = config.content_format {
        let format = ContentFormat::from_number(number);
        let what = || Failure::Unusable(format!("there is no content format {number}"));
        plan.content_format = Some(format.ok_or_else(what)?);
    }
    for operation in config.operations {
        plan = match operation {
            bootstrap::Operation::Delete(path) => {
                plan.with(BootstrapOperation::Delete(or_root(path)?))
            }
            bootstrap::Operation::Discover(path) => {
                plan.with(BootstrapOperation::Discover(or_root(path)?))
            }
            bootstrap::Operation::Read(path) => {
                plan.with(BootstrapOperation::Read(output::path(&path)?))
            }
            bootstrap::Operation::Write(values) => {
                let values = output::values(values)?;
                if let Some((path, _)) = values.iter().find(|(path, _)| path.ids().len() < 3) {
                    let what = format!("a value is of a resource, not of {path}");
                    return Err(Failure::Unusable(what));
                }
                plan.write(values.into_iter().map(|(path, v)| Record::new(path, v)))
            }
        };
    }
    Ok(BootstrapAnswer::Configure(Arc::new(plan)))
}

fn or_root(path: Option<wit::Path>) -> Result<Path, Failure> {
    path.map_or(Ok(Path::ROOT), |path| output::path(&path))
}
