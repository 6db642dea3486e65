//! The commands, each a few calls of the API.

use clap::Subcommand;
use serde_json::{Value, json};

use super::api::{Api, Method};
use super::bodies::{at, composite_to_object, object, observe_body, pairs_to_object, write_body};
use super::{bootstrap, credentials, follow, observe_rules, show};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists the registered devices.
    Clients {
        /// Only endpoint names that contain this text.
        contains: Option<String>,
    },
    /// Shows one device: its registration and its observations.
    Client { endpoint: String },
    /// Drops a registration without telling the device.
    Forget { endpoint: String },
    /// Reads a path; several paths in one composite read.
    Read {
        endpoint: String,
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<String>,
        /// The content format of a composite answer; --format is that of the request.
        #[arg(long, value_name = "FORMAT")]
        accept: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Writes a value, or `ID=VALUE` pairs below an instance or a multiple resource.
    #[command(
        after_help = "Examples:\n  write EP /3/0/14 +02:00\n  write EP /1/0 2=5 3=60 --update\n  \
                            write EP /3/0/14=+02:00 /1/0/1=300 --composite\n  \
                            write EP /16/0/0/1=new /16/0/0/2 --composite"
    )]
    Write {
        endpoint: String,
        /// The path; with --composite, the first `PATH=VALUE`.
        path: String,
        #[arg(value_name = "VALUE", allow_negative_numbers = true)]
        values: Vec<String>,
        /// Changes only what is named (POST).
        #[arg(long)]
        update: bool,
        /// Writes absolute `PATH=VALUE` pairs, all or nothing; a `PATH` alone removes that
        /// resource instance (LwM2M 1.2).
        #[arg(long, conflicts_with = "update")]
        composite: bool,
        /// The data type, when no model knows the resource.
        #[arg(long = "type", value_name = "TYPE")]
        data_type: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Executes a resource.
    Exec {
        endpoint: String,
        path: String,
        /// As in `0='text',1`.
        arguments: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Creates an object instance from `RESOURCE=VALUE` pairs.
    Create {
        endpoint: String,
        /// The object, as in /16, or the instance, as in /16/1.
        path: String,
        values: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Deletes an object instance or a resource instance.
    Delete {
        endpoint: String,
        path: String,
        #[command(flatten)]
        how: How,
    },
    /// Asks a device what is there.
    Discover {
        endpoint: String,
        path: String,
        /// Levels below the path, 0 to 3 (LwM2M 1.2).
        #[arg(long)]
        depth: Option<u8>,
        #[command(flatten)]
        how: How,
    },
    /// Writes notification attributes, as in `pmin=5 pmax=60 st`.
    Attributes {
        endpoint: String,
        path: String,
        #[arg(required = true)]
        attributes: Vec<String>,
        #[command(flatten)]
        how: How,
    },
    /// Observes a path, or several in one composite, until Ctrl-C.
    Observe {
        endpoint: String,
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<String>,
        /// Leaves the observation in place and returns.
        #[arg(long)]
        detach: bool,
        /// Returns after this many notifications.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
        /// An attribute of this observation alone, as in `pmax=60` (LwM2M 1.2); again for more.
        #[arg(long = "attribute", value_name = "KEY=VALUE")]
        attributes: Vec<String>,
        /// The content format of a composite answer; --format is that of the request.
        #[arg(long, value_name = "FORMAT")]
        accept: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Lists the observations of a device.
    Observations { endpoint: String },
    /// Cancels an observation.
    Cancel {
        endpoint: String,
        id: u64,
        /// By a reset to the next notification instead of a request.
        #[arg(long)]
        passive: bool,
    },
    /// What the server observes on devices by itself.
    #[command(subcommand)]
    ObserveRules(observe_rules::Command),
    /// What is written into devices that bootstrap.
    #[command(subcommand)]
    Bootstrap(bootstrap::Command),
    /// What proves devices, and which endpoint names they may use.
    #[command(subcommand)]
    Credentials(credentials::Command),
    /// Follows what happens, until Ctrl-C.
    Events {
        /// Only this device.
        endpoint: Option<String>,
    },
    /// Lists the object models in service and what is wrong in the models directory; with an
    /// object id, the resources of that object.
    Models {
        /// The object id.
        object: Option<u16>,
        /// The version, as in 1.1, instead of the newest.
        version: Option<String>,
    },
    /// Shows counters and listeners.
    Status,
    /// Shows what the server can do: versions, bindings, modes of security, optional parts.
    Capabilities,
}

/// How a request to a device is carried out.
#[derive(clap::Args)]
pub(crate) struct How {
    /// The content format, as in tlv, senml-cbor, senml-json, text, cbor, lwm2m-cbor.
    #[arg(long)]
    format: Option<String>,
    /// How long it may wait and run, in seconds.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Skips the checks against the object model and the device's version.
    #[arg(long)]
    unchecked: bool,
}

impl How {
    fn query(&self) -> Vec<(&'static str, String)> {
        let mut query = Vec::new();
        if let Some(format) = &self.format {
            query.push(("format", format.clone()));
        }
        if let Some(seconds) = self.timeout {
            query.push(("timeout_s", seconds.to_string()));
        }
        if self.unchecked {
            query.push(("unchecked", "true".to_owned()));
        }
        query
    }

    /// With the format of a composite answer.
    fn query_accepting(&self, accept: Option<&str>) -> Vec<(&'static str, String)> {
        let mut query = self.query();
        query.extend(accept.map(|format| ("accept", format.to_owned())));
        query
    }
}

/// Carries out a command and prints what came of it.
pub(crate) fn run(api: &Api, command: &Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::Clients { contains } => show::clients(&clients(api, contains.as_deref())?, json),
        Command::Client { endpoint } => {
            show::client(&api.call(Method::Get, &at(endpoint, ""), &[])?, json)
        }
        Command::Forget { endpoint } => {
            show::done(&api.call(Method::Delete, &at(endpoint, ""), &[])?, json)
        }
        Command::Read {
            endpoint,
            paths,
            accept,
            how,
        } => show::values(&read(api, endpoint, paths, accept.as_deref(), how)?, json),
        Command::Write {
            endpoint,
            path,
            values,
            update,
            composite,
            data_type,
            how,
        } => {
            let answer = if *composite {
                let pairs: Vec<&String> = std::iter::once(path).chain(values).collect();
                let body = json!({ "values": composite_to_object(&pairs)? });
                api.call(
                    Method::Post(Some(body)),
                    &at(endpoint, "/composite/write"),
                    &how.query(),
                )?
            } else {
                let body = write_body(path, values, data_type.as_deref())?;
                let method = if *update {
                    Method::Post(Some(body))
                } else {
                    Method::Put(Some(body))
                };
                api.call(method, &object(endpoint, "objects", path)?, &how.query())?
            };
            show::done(&answer, json)
        }
        Command::Exec {
            endpoint,
            path,
            arguments,
            how,
        } => {
            let body = arguments
                .as_ref()
                .map(|arguments| json!({ "arguments": arguments }));
            let path = object(endpoint, "execute", path)?;
            show::done(&api.call(Method::Post(body), &path, &how.query())?, json)
        }
        Command::Create {
            endpoint,
            path,
            values,
            how,
        } => {
            let pairs: Vec<&String> = values.iter().collect();
            let body = json!({ "values": pairs_to_object(&pairs)? });
            let path = object(endpoint, "create", path)?;
            show::done(
                &api.call(Method::Post(Some(body)), &path, &how.query())?,
                json,
            )
        }
        Command::Delete {
            endpoint,
            path,
            how,
        } => {
            let path = object(endpoint, "objects", path)?;
            show::done(&api.call(Method::Delete, &path, &how.query())?, json)
        }
        Command::Discover {
            endpoint,
            path,
            depth,
            how,
        } => {
            let mut query = how.query();
            if let Some(depth) = depth {
                query.push(("depth", depth.to_string()));
            }
            show::links(
                &api.call(Method::Get, &object(endpoint, "discover", path)?, &query)?,
                json,
            )
        }
        Command::Attributes {
            endpoint,
            path,
            attributes,
            how,
        } => {
            let mut query = how.query();
            for attribute in attributes {
                let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
                query.push((key, value.to_owned()));
            }
            show::done(
                &api.call(
                    Method::Put(None),
                    &object(endpoint, "attributes", path)?,
                    &query,
                )?,
                json,
            )
        }
        Command::Observe {
            endpoint,
            paths,
            detach,
            count,
            attributes,
            accept,
            how,
        } => {
            let body = observe_body(paths, attributes)?;
            let start = || {
                let path = at(endpoint, "/observations");
                let query = how.query_accepting(accept.as_deref());
                api.call(Method::Post(Some(body)), &path, &query)
            };
            if *detach {
                follow::begun(&start()?, json).map(drop)
            } else {
                follow::observation(api, endpoint, start, *count, json)
            }
        }
        Command::Observations { endpoint } => show::observations(
            &api.call(Method::Get, &at(endpoint, "/observations"), &[])?,
            json,
        ),
        Command::Cancel {
            endpoint,
            id,
            passive,
        } => {
            let mode = if *passive { "passive" } else { "active" };
            let path = at(endpoint, &format!("/observations/{id}"));
            show::done(
                &api.call(Method::Delete, &path, &[("mode", mode.to_owned())])?,
                json,
            )
        }
        Command::ObserveRules(command) => observe_rules::run(api, command, json),
        Command::Bootstrap(command) => bootstrap::run(api, command, json),
        Command::Credentials(command) => credentials::run(api, command, json),
        Command::Events { endpoint } => follow::everything(api, endpoint.as_deref(), json),
        Command::Models { object: None, .. } => {
            show::models(&api.call(Method::Get, "/models", &[])?, json)
        }
        Command::Models {
            object: Some(id),
            version,
        } => {
            let query: Vec<_> = version.iter().map(|it| ("version", it.clone())).collect();
            let path = format!("/objects/{id}");
            show::object_model(&api.call(Method::Get, &path, &query)?, json)
        }
        Command::Status => show::status(&api.call(Method::Get, "/status", &[])?, json),
        Command::Capabilities => show::status(&api.call(Method::Get, "/capabilities", &[])?, json),
    }
}

/// All registrations, page by page.
fn clients(api: &Api, contains: Option<&str>) -> anyhow::Result<Value> {
    let mut all = Vec::new();
    let mut query: Vec<(&str, String)> = Vec::new();
    query.extend(contains.map(|text| ("contains", text.to_owned())));
    loop {
        let mut page = api.call(Method::Get, "/clients", &query)?;
        if let Some(Value::Array(clients)) = page.get_mut("clients").map(Value::take) {
            all.extend(clients);
        }
        let Some(next) = page.get("next").and_then(Value::as_str) else {
            return Ok(Value::Array(all));
        };
        query.retain(|(key, _)| *key != "after");
        query.push(("after", next.to_owned()));
    }
}

fn read(
    api: &Api,
    endpoint: &str,
    paths: &[String],
    accept: Option<&str>,
    how: &How,
) -> anyhow::Result<Value> {
    match paths {
        [path] => api.call(
            Method::Get,
            &object(endpoint, "objects", path)?,
            &how.query_accepting(accept),
        ),
        _ => {
            let body = json!({ "paths": paths });
            api.call(
                Method::Post(Some(body)),
                &at(endpoint, "/composite/read"),
                &how.query_accepting(accept),
            )
        }
    }
}
