//! `lwm2m-server observe-rules`: what the server observes on devices by itself.

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::api::{Api, Method, Problem, encode};
use super::show::{array, as_json};
use super::table::{print, text};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Lists the rules in the order in which they count.
    List,
    /// Makes a rule, or changes what is given of one that is there.
    #[command(
        after_help = "Examples:\n  observe-rules set 'urn:imei:35*' --strategy COMPOSITE_BY_OBJECT --path /3/0/9 \
                      --path /3303/0/5700\n  observe-rules set 'urn:imei:35*' --strategy SINGLE\n  \
                      observe-rules set --strategy SINGLE --path /3/0/9 --attribute /3/0/9:pmin=10\n\n\
                      Rules that are set here come before those of the configuration, the one that \
                      is new first, and count after a restart as well."
    )]
    Set(Box<Set>),
    /// Removes rules; those of the configuration for the same devices count again.
    Remove {
        #[arg(required = true, value_name = "ENDPOINT")]
        endpoints: Vec<String>,
    },
}

#[derive(clap::Args)]
pub(crate) struct Set {
    /// The endpoint name, or a pattern; by default, devices that no other rule is for.
    #[arg(default_value = "*")]
    endpoint: String,
    /// SINGLE, COMPOSITE_ALL, COMPOSITE_BY_OBJECT or plugin.
    #[arg(long)]
    strategy: Option<String>,
    /// What to observe, in the place of all that was; again for more.
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// What is written before, in the place of all that was; again for more.
    #[arg(long = "attribute", value_name = "PATH:KEY=VALUE")]
    attributes: Vec<String>,
    /// The format to ask for.
    #[arg(long)]
    format: Option<String>,
    /// When to start after the registration.
    #[arg(long, value_name = "SECONDS")]
    delay_s: Option<u64>,
}

const RULES: &str = "/observe/rules";

pub(crate) fn run(api: &Api, command: &Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::List => {
            let answer = api.call(Method::Get, RULES, &[])?;
            match json {
                true => as_json(&answer),
                false => list(&answer),
            }
        }
        Command::Set(set) => {
            let path = at(&set.endpoint);
            let rule = set.rule(known(api, &path)?)?;
            let rule = api.call(Method::Put(Some(rule)), &path, &[])?;
            match json {
                true => as_json(&rule),
                false => table(std::slice::from_ref(&rule)),
            }
        }
        Command::Remove { endpoints } => {
            for endpoint in endpoints {
                api.call(Method::Delete, &at(endpoint), &[])?;
            }
            match json {
                true => as_json(&json!({ "removed": endpoints })),
                false => {
                    say!("removed");
                    Ok(())
                }
            }
        }
    }
}

fn at(endpoint: &str) -> String {
    format!("{RULES}/{}", encode(endpoint))
}

/// The rule that is there.
fn known(api: &Api, path: &str) -> anyhow::Result<Option<Map<String, Value>>> {
    match api.call(Method::Get, path, &[]) {
        Ok(Value::Object(rule)) => Ok(Some(rule)),
        Ok(_) => Ok(None),
        Err(error) => {
            let problem = error.downcast_ref::<Problem>();
            let word = problem.and_then(|problem| problem.document.get("type")?.as_str());
            match word.is_some_and(|word| word.ends_with(":unknown-rule")) {
                true => Ok(None),
                false => Err(error),
            }
        }
    }
}

impl Set {
    fn rule(&self, known: Option<Map<String, Value>>) -> anyhow::Result<Value> {
        let mut rule = known.unwrap_or_default();
        rule.remove("set_by");
        if let Some(strategy) = &self.strategy {
            rule.insert("strategy".to_owned(), strategy.as_str().into());
            if strategy == "plugin" {
                for key in ["paths", "attributes", "format"] {
                    rule.remove(key);
                }
            }
        }
        if !rule.contains_key("strategy") {
            bail!(
                "there is no rule for {} yet: name a --strategy",
                self.endpoint
            );
        }
        if !self.paths.is_empty() {
            rule.insert("paths".to_owned(), json!(self.paths));
            // Attributes of paths that are gone go with them.
            if let Some(Value::Object(attributes)) = rule.get_mut("attributes") {
                attributes.retain(|path, _| self.paths.contains(path));
            }
        }
        if !self.attributes.is_empty() {
            rule.insert("attributes".to_owned(), attributes(&self.attributes)?);
        }
        if let Some(format) = &self.format {
            rule.insert("format".to_owned(), format.as_str().into());
        }
        if let Some(delay_s) = self.delay_s {
            rule.insert("delay_s".to_owned(), delay_s.into());
        }
        Ok(Value::Object(rule))
    }
}

/// `/3/0/9:pmin=10` and more.
fn attributes(given: &[String]) -> anyhow::Result<Value> {
    let mut all: Map<String, Value> = Map::new();
    for text in given {
        let parts = text.split_once(':');
        let parts = parts.and_then(|(path, pair)| Some((path, pair.split_once('=')?)));
        let Some((path, (key, value))) = parts else {
            bail!("'{text}' is no attribute: write PATH:KEY=VALUE, as in /3/0/9:pmin=10");
        };
        let own = all.entry(path).or_insert_with(|| json!({}));
        if let Value::Object(own) = own
            && own.insert(key.to_owned(), value.into()).is_some()
        {
            bail!("{path}:{key} is given twice");
        }
    }
    Ok(Value::Object(all))
}

fn list(answer: &Value) -> anyhow::Result<()> {
    table(array(answer.get("rules").unwrap_or(&Value::Null)))?;
    if answer.get("changing") == Some(&Value::Bool(true)) {
        say!("Devices are being looked at, since rules have changed.");
    }
    for (key, what) in [
        ("refused", "The configuration"),
        ("file_refused", "The file of rules that were set"),
    ] {
        if let Some(refused) = answer.get(key) {
            let (message, hint) = (text(refused, "message"), text(refused, "hint"));
            say!("{what} was not taken: {message}; {hint}");
        }
    }
    Ok(())
}

fn table(rules: &[Value]) -> anyhow::Result<()> {
    let row = |rule: &Value| {
        let paths = array(rule.get("paths").unwrap_or(&Value::Null)).iter();
        let paths: Vec<&str> = paths.filter_map(Value::as_str).collect();
        let attributes = rule.get("attributes").and_then(Value::as_object);
        let attributes = attributes.into_iter().flatten().flat_map(|(path, own)| {
            let own = own.as_object().into_iter().flatten();
            own.map(move |(key, _)| {
                let value = text(&rule["attributes"][path], key);
                format!("{path}:{key}={value}")
            })
        });
        vec![
            text(rule, "endpoint"),
            text(rule, "strategy"),
            paths.join(" "),
            attributes.collect::<Vec<String>>().join(" "),
            text(rule, "format"),
            text(rule, "delay_s"),
            text(rule, "set_by"),
        ]
    };
    print(
        &[
            "endpoint",
            "strategy",
            "paths",
            "attributes",
            "format",
            "delay s",
            "set by",
        ],
        rules.iter().map(row).collect(),
        "Nothing is observed by rule: `lwm2m-server observe-rules set --help` shows how to make one.",
    );
    Ok(())
}
