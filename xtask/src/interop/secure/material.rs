//! Keys and certificates for one run, made by the `openssl` command.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process;

/// How `openssl ca` makes certificates.
const AUTHORITY: &str = "[ca]\ndefault_ca = it\n[it]\ndatabase = certificates.txt\n\
    new_certs_dir = .\ndefault_md = sha256\nrand_serial = yes\nunique_subject = no\n\
    policy = any\n[any]\ncommonName = supplied\n";

const VALID: &str = "-days 30";
const PAST: &str = "-startdate 20200101000000Z -enddate 20210101000000Z";

/// A folder of keys and certificates, gone at the end.
///
/// `ca` signed `server`, `client`, `expired`, and two of a device that bootstraps, `boot` and `given`; `stranger` signed `strange`. Of the server there are
/// also `server-expired`, `server-strange`, and `server-elsewhere` with another name. Each has its
/// private key in `NAME.key`, its certificate in `NAME.pem`, its public key in `NAME.pub.pem`, the private and
/// the public key in `NAME.pair.pem`, and the private key with the certificate in `NAME.full.pem`.
pub(crate) struct Material {
    folder: tempfile::TempDir,
}

impl Material {
    pub(crate) fn make() -> anyhow::Result<Material> {
        let material = Material {
            folder: tempfile::tempdir()?,
        };
        let client = "keyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n";
        let server = "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n\
                      subjectAltName=DNS:localhost,IP:127.0.0.1\n";
        material.authority("ca")?;
        material.authority("stranger")?;
        material.write("authority.conf", AUTHORITY)?;
        material.write("certificates.txt", "")?;
        let elsewhere = server.replace("localhost,IP:127.0.0.1", "elsewhere");
        material.certificate("server", "ca", "localhost", server, VALID)?;
        material.certificate("server-expired", "ca", "localhost", server, PAST)?;
        material.certificate("server-strange", "stranger", "localhost", server, VALID)?;
        material.certificate("server-elsewhere", "ca", "elsewhere", &elsewhere, VALID)?;
        material.certificate("client", "ca", "dev1", client, VALID)?;
        material.certificate("expired", "ca", "dev1", client, PAST)?;
        material.certificate("strange", "stranger", "dev1", client, VALID)?;
        material.certificate("boot", "ca", "boot-x509", client, VALID)?;
        material.certificate("given", "ca", "boot-x509", client, VALID)?;
        Ok(material)
    }

    /// The path of a file.
    pub(crate) fn file(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// A file of one's own in the folder.
    pub(crate) fn write(&self, name: &str, content: &str) -> anyhow::Result<String> {
        fs::write(self.path(name), content)?;
        Ok(self.file(name))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn authority(&self, name: &str) -> anyhow::Result<()> {
        self.key(name)?;
        self.openssl(&format!(
            "req -x509 -new -key {name}.key -subj /CN={name} -days 30 -out {name}.pem \
             -addext keyUsage=critical,keyCertSign"
        ))
    }

    /// A key, and a certificate for it.
    fn certificate(
        &self,
        name: &str,
        authority: &str,
        common_name: &str,
        extensions: &str,
        validity: &str,
    ) -> anyhow::Result<()> {
        self.key(name)?;
        let extensions = format!("basicConstraints=critical,CA:FALSE\n{extensions}");
        self.write(&format!("{name}.ext"), &extensions)?;
        self.openssl(&format!(
            "req -new -key {name}.key -subj /CN={common_name} -out {name}.csr"
        ))?;
        self.openssl(&format!(
            "ca -batch -notext -config authority.conf -cert {authority}.pem -keyfile {authority}.key \
             -in {name}.csr -extfile {name}.ext {validity} -out {name}.pem"
        ))?;
        let key = fs::read_to_string(self.path(&format!("{name}.key")))?;
        let public = fs::read_to_string(self.path(&format!("{name}.pub.pem")))?;
        let certificate = fs::read_to_string(self.path(&format!("{name}.pem")))?;
        self.write(&format!("{name}.pair.pem"), &format!("{key}{public}"))?;
        self.write(&format!("{name}.full.pem"), &format!("{key}{certificate}"))?;
        Ok(())
    }

    fn key(&self, name: &str) -> anyhow::Result<()> {
        self.openssl(&format!(
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"
        ))?;
        self.openssl(&format!("pkey -in {name}.key -pubout -out {name}.pub.pem"))
    }

    fn openssl(&self, arguments: &str) -> anyhow::Result<()> {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        process::capture(self.folder.path(), "openssl", &arguments)?;
        Ok(())
    }
}

/// The path of a file below the root of the workspace.
pub(super) fn below(root: &Path, path: &str) -> String {
    root.join(path).to_string_lossy().into_owned()
}
