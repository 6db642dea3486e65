//! `lwm2m-server credentials`: what proves devices.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::api::{Api, Method, encode};
use super::show::{array, as_json, fact};
use super::table::{print, print_facts, printable, text};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Lists credentials, never their keys.
    List {
        /// Only those that cover this endpoint name.
        #[arg(long, value_name = "ENDPOINT")]
        endpoint: Option<String>,
        /// Only those of this mode: psk, rpk, x509 or oscore.
        #[arg(long, value_name = "MODE")]
        mode: Option<String>,
    },
    /// Shows one credential without its key.
    Show { id: String },
    /// Adds a credential.
    #[command(
        after_help = "Examples:\n  credentials add meter-7 --identity meter-7 --key-file meter-7.key\n  \
                      credentials add meter-7 --public-key meter-7.pem\n  \
                      credentials add 'urn:dev:{cn}' --mode x509 --common-name 'meter-*'\n  \
                      credentials add meter-7 --recipient-id dev7 --sender-id srv --secret-file s\n\n\
                      A name may have * for any text, and {identity}, {cn}, {san}, {serial} or \
                      {fingerprint} for what the identity says."
    )]
    Add(Box<Add>),
    /// Removes a credential; its sessions and registrations end.
    Remove {
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Adds the credentials of a file, all of them or none.
    #[command(
        after_help = "CSV has a head line with the names of the fields, as in \
                      `id,mode,identity,key,endpoints`; JSON is a list of objects with the same \
                      fields. Keys are hexadecimal. Several endpoint names have | between them."
    )]
    Import {
        /// The file; - is the standard input.
        file: PathBuf,
        /// json or csv; by default what the name of the file says.
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
    },
    /// Makes a pre-shared key for an endpoint, and shows it this once.
    Generate {
        endpoint: String,
        /// The identity of the key; the endpoint name by default.
        #[arg(long)]
        identity: Option<String>,
        /// What the credential is called by.
        #[arg(long)]
        id: Option<String>,
        /// The length of the key, at least 128.
        #[arg(long)]
        bits: Option<u64>,
    },
}

#[derive(clap::Args)]
pub(crate) struct Add {
    /// The endpoint names that the device may use; its identity by default.
    #[arg(value_name = "ENDPOINT")]
    endpoints: Vec<String>,
    /// What the credential is called by; made up by default.
    #[arg(long)]
    id: Option<String>,
    /// psk, rpk, x509 or oscore; seen from the rest by default.
    #[arg(long)]
    mode: Option<String>,
    /// The server name (SNI) that a pre-shared key is for.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// The identity of a pre-shared key.
    #[arg(long)]
    identity: Option<String>,
    /// A file with a pre-shared key in hexadecimal; - is the standard input.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A file with a public key (PEM).
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// The SHA-256 of a public key (DER).
    #[arg(long, value_name = "HEX")]
    spki_sha256: Option<String>,
    /// What the common name of a certificate looks like.
    #[arg(long, value_name = "PATTERN")]
    common_name: Option<String>,
    /// What one of its alternative names looks like.
    #[arg(long, value_name = "PATTERN")]
    alternative_name: Option<String>,
    /// Its serial number.
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
    /// Its SHA-256.
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
    /// A file with the Master Secret of an OSCORE context in hexadecimal; - is the standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Its Master Salt.
    #[arg(long, value_name = "HEX")]
    master_salt: Option<String>,
    /// The Sender ID of the server.
    #[arg(long, value_name = "TEXT")]
    sender_id: Option<String>,
    /// The Recipient ID of the server, the Sender ID of the device.
    #[arg(long, value_name = "TEXT")]
    recipient_id: Option<String>,
    /// The ID Context.
    #[arg(long, value_name = "HEX")]
    id_context: Option<String>,
    /// Nobody has ever protected a message with this OSCORE context, on this server or another: its
    /// device is not challenged with an Echo when it first comes, which some cannot answer.
    #[arg(long)]
    never_used: bool,
}

pub(crate) fn run(api: &Api, command: &Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::List { endpoint, mode } => {
            let all = all(api, endpoint.as_deref(), mode.as_deref())?;
            match json {
                true => as_json(&all),
                false => list(&all),
            }
        }
        Command::Show { id } => one(&api.call(Method::Get, &at(id), &[])?, json),
        Command::Add(add) => {
            let body = Method::Post(Some(add.document()?));
            one(&api.call(body, "/credentials", &[])?, json)
        }
        Command::Remove { ids } => {
            for id in ids {
                api.call(Method::Delete, &at(id), &[])?;
            }
            match json {
                true => as_json(&json!({ "removed": ids })),
                false => {
                    say!("removed; its sessions and registrations have ended");
                    Ok(())
                }
            }
        }
        Command::Import { file, format } => import(api, file, format.as_deref(), json),
        Command::Generate {
            endpoint,
            identity,
            id,
            bits,
        } => {
            let mut body = Map::new();
            body.insert("endpoint".to_owned(), endpoint.as_str().into());
            let optional = [
                ("identity", identity.clone().map(Value::from)),
                ("id", id.clone().map(Value::from)),
                ("bits", bits.map(Value::from)),
            ];
            for (key, value) in optional {
                body.extend(value.map(|value| (key.to_owned(), value)));
            }
            let body = Method::Post(Some(Value::Object(body)));
            let generated = api.call(body, "/credentials/generate", &[])?;
            one(&generated, json)?;
            if !json {
                say!("The key is shown this once: give it to the device now.");
            }
            Ok(())
        }
    }
}

impl Add {
    fn document(&self) -> anyhow::Result<Value> {
        let mut document = Map::new();
        let secret = |file: &Option<PathBuf>| -> anyhow::Result<Option<String>> {
            let text = file.as_deref().map(read).transpose()?;
            Ok(text.map(|text| text.split_whitespace().collect()))
        };
        let spki = self.public_key.as_deref().map(read).transpose()?;
        let spki = spki.map(|pem| public_key(&pem)).transpose()?;
        for (field, value) in [
            ("id", self.id.clone()),
            ("mode", self.mode.clone()),
            ("server_name", self.server_name.clone()),
            ("identity", self.identity.clone()),
            ("key", secret(&self.key_file)?),
            ("spki", spki),
            ("spki_sha256", self.spki_sha256.clone()),
            ("common_name", self.common_name.clone()),
            ("alternative_name", self.alternative_name.clone()),
            ("serial", self.serial.clone()),
            ("fingerprint", self.fingerprint.clone()),
            ("master_secret", secret(&self.secret_file)?),
            ("master_salt", self.master_salt.clone()),
            ("sender_id", self.sender_id.clone()),
            ("recipient_id", self.recipient_id.clone()),
            ("id_context", self.id_context.clone()),
        ] {
            document.extend(value.map(|value| (field.to_owned(), value.into())));
        }
        if self.never_used {
            document.insert("never_used".to_owned(), true.into());
        }
        document.insert("endpoints".to_owned(), json!(self.endpoints));
        Ok(Value::Object(document))
    }
}

fn import(api: &Api, file: &Path, format: Option<&str>, json: bool) -> anyhow::Result<()> {
    let is_csv = match format {
        Some("csv") => true,
        Some("json") => false,
        Some(other) => bail!("--format {other}: use json or csv"),
        None => file
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("csv")),
    };
    let content_type = match is_csv {
        true => "text/csv",
        false => "application/json",
    };
    let body = Method::PostText(read(file)?, content_type);
    let answer = api.call(body, "/credentials/import", &[])?;
    if json {
        return as_json(&answer);
    }
    say!("{} credentials added", text(&answer, "added"));
    for warning in array(answer.get("warnings").unwrap_or(&Value::Null)) {
        let of = |key| text(warning, key);
        say!("warning: {}: {}", of("id"), of("message"));
    }
    Ok(())
}

/// All credentials, page by page.
fn all(api: &Api, endpoint: Option<&str>, mode: Option<&str>) -> anyhow::Result<Value> {
    let mut all = Vec::new();
    let mut query = vec![("limit", "1000".to_owned())];
    query.extend(endpoint.map(|name| ("endpoint", name.to_owned())));
    query.extend(mode.map(|mode| ("mode", mode.to_owned())));
    loop {
        let mut page = api.call(Method::Get, "/credentials", &query)?;
        if let Some(Value::Array(credentials)) = page.get_mut("credentials").map(Value::take) {
            all.extend(credentials);
        }
        let Some(next) = page.get("next").and_then(Value::as_str) else {
            return Ok(Value::Array(all));
        };
        query.retain(|(key, _)| *key != "after");
        query.push(("after", next.to_owned()));
    }
}

fn list(credentials: &Value) -> anyhow::Result<()> {
    let row = |credential: &Value| {
        let warnings = array(credential.get("warnings").unwrap_or(&Value::Null)).iter();
        let warnings: Vec<String> = warnings.map(|warning| text(warning, "code")).collect();
        vec![
            text(credential, "id"),
            text(credential, "mode"),
            proof(credential),
            credential.get("endpoints").map(fact).unwrap_or_default(),
            text(credential, "server_name"),
            warnings.join(" "),
        ]
    };
    print(
        &[
            "id",
            "mode",
            "identity",
            "endpoints",
            "server name",
            "warnings",
        ],
        array(credentials).iter().map(row).collect(),
        "There is no credential: `lwm2m-server credentials generate ENDPOINT` makes one.",
    );
    Ok(())
}

/// What a device is known by.
fn proof(credential: &Value) -> String {
    let rule = [
        ("identity", ""),
        ("identity_hex", "hex "),
        ("common_name", "CN="),
        ("alternative_name", "SAN="),
        ("serial", "serial "),
        ("fingerprint", "sha256:"),
        ("spki_sha256", "key sha256:"),
        ("recipient_id", ""),
        ("recipient_id_hex", "hex "),
    ];
    let given = rule.iter().filter_map(|(field, prefix)| {
        let value = text(credential, field);
        (!value.is_empty()).then(|| format!("{prefix}{value}"))
    });
    given.collect::<Vec<String>>().join(", ")
}

fn one(credential: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return as_json(credential);
    }
    let facts = credential.as_object().into_iter().flatten();
    let facts = facts.filter(|(key, _)| *key != "warnings");
    print_facts(
        facts
            .map(|(key, value)| (key.replace('_', " "), fact(value)))
            .collect(),
    );
    for warning in array(credential.get("warnings").unwrap_or(&Value::Null)) {
        say!("warning: {}", text(warning, "message"));
        match text(warning, "hint").as_str() {
            "" => {}
            hint => say!("hint: {hint}"),
        }
    }
    Ok(())
}

/// The base64 between the lines of a PEM file.
fn public_key(pem: &str) -> anyhow::Result<String> {
    const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
    const END: &str = "-----END PUBLIC KEY-----";
    let inner = pem
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END));
    let (inner, _) = inner.context(
        "the file has no `-----BEGIN PUBLIC KEY-----`: `openssl pkey -in KEY -pubout` writes one",
    )?;
    Ok(inner.split_whitespace().collect())
}

pub(super) fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.context("cannot read the standard input")?;
        return Ok(text);
    }
    let name = printable(&file.to_string_lossy());
    std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))
}

fn at(id: &str) -> String {
    format!("/credentials/{}", encode(id))
}
