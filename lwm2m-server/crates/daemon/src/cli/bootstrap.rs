//! `lwm2m-server bootstrap`: what is written into devices.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::api::{Api, Method, encode};
use super::credentials::read;
use super::show::{array, as_json, fact};
use super::table::{print, print_facts, text};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Lists the plans in the order in which they count, never their keys.
    List,
    /// Shows one plan without its keys.
    Show { endpoint: String },
    /// Adds a plan with one account.
    #[command(
        after_help = "Examples:\n  bootstrap add 'urn:imei:35*' --short-server-id 101 \
                      --uri coaps://lwm2m.example.com:5685 --credential psk\n  \
                      bootstrap add meter-7 --short-server-id 101 --uri coap://192.0.2.1:5683\n\n\
                      A plan with more in it is imported."
    )]
    Add(Box<Add>),
    /// Removes plans.
    Remove {
        #[arg(required = true)]
        endpoints: Vec<String>,
    },
    /// Adds the plans of a file of TOML, as bootstrap.toml is: all of them or none.
    Import {
        /// The file; - is the standard input.
        file: PathBuf,
    },
}

#[derive(clap::Args)]
pub(crate) struct Add {
    /// The endpoint name, or a pattern.
    endpoint: String,
    /// The Short Server ID of the account, 1 to 65534.
    #[arg(long, value_name = "ID")]
    short_server_id: u16,
    /// Where its server is.
    #[arg(long)]
    uri: String,
    /// The lifetime of registrations in seconds.
    #[arg(long, value_name = "SECONDS")]
    lifetime: Option<u32>,
    /// The binding, as in UQ.
    #[arg(long)]
    binding: Option<String>,
    /// psk or oscore: the key is that of a credential of the device.
    #[arg(long, value_name = "MODE")]
    credential: Option<String>,
    /// The identity of a key that is not among the credentials.
    #[arg(long, value_name = "TEXT", requires = "psk_key_file")]
    psk_identity: Option<String>,
    /// A file with that key in hexadecimal; - is the standard input.
    #[arg(long, value_name = "FILE", requires = "psk_identity")]
    psk_key_file: Option<PathBuf>,
    /// The device's private key: a file of the server, from the folder of the plans.
    #[arg(long, value_name = "FILE")]
    private_key: Option<String>,
    /// Its certificate, in the same way.
    #[arg(long, value_name = "FILE", requires = "private_key")]
    certificate: Option<String>,
    /// The certificate of the account's server, in the same way.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    server_certificate: Option<String>,
    /// The public key of the account's server, in the same way.
    #[arg(long, value_name = "FILE", requires = "private_key")]
    server_public_key: Option<String>,
    /// How the device takes the server's certificate (/0/x/15), 0 to 3.
    #[arg(long, value_name = "NUMBER")]
    certificate_usage: Option<u8>,
    /// The format to write in; by default the device says it.
    #[arg(long, value_name = "FORMAT")]
    content_format: Option<String>,
    /// Reads back what was written, before the Finish.
    #[arg(long)]
    verify: bool,
}

pub(crate) fn run(api: &Api, command: &Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::List => {
            let plans = api.call(Method::Get, PLANS, &[])?;
            let plans = plans.get("plans").unwrap_or(&Value::Null);
            match json {
                true => as_json(plans),
                false => list(plans),
            }
        }
        Command::Show { endpoint } => one(&api.call(Method::Get, &at(endpoint), &[])?, json),
        Command::Add(add) => {
            let body = Method::Post(Some(add.document()?));
            one(&api.call(body, PLANS, &[])?, json)
        }
        Command::Remove { endpoints } => {
            for endpoint in endpoints {
                api.call(Method::Delete, &at(endpoint), &[])?;
            }
            match json {
                true => as_json(&json!({ "removed": endpoints })),
                false => {
                    say!("removed; devices that have their accounts keep them");
                    Ok(())
                }
            }
        }
        Command::Import { file } => {
            let body = Method::PostText(read(file)?, "application/toml");
            let answer = api.call(body, "/bootstrap/import", &[])?;
            if json {
                return as_json(&answer);
            }
            say!("{} plans added", text(&answer, "added"));
            Ok(())
        }
    }
}

impl Add {
    fn document(&self) -> anyhow::Result<Value> {
        let mut account = Map::new();
        let key = self.psk_key_file.as_deref().map(read).transpose()?;
        let key = key.map(|key| key.split_whitespace().collect::<String>());
        account.insert("short_server_id".to_owned(), self.short_server_id.into());
        account.insert("uri".to_owned(), self.uri.as_str().into());
        for (field, value) in [
            ("binding", self.binding.clone()),
            ("credential", self.credential.clone()),
            ("psk_identity", self.psk_identity.clone()),
            ("psk_key", key),
            ("private_key", self.private_key.clone()),
            ("certificate", self.certificate.clone()),
            ("server_certificate", self.server_certificate.clone()),
            ("server_public_key", self.server_public_key.clone()),
        ] {
            account.extend(value.map(|value| (field.to_owned(), value.into())));
        }
        for (field, value) in [
            ("lifetime", self.lifetime),
            ("certificate_usage", self.certificate_usage.map(u32::from)),
        ] {
            account.extend(value.map(|value| (field.to_owned(), value.into())));
        }
        let mut plan = Map::new();
        plan.insert("endpoint".to_owned(), self.endpoint.as_str().into());
        let format = self.content_format.clone();
        plan.extend(format.map(|format| ("content_format".to_owned(), format.into())));
        plan.insert("verify".to_owned(), self.verify.into());
        plan.insert("server".to_owned(), json!([account]));
        Ok(Value::Object(plan))
    }
}

const PLANS: &str = "/bootstrap/plans";

fn at(endpoint: &str) -> String {
    format!("{PLANS}/{}", encode(endpoint))
}

fn list(plans: &Value) -> anyhow::Result<()> {
    let row = |plan: &Value| {
        let accounts = array(plan.get("server").unwrap_or(&Value::Null)).iter();
        let (uris, security): (Vec<String>, Vec<String>) = accounts
            .map(|account| (text(account, "uri"), security(account)))
            .unzip();
        vec![text(plan, "endpoint"), uris.join(", "), security.join(", ")]
    };
    print(
        &["endpoint", "servers", "security"],
        array(plans).iter().map(row).collect(),
        "There is no plan: `lwm2m-server bootstrap add --help` shows how to make one.",
    );
    Ok(())
}

/// Where the keys of an account come from.
fn security(account: &Value) -> String {
    match account.get("credential").and_then(Value::as_str) {
        Some(mode) => format!("{mode} of the device"),
        None if account.get("psk_identity").is_some() => {
            format!("psk {}", text(account, "psk_identity"))
        }
        None if account.get("certificate").is_some() => "x509".to_owned(),
        None if account.get("private_key").is_some() => "rpk".to_owned(),
        None => "none".to_owned(),
    }
}

fn one(plan: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return as_json(plan);
    }
    let facts = plan.as_object().into_iter().flatten();
    let facts = facts.filter(|(key, _)| *key != "server");
    let name = |key: &str| key.replace('_', " ");
    let mut rows: Vec<(String, String)> =
        facts.map(|(key, value)| (name(key), fact(value))).collect();
    for account in array(plan.get("server").unwrap_or(&Value::Null)) {
        let account = account.as_object().into_iter().flatten();
        rows.extend(account.map(|(key, value)| (format!("server {}", name(key)), fact(value))));
    }
    print_facts(rows);
    Ok(())
}
