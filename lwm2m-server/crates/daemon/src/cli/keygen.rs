//! `lwm2m-server keygen`: keys and certificates for the server, and for devices in tests.
//!
//! Needs no running server. What is written is read back by the loader of the server before the
//! command says that it is done.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use lwm2m_server::keys::{Certificate, CertificateFiles, KeyFiles, PublicKey, TrustStore};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use serde_json::{Value, json};

/// Certificates are valid from this long before they are made, for clocks that are behind.
const BACKDATED: Duration = Duration::from_secs(86_400);

const CA_CERTIFICATE: &str = "ca.pem";
const CA_KEY: &str = "ca-key.pem";

/// What to make, and where.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  keygen --name lwm2m.example.com --directory keys\n  \
                        keygen --ca --directory keys\n  \
                        keygen --device urn:imei:350123451234560 --directory keys"
)]
pub(crate) struct Arguments {
    /// A name of the server, DNS or IP, as in the server URI of the devices; repeat for several.
    /// With --ca, the name of the CA.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,

    /// Makes a CA that certifies devices, in place of a server's key.
    #[arg(long, conflicts_with = "device")]
    ca: bool,

    /// Makes a key and a certificate of this endpoint name, signed by the CA of the folder.
    #[arg(long, value_name = "ENDPOINT", conflicts_with = "names")]
    device: Option<String>,

    /// How long the certificate is valid.
    #[arg(long, value_name = "DAYS", default_value_t = 3650,
          value_parser = clap::value_parser!(u32).range(1..=36500))]
    days: u32,

    /// The folder to write into; it is made when it is missing.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    directory: PathBuf,

    /// Replaces files that are there.
    #[arg(long)]
    force: bool,
}

/// Makes the files, and says what to do with them.
pub(crate) fn run(arguments: &Arguments, as_json: bool) -> anyhow::Result<()> {
    let made = if let Some(endpoint) = &arguments.device {
        device(arguments, endpoint)?
    } else if arguments.ca {
        authority(arguments)?
    } else {
        server(arguments)?
    };
    match as_json {
        true => say!("{}", made.document()),
        false => crate::output::text(&made.text()),
    }
    Ok(())
}

/// A key pair with its certificate.
struct Pair {
    key: KeyPair,
    certificate: rcgen::Certificate,
}

/// What was written, and what to do with it.
struct Made {
    /// Path and what it is.
    files: Vec<(PathBuf, String)>,
    /// Stable words and values, for programs.
    facts: Vec<(&'static str, String)>,
    /// Sections of advice, for people.
    advice: String,
}

fn server(arguments: &Arguments) -> anyhow::Result<Made> {
    let names = match arguments.names.as_slice() {
        [] => vec!["localhost".to_owned()],
        names => names.to_vec(),
    };
    let mut params = parameters(&names[0], &names, arguments.days)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = new_key()?;
    let certificate = params.self_signed(&key)?;
    let pair = Pair { key, certificate };

    let [chain, secret] = ["server-certificate.pem", "server-key.pem"].map(|n| arguments.path(n));
    let mut files = Files::default();
    files.add_pair(arguments, "server", &pair, "self-signed certificate");
    files.write(arguments.force)?;
    let read = KeyFiles {
        certificates: vec![CertificateFiles {
            certificate: Some(chain.clone()),
            private_key: secret.clone(),
        }],
        ..KeyFiles::default()
    };
    read.load().context("what was written does not read back")?;

    let facts = pair.facts()?;
    let config = format!(
        "[dtls]\nserver_certificate = {}\nserver_private_key = {}\n",
        toml::Value::from(chain.to_string_lossy().as_ref()),
        toml::Value::from(secret.to_string_lossy().as_ref())
    );
    let mut advice = String::new();
    writeln!(advice, "Into lwm2m-server.toml:\n\n{}", indented(&config))?;
    writeln!(
        advice,
        "Into devices with certificates (/0/x/2 = 2), for {}:\n\n    \
         /0/x/4   {}\n    /0/x/15  3 (exactly this certificate)\n",
        names.join(", "),
        arguments.path("server-certificate.der").display()
    )?;
    writeln!(
        advice,
        "Into devices with raw public keys (/0/x/2 = 1):\n\n    /0/x/4   {}",
        value(&facts, "public_key")
    )?;
    Ok(Made {
        files: files.described(),
        facts: [facts, vec![("config", config)]].concat(),
        advice,
    })
}

fn authority(arguments: &Arguments) -> anyhow::Result<Made> {
    let name = match arguments.names.as_slice() {
        [] => "LwM2M device CA",
        [name] => name.as_str(),
        _ => bail!("--ca takes one --name"),
    };
    let mut params = parameters(name, &[], arguments.days)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = new_key()?;
    let certificate = params.self_signed(&key)?;
    let path = arguments.path(CA_CERTIFICATE);
    let mut files = Files::default();
    files.add_secret(
        arguments.path(CA_KEY),
        &key,
        "its private key: keep it apart",
    );
    files.add(path.clone(), certificate.pem(), "certificate of the CA");
    files.write(arguments.force)?;
    TrustStore::parse(&std::fs::read(&path)?).context("what was written does not read back")?;

    let config = format!(
        "[dtls]\ntrust_store = {}\n",
        toml::Value::from(path.to_string_lossy().as_ref())
    );
    let advice = format!("Into lwm2m-server.toml:\n\n{}", indented(&config));
    let hash = hex(&Certificate::from_der(certificate.der())?.fingerprint());
    Ok(Made {
        files: files.described(),
        facts: vec![("certificate_sha256", hash), ("config", config)],
        advice,
    })
}

fn device(arguments: &Arguments, endpoint: &str) -> anyhow::Result<Made> {
    let (path, key_path) = (arguments.path(CA_CERTIFICATE), arguments.path(CA_KEY));
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| {
            format!(
                "cannot read {}; `keygen --ca` with the same --directory makes a CA",
                path.display()
            )
        })
    };
    let key = KeyPair::from_pem(&read(&key_path)?)
        .with_context(|| format!("{} is no private key", key_path.display()))?;
    let issuer = Issuer::from_ca_cert_pem(&read(&path)?, key)
        .with_context(|| format!("{} is no certificate", path.display()))?;

    let mut params = parameters(endpoint, &[], arguments.days)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let key = new_key()?;
    let certificate = params.signed_by(&key, &issuer)?;
    let pair = Pair { key, certificate };
    let stem = format!("device-{}", file_name(endpoint));
    let mut files = Files::default();
    files.add_pair(arguments, &stem, &pair, "certificate, signed by the CA");
    let secret = arguments.path(&format!("{stem}-key.der"));
    files
        .secrets
        .push((secret.clone(), pair.key.serialize_der()));
    files.note(secret.clone(), "the same key for devices (PKCS#8)");
    files.write(arguments.force)?;

    let facts = pair.facts()?;
    let certificate = arguments.path(&format!("{stem}-certificate.der"));
    let mut advice = String::new();
    writeln!(
        advice,
        "Into the device, with certificates (/0/x/2 = 2):\n\n    /0/x/3   {}\n    /0/x/5   {}\n",
        certificate.display(),
        secret.display()
    )?;
    writeln!(
        advice,
        "or with raw public keys (/0/x/2 = 1):\n\n    /0/x/3   {}\n    /0/x/5   {}\n",
        value(&facts, "public_key"),
        secret.display()
    )?;
    writeln!(
        advice,
        "The server knows it by the CA and its name, or by the SHA-256 of its raw public key:\n\n    \
         {}",
        value(&facts, "public_key_sha256")
    )?;
    Ok(Made {
        files: files.described(),
        facts,
        advice,
    })
}

impl Arguments {
    fn path(&self, name: &str) -> PathBuf {
        match self.directory == Path::new(".") {
            true => PathBuf::from(name),
            false => self.directory.join(name),
        }
    }
}

impl Pair {
    fn facts(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let certificate = Certificate::from_der(self.certificate.der())?;
        let public: PublicKey = certificate.public_key()?;
        Ok(vec![
            ("certificate_sha256", hex(&certificate.fingerprint())),
            ("public_key", hex(public.as_spki())),
            ("public_key_sha256", hex(&public.spki_sha256())),
        ])
    }
}

impl Made {
    fn document(&self) -> Value {
        let files = self
            .files
            .iter()
            .map(|(path, what)| json!({ "path": path.to_string_lossy(), "what": what }));
        let mut document = json!({ "files": files.collect::<Vec<_>>() });
        for (key, value) in &self.facts {
            document[*key] = json!(value);
        }
        document
    }

    fn text(&self) -> String {
        let width = self.files.iter().map(|(path, _)| path.as_os_str().len());
        let width = width.max().unwrap_or_default();
        let mut text = String::from("Written:\n\n");
        for (path, what) in &self.files {
            let path = path.to_string_lossy();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "    {path:width$}  {what}");
        }
        format!("{text}\n{}", self.advice)
    }
}

/// Files that are written together or not at all.
#[derive(Default)]
struct Files {
    secrets: Vec<(PathBuf, Vec<u8>)>,
    public: Vec<(PathBuf, Vec<u8>)>,
    notes: Vec<(PathBuf, String)>,
}

impl Files {
    fn add(&mut self, path: PathBuf, content: impl Into<Vec<u8>>, what: &str) {
        self.note(path.clone(), what);
        self.public.push((path, content.into()));
    }

    fn add_secret(&mut self, path: PathBuf, key: &KeyPair, what: &str) {
        self.note(path.clone(), what);
        self.secrets.push((path, key.serialize_pem().into_bytes()));
    }

    fn note(&mut self, path: PathBuf, what: &str) {
        self.notes.push((path, what.to_owned()));
    }

    fn add_pair(&mut self, arguments: &Arguments, stem: &str, pair: &Pair, what: &str) {
        let path = |end: &str| arguments.path(&format!("{stem}-{end}"));
        let what = format!("{what}, valid for {} days", arguments.days);
        self.add_secret(
            path("key.pem"),
            &pair.key,
            "private key: only for its owner",
        );
        self.add(path("certificate.pem"), pair.certificate.pem(), &what);
        let der = pair.certificate.der().to_vec();
        self.add(path("certificate.der"), der, "the same for devices");
        let public = pair.key.public_key_pem();
        self.add(path("public-key.pem"), public, "raw public key");
        let spki = rcgen::PublicKeyData::subject_public_key_info(&pair.key);
        self.add(path("public-key.der"), spki, "the same for devices");
    }

    fn described(self) -> Vec<(PathBuf, String)> {
        self.notes
    }

    /// Writes all, secrets for the owner's eyes only. Each file is complete from the moment it has
    /// its name, since a running server may be watching.
    fn write(&self, force: bool) -> anyhow::Result<()> {
        let all = || self.secrets.iter().chain(&self.public);
        if !force && let Some((path, _)) = all().find(|(path, _)| path.exists()) {
            bail!(
                "{} is there already; --force replaces it, and devices that trust it will refuse \
                 the server",
                path.display()
            );
        }
        for (mode, files) in [(0o600, &self.secrets), (0o644, &self.public)] {
            for (path, content) in files {
                write_file(path, content, mode)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
        Ok(())
    }
}

fn write_file(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}

/// A key for certificates and raw public keys.
pub(super) fn new_key() -> anyhow::Result<KeyPair> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

/// What certificates of a name begin with.
pub(super) fn parameters(
    common_name: &str,
    names: &[String],
    days: u32,
) -> anyhow::Result<CertificateParams> {
    if common_name.is_empty() || common_name.chars().any(char::is_control) {
        bail!("a name is at least one character, and none of them a control character");
    }
    let mut params = CertificateParams::new(names).with_context(|| {
        format!(
            "{}: a name is a DNS name or an IP address",
            names.join(", ")
        )
    })?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now = Duration::from_secs(now.as_secs());
    params.not_before = date_time_ymd(1970, 1, 1) + (now - BACKDATED);
    params.not_after = date_time_ymd(1970, 1, 1) + now + Duration::from_secs(86_400) * days;
    Ok(params)
}

/// An endpoint name as part of a file name.
fn file_name(endpoint: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    endpoint
        .chars()
        .map(|c| if plain(c) { c } else { '-' })
        .take(100)
        .collect()
}

fn value<'f>(facts: &'f [(&'static str, String)], key: &str) -> &'f str {
    let mut facts = facts.iter();
    facts
        .find(|(name, _)| *name == key)
        .map_or("", |(_, value)| value.as_str())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
