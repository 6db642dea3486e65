//! What plugins answer.

use std::collections::BTreeMap;

use lwm2m_coap::Code;
use lwm2m_core::Attributes;
use lwm2m_server::bootstrap::BootstrapAnswer;
use lwm2m_server::credentials::{Credential, Proof};
use lwm2m_server::hooks::{
    CredentialAnswer, FirmwareChoice, FirmwareStrategy, Grouping, ObservePlan, ObserveTarget,
    Outcome, Repair, Series,
};
use lwm2m_server::{Decision, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::bootstrap::ConfigureForm;
use super::delivery::StepForm;
use super::value::{BytesForm, MeasurementForm, PathForm, ValueForm, to_hex};
use crate::Reply;

/// An answer, by the name that scripts have for it. What is left out of one that is expected is not
/// compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnswerForm {
    /// No opinion about a registration, values, or firmware.
    Pass,
    Annotate(AnnotationsForm),
    Accept(AnnotationsForm),
    Reject(RejectForm),
    /// No opinion about a peer or a bootstrap.
    Unknown,
    Psk(GrantForm),
    Rpk(GrantForm),
    X509(GrantForm),
    Oscore(GrantForm),
    Deny(String),
    /// Of hooks whose answer nobody listens to.
    Done,
    /// No plan, no step.
    None,
    Observe(PlanForm),
    Keep,
    Drop,
    Replace(Vec<MeasurementForm>),
    Emit(Vec<SeriesForm>),
    Document(DocumentForm),
    #[serde(rename = "object5_push")]
    Object5Push(PushForm),
    #[serde(rename = "object5_pull")]
    Object5Pull(PullForm),
    #[serde(rename = "object19_push")]
    Object19Push(PushForm),
    Custom(BytesForm),
    Postpone(u32),
    Refuse(String),
    Step(StepForm),
    Configure(ConfigureForm),
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AnnotationsForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remove: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RejectForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<RefusalForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RefusalForm {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    NotAcceptable,
    PreconditionFailed,
    ServiceUnavailable,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GrantForm {
    /// Of a pre-shared key, as hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The only name that it is for; `*` for any that the identity allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// In seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PlanForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<Vec<TargetForm>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grouping: Option<GroupingForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
}

/// `"/3/0/9"`, or `{ path = "/3/0/9", attributes = { pmin = 10 } }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "serde_json::Value")]
struct TargetForm(ObserveTarget);

/// `"single"`, `"composite-all"`, `"composite-by-object"`, or lists of indices into the targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "serde_json::Value")]
struct GroupingForm(Grouping);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeriesForm {
    name: String,
    path: PathForm,
    value: ValueForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DocumentForm {
    content_type: String,
    body: BytesForm,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PushForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_size: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PullForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
}

impl AnswerForm {
    /// What an answer looks like.
    pub(crate) fn of(reply: &Reply) -> AnswerForm {
        match reply {
            Reply::Credentials(answer) => AnswerForm::credentials(answer),
            Reply::Bootstrap(BootstrapAnswer::Configure(plan)) => {
                AnswerForm::Configure(ConfigureForm::of(plan))
            }
            Reply::Bootstrap(BootstrapAnswer::Refuse(refusal)) => AnswerForm::reject(refusal),
            Reply::Bootstrap(BootstrapAnswer::Unknown) => AnswerForm::Unknown,
            Reply::Decision(decision) => AnswerForm::decision(decision),
            Reply::Done => AnswerForm::Done,
            Reply::Plan(None) | Reply::Step(None) => AnswerForm::None,
            Reply::Plan(Some(plan)) | Reply::Repair(Repair::Replace(plan)) => {
                AnswerForm::Observe(PlanForm::of(plan))
            }
            Reply::Repair(Repair::Drop) => AnswerForm::Drop,
            Reply::Repair(_) => AnswerForm::Keep,
            Reply::Outcome(outcome) => AnswerForm::outcome(outcome),
            Reply::Choice(choice) => AnswerForm::choice(choice),
            Reply::Step(Some(step)) => AnswerForm::Step(StepForm::of(step)),
        }
    }

    /// As JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn decision(decision: &Decision) -> AnswerForm {
        let facts = |facts: &lwm2m_server::Annotations| AnnotationsForm {
            set: Some(facts.set.iter().cloned().collect()),
            remove: Some(facts.remove.clone()),
            lifetime: facts.lifetime_s,
        };
        match decision {
            Decision::Annotate(annotations) => AnswerForm::Annotate(facts(annotations)),
            Decision::Accept(annotations) => AnswerForm::Accept(facts(annotations)),
            Decision::Reject(refusal) => AnswerForm::reject(refusal),
            _ => AnswerForm::Pass,
        }
    }

    fn reject(refusal: &Refusal) -> AnswerForm {
        AnswerForm::Reject(RejectForm {
            code: RefusalForm::of(refusal.code),
            reason: Some(refusal.reason.message.to_string()),
        })
    }

    fn credentials(answer: &CredentialAnswer) -> AnswerForm {
        let (credential, cache) = match answer {
            CredentialAnswer::Grant { credential, cache } => (credential, cache.as_secs()),
            CredentialAnswer::Deny { why } => return AnswerForm::Deny(why.clone()),
            _ => return AnswerForm::Unknown,
        };
        let grant = |key| GrantForm {
            key,
            endpoint: Some(endpoint(credential)),
            cache: Some(cache),
        };
        match &credential.proof {
            Proof::Psk { key, .. } => AnswerForm::Psk(grant(Some(to_hex(key.expose())))),
            Proof::Rpk { .. } => AnswerForm::Rpk(grant(None)),
            Proof::Oscore(_) => AnswerForm::Oscore(grant(None)),
            _ => AnswerForm::X509(grant(None)),
        }
    }

    fn outcome(outcome: &Outcome) -> AnswerForm {
        match outcome {
            Outcome::Drop => AnswerForm::Drop,
            Outcome::Replace(records) => {
                AnswerForm::Replace(records.iter().map(MeasurementForm::of).collect())
            }
            Outcome::Emit(series) => AnswerForm::Emit(series.iter().map(SeriesForm::of).collect()),
            Outcome::Document { content_type, body } => AnswerForm::Document(DocumentForm {
                content_type: content_type.clone(),
                body: BytesForm(body.to_vec()),
            }),
            _ => AnswerForm::Pass,
        }
    }

    fn choice(choice: &FirmwareChoice) -> AnswerForm {
        let push = |instance, block_size| PushForm {
            instance: Some(instance),
            block_size: Some(block_size),
        };
        match choice {
            FirmwareChoice::Deliver(strategy) => match strategy {
                FirmwareStrategy::Object5Push {
                    instance,
                    block_size,
                } => AnswerForm::Object5Push(push(*instance, *block_size)),
                FirmwareStrategy::Object5Pull { instance, uri } => {
                    AnswerForm::Object5Pull(PullForm {
                        instance: Some(*instance),
                        uri: Some(uri.clone()),
                    })
                }
                FirmwareStrategy::Object19Push {
                    instance,
                    block_size,
                } => AnswerForm::Object19Push(push(*instance, *block_size)),
                FirmwareStrategy::Custom(state) => AnswerForm::Custom(BytesForm(state.clone())),
                _ => AnswerForm::Pass,
            },
            FirmwareChoice::Postpone(seconds) => AnswerForm::Postpone(*seconds),
            FirmwareChoice::Refuse(why) => AnswerForm::Refuse(why.clone()),
            _ => AnswerForm::Pass,
        }
    }
}

impl RefusalForm {
    fn of(code: Code) -> Option<RefusalForm> {
        Some(match code {
            Code::BAD_REQUEST => RefusalForm::BadRequest,
            Code::UNAUTHORIZED => RefusalForm::Unauthorized,
            Code::FORBIDDEN => RefusalForm::Forbidden,
            Code::NOT_FOUND => RefusalForm::NotFound,
            Code::NOT_ACCEPTABLE => RefusalForm::NotAcceptable,
            Code::PRECONDITION_FAILED => RefusalForm::PreconditionFailed,
            Code::SERVICE_UNAVAILABLE => RefusalForm::ServiceUnavailable,
            _ => return None,
        })
    }
}

/// The one name that a credential is for, or `*`.
fn endpoint(credential: &Credential) -> String {
    let only = match credential.endpoints.as_slice() {
        [only] => only.literal(),
        _ => None,
    };
    only.map_or_else(|| "*".to_owned(), str::to_owned)
}

impl PlanForm {
    fn of(plan: &ObservePlan) -> PlanForm {
        PlanForm {
            targets: Some(plan.targets.iter().cloned().map(TargetForm).collect()),
            grouping: Some(GroupingForm(plan.grouping.clone())),
            format: plan.format.map(|format| format.number()),
            delay_ms: Some(plan.delay.as_millis() as u64),
        }
    }
}

impl TryFrom<toml::Value> for TargetForm {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<TargetForm, String> {
        let refused = "a target is \"/3/0/9\" or { path = \"/3/0/9\", attributes = { pmin = 10 } }";
        let mut table = match value {
            toml::Value::String(path) => toml::Table::from_iter([("path".to_owned(), path.into())]),
            toml::Value::Table(table) => table,
            _ => return Err(refused.to_owned()),
        };
        let (path, attributes) = (table.remove("path"), table.remove("attributes"));
        let path = path.as_ref().and_then(toml::Value::as_str).ok_or(refused)?;
        if let Some(key) = table.keys().next() {
            return Err(format!("{key}: {refused}"));
        }
        let items = match attributes {
            None => Vec::new(),
            Some(toml::Value::Table(table)) => table
                .iter()
                .map(|(name, value)| match value {
                    toml::Value::String(text) => format!("{name}={text}"),
                    other => format!("{name}={other}"),
                })
                .collect(),
            Some(_) => return Err(refused.to_owned()),
        };
        let attributes = Attributes::from_query(items.iter().map(String::as_str));
        Ok(TargetForm(ObserveTarget {
            path: PathForm::try_from(path.to_owned())?.0,
            attributes: attributes.map_err(|error| error.to_string())?,
        }))
    }
}

impl From<TargetForm> for serde_json::Value {
    fn from(TargetForm(target): TargetForm) -> serde_json::Value {
        let mut form = json!({ "path": target.path.to_string() });
        if !target.attributes.is_empty() {
            let items = target.attributes.query_items();
            let item = |item: &String| {
                let (name, value) = item.split_once('=').unwrap_or((item, ""));
                let number = value.parse::<f64>().map(|number| json!(number));
                (name.to_owned(), number.unwrap_or_else(|_| json!(value)))
            };
            let items: serde_json::Map<_, _> = items.iter().map(item).collect();
            form["attributes"] = items.into();
        }
        form
    }
}

impl TryFrom<toml::Value> for GroupingForm {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<GroupingForm, &'static str> {
        let refused = "a grouping is \"single\", \"composite-all\", \"composite-by-object\", or \
                       lists of indices into the targets";
        let index = |index: &toml::Value| u32::try_from(index.as_integer()?).ok();
        let group = |group: &toml::Value| group.as_array()?.iter().map(index).collect();
        let grouping = match &value {
            toml::Value::String(name) => match name.as_str() {
                "single" => Some(Grouping::Single),
                "composite-all" => Some(Grouping::CompositeAll),
                "composite-by-object" => Some(Grouping::CompositeByObject),
                _ => None,
            },
            toml::Value::Array(groups) => {
                let groups: Option<Vec<Vec<u32>>> = groups.iter().map(group).collect();
                groups.map(Grouping::Custom)
            }
            _ => None,
        };
        grouping.map(GroupingForm).ok_or(refused)
    }
}

impl From<GroupingForm> for serde_json::Value {
    fn from(GroupingForm(grouping): GroupingForm) -> serde_json::Value {
        match grouping {
            Grouping::Single => json!("single"),
            Grouping::CompositeAll => json!("composite-all"),
            Grouping::CompositeByObject => json!("composite-by-object"),
            Grouping::Custom(groups) => json!(groups),
        }
    }
}

impl SeriesForm {
    fn of(series: &Series) -> SeriesForm {
        SeriesForm {
            name: series.name.clone(),
            path: PathForm(series.record.path),
            value: ValueForm(series.record.value.clone()),
            time: series.record.time,
            unit: series.unit.clone(),
            tags: Some(series.tags.iter().cloned().collect()),
        }
    }
}
