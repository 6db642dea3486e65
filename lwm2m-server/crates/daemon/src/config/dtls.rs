//! `[dtls]`: the server's keys and certificates, for DTLS and TLS.

use std::path::{Path, PathBuf};

use anyhow::bail;
use lwm2m_server::ClientAuthentication;
use lwm2m_server::keys::{CertificateFiles, KeyFiles};
use serde::Deserialize;

/// As it is written. Relative paths start from the folder of the configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DtlsSection {
    server_certificate: Option<PathBuf>,
    server_private_key: Option<PathBuf>,
    trust_store: Option<PathBuf>,
    client_authentication: Authentication,
    certificate: Vec<CertificateSection>,
}

/// One more certificate, for clients that ask for one of its names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateSection {
    server_certificate: PathBuf,
    server_private_key: PathBuf,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Authentication {
    #[default]
    Required,
    Optional,
}

impl DtlsSection {
    /// Lets relative paths start from a folder.
    pub(super) fn start_from(&mut self, folder: &Path) {
        let of_server = [
            &mut self.server_certificate,
            &mut self.server_private_key,
            &mut self.trust_store,
        ];
        let further = self.certificate.iter_mut();
        let further =
            further.flat_map(|one| [&mut one.server_certificate, &mut one.server_private_key]);
        for path in of_server.into_iter().flatten().chain(further) {
            *path = folder.join(&*path);
        }
    }

    pub(super) fn client_authentication(&self) -> ClientAuthentication {
        match self.client_authentication {
            Authentication::Required => ClientAuthentication::Required,
            Authentication::Optional => ClientAuthentication::Optional,
        }
    }

    pub(super) fn key_files(&self) -> anyhow::Result<KeyFiles> {
        let mut certificates = Vec::new();
        match (&self.server_certificate, &self.server_private_key) {
            (certificate, Some(private_key)) => certificates.push(CertificateFiles {
                certificate: certificate.clone(),
                private_key: private_key.clone(),
            }),
            (Some(_), None) => bail!(
                "[dtls] server_certificate is of no use without its server_private_key; \
                 `lwm2m-server keygen` makes both"
            ),
            (None, None) if !self.certificate.is_empty() => bail!(
                "[[dtls.certificate]] is for further certificates; the first one is \
                 server_certificate and server_private_key of [dtls]"
            ),
            (None, None) => {}
        }
        certificates.extend(self.certificate.iter().map(|further| CertificateFiles {
            certificate: Some(further.server_certificate.clone()),
            private_key: further.server_private_key.clone(),
        }));
        Ok(KeyFiles {
            certificates,
            trust_store: self.trust_store.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> DtlsSection {
        toml::from_str(text).expect("a section")
    }

    #[test]
    fn files_are_those_beside_the_configuration() {
        let mut section = section(
            "server_certificate = \"server.pem\"\nserver_private_key = \"/secret/server.key\"\n\
             trust_store = \"ca\"\nclient_authentication = \"optional\"\n\
             [[certificate]]\nserver_certificate = \"b.pem\"\nserver_private_key = \"b.key\"\n",
        );
        section.start_from(Path::new("/etc/lwm2m"));
        let files = section.key_files().expect("good");
        let paths: Vec<String> = files
            .paths()
            .iter()
            .map(|p| p.display().to_string())
            .collect();
        assert_eq!(
            paths,
            [
                "/etc/lwm2m/server.pem",
                "/secret/server.key",
                "/etc/lwm2m/b.pem",
                "/etc/lwm2m/b.key",
                "/etc/lwm2m/ca"
            ]
        );
        let wanted = ClientAuthentication::Optional;
        assert_eq!(section.client_authentication(), wanted);
    }

    #[test]
    fn clients_authenticate_unless_said_otherwise() {
        let section = section("");
        let wanted = ClientAuthentication::Required;
        assert_eq!(section.client_authentication(), wanted);
        assert_eq!(section.key_files().expect("good"), KeyFiles::default());
    }

    #[test]
    fn halves_of_a_pair_are_refused() {
        let refused = |text| section(text).key_files().expect_err("refused").to_string();
        let error = refused("server_certificate = \"server.pem\"\n");
        assert!(error.contains("server_private_key"), "{error}");
        let further = "[[certificate]]\nserver_certificate = \"b.pem\"\nserver_private_key = \"b\"";
        let error = refused(further);
        assert!(error.contains("[[dtls.certificate]]"), "{error}");
        assert!(
            section("server_private_key = \"only.key\"\n")
                .key_files()
                .is_ok()
        );
    }
}
