//! `/observe`: what the server observes on devices by itself.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use lwm2m_server::Server;
use lwm2m_server::credentials::NamePattern;
use lwm2m_server::observe::{
    ObserveRule, ObserveRuleChange, ObserveRuleDocument, ObserveRuleError, ObserveRuleSource,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::body::Body;
use crate::events::reason_json;
use crate::problem::Problem;
use crate::query::Query;
use crate::target;

#[derive(Serialize)]
pub(crate) struct List {
    /// In the order in which they count.
    rules: Vec<Rule>,
    /// Devices that have a plan.
    planned: usize,
    /// Those whose plan is being carried out, or waits until they are heard of.
    unfinished: usize,
    /// Devices that are observed path by path since they answered no composite.
    unanswered: usize,
    /// True while devices are looked at since rules have changed.
    changing: bool,
    /// Why the configuration was not taken when it was read last.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Value>,
    /// Why the file of rules that were set was not taken when it was read last.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_refused: Option<Value>,
}

#[derive(Serialize)]
struct Rule {
    #[serde(flatten)]
    rule: ObserveRuleDocument,
    set_by: &'static str,
}

/// What answers call who has made a rule.
pub(crate) fn set_by(source: ObserveRuleSource) -> &'static str {
    match source {
        ObserveRuleSource::Configuration => "configuration",
        ObserveRuleSource::Operator => "operator",
    }
}

pub(crate) async fn list(
    State(server): State<Server>,
    query: Query,
) -> Result<Json<List>, Problem> {
    query.finish()?;
    Ok(Json(List::of(&server)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct All {
    rules: Vec<ObserveRuleDocument>,
}

/// The rules of operators as a whole.
pub(crate) async fn replace(
    State(server): State<Server>,
    query: Query,
    Body(all): Body<All>,
) -> Result<Json<List>, Problem> {
    query.finish()?;
    let rules = all.rules.iter().map(ObserveRuleDocument::rule);
    let rules = rules.collect::<Result<Vec<ObserveRule>, _>>()?;
    let change = ObserveRuleChange::Replace(rules);
    server.change_observe_rules(change).await?;
    Ok(Json(List::of(&server)))
}

pub(crate) async fn one(
    State(server): State<Server>,
    target::Plan(endpoint): target::Plan,
    query: Query,
) -> Result<impl IntoResponse, Problem> {
    query.finish()?;
    let endpoint = pattern(&endpoint)?;
    let mut rules = List::of(&server).rules.into_iter();
    let name = endpoint.to_string();
    let rule = rules.find(|rule| rule.rule.endpoint == name);
    Ok(Json(rule.ok_or(ObserveRuleError::NotFound(name))?))
}

pub(crate) async fn set(
    State(server): State<Server>,
    target::Plan(endpoint): target::Plan,
    query: Query,
    Body(mut body): Body<Map<String, Value>>,
) -> Result<impl IntoResponse, Problem> {
    query.finish()?;
    let named = body
        .entry("endpoint")
        .or_insert_with(|| endpoint.as_str().into());
    if *named != endpoint.as_str() {
        let fact = format!("the path is for {endpoint:?}, and \"endpoint\" is {named}");
        return Err(Problem::body(fact));
    }
    let document: ObserveRuleDocument = serde_json::from_value(Value::Object(body))
        .map_err(|error| Problem::body(error.to_string()))?;
    let change = ObserveRuleChange::Set(document.rule()?);
    server.change_observe_rules(change).await?;
    let set_by = set_by(ObserveRuleSource::Operator);
    Ok(Json(Rule {
        rule: document,
        set_by,
    }))
}

pub(crate) async fn remove(
    State(server): State<Server>,
    target::Plan(endpoint): target::Plan,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    let change = ObserveRuleChange::Remove(pattern(&endpoint)?);
    server.change_observe_rules(change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A text that is no pattern has no rule.
fn pattern(endpoint: &str) -> Result<NamePattern, ObserveRuleError> {
    let pattern = endpoint.parse();
    pattern.map_err(|_| ObserveRuleError::NotFound(endpoint.to_owned()))
}

impl List {
    fn of(server: &Server) -> List {
        let rules = server.observe_rules().into_iter();
        let progress = server.observe_progress();
        List {
            rules: rules
                .map(|(source, rule)| Rule {
                    rule: ObserveRuleDocument::of(&rule),
                    set_by: set_by(source),
                })
                .collect(),
            planned: progress.planned,
            unfinished: progress.unfinished,
            unanswered: progress.unanswered,
            changing: progress.changing,
            refused: server
                .refused_observe_strategies()
                .map(|reason| reason_json(&reason)),
            file_refused: server
                .refused_observe_rules_file()
                .map(|reason| reason_json(&reason)),
        }
    }
}
