//! Reading keys and certificates out of files, with errors that name the file and its key in the
//! configuration.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lwm2m_dtls::{
    CertificateChain, CertificateError, KeyError, PrivateKey, RevocationListError, RevocationLists,
    ServerCertificate, ServerCertificateError, ServerCertificates, TrustStore,
};
use zeroize::Zeroizing;

use super::KeyMaterial;
use crate::read_bytes;

/// A file with keys or certificates is at most this large, in bytes; 4 MiB.
const KEY_FILE_BYTES_MAX: u64 = 4 << 20;

/// What the files of a trust store are called when it is a folder.
const CERTIFICATE_SUFFIXES: [&str; 4] = ["pem", "crt", "cer", "der"];

/// What the files of revocation lists are called when they are in a folder.
const REVOCATION_LIST_SUFFIXES: [&str; 2] = ["crl", "pem"];

/// Where the server's keys and certificates are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyFiles {
    /// The server's own. The first is for clients that ask for no name that another one has, and
    /// its key is the raw public key.
    pub certificates: Vec<CertificateFiles>,
    /// The certificates of CAs, or of single devices, that are believed: a file, or a folder with
    /// files called `*.pem`, `*.crt`, `*.cer` or `*.der`.
    pub trust_store: Option<PathBuf>,
    /// What these CAs have taken back: a file, or a folder with files called `*.crl` or `*.pem`.
    /// The files are read again when they change. A device whose own certificate is on a list is refused
    /// in handshakes, its session is no longer continued, and one that stands ends with its
    /// registration. An intermediate certificate on a list counts in handshakes: sessions under it go
    /// on, and are continued for a day, unless the credentials of their devices are removed. A certificate
    /// that is itself in the trust store is believed whatever the lists say: take it out of there, and
    /// remove the credential.
    pub revocation_lists: Option<PathBuf>,
}

/// A private key, and the chain that certifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first: PEM, or one certificate as DER. Without it
    /// the key serves as a raw public key only.
    pub certificate: Option<PathBuf>,
    /// The key: P-256, PKCS#8 or SEC 1, PEM or DER, without a passphrase.
    pub private_key: PathBuf,
}

/// Why the keys cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("[dtls] {key} = \"{}\": {fault}", path.display())]
pub struct KeyFileError {
    /// The key of the configuration.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub fault: KeyFileFault,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileFault {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// It is larger than any key or certificate.
    #[error("more than {max} bytes, and so no key or certificate", max = KEY_FILE_BYTES_MAX)]
    TooLarge,
    /// It has no key that we can use.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// It has no chain that we can use.
    #[error("{0}")]
    Chain(#[from] CertificateError),
    /// It has no revocation list that we can use.
    #[error("{0}")]
    Revocations(#[from] RevocationListError),
    /// Chain and key do not belong together.
    #[error("{0}")]
    Pair(#[from] ServerCertificateError),
    /// Only the first key may be without a certificate, as the raw public key.
    #[error("a further key needs a certificate, by which clients ask for it")]
    NoCertificate,
}

impl KeyFiles {
    /// Reads all files.
    ///
    /// # Errors
    /// [`KeyFileError`] names the first file that cannot be used.
    pub fn load(&self) -> Result<KeyMaterial, KeyFileError> {
        let mut material = KeyMaterial::default();
        for (position, files) in self.certificates.iter().enumerate() {
            files.load_into(&mut material, position == 0)?;
        }
        if let Some(path) = &self.trust_store {
            for file in trust_store_files(path).map_err(|error| trust_store(path, error))? {
                let read = read_key_file(&file).and_then(|bytes| Ok(TrustStore::parse(&bytes)?));
                let store = read.map_err(|fault| trust_store(&file, fault))?;
                material.trust_store.extend(store);
            }
        }
        if let Some(path) = &self.revocation_lists {
            let error = |path: &Path, fault: KeyFileFault| KeyFileError {
                key: "revocation_lists",
                path: path.to_owned(),
                fault,
            };
            for file in revocation_list_files(path).map_err(|fault| error(path, fault.into()))? {
                let read =
                    read_key_file(&file).and_then(|bytes| Ok(RevocationLists::parse(&bytes)?));
                let lists = read.map_err(|fault| error(&file, fault))?;
                material.trust_store.revoke(lists);
            }
        }
        Ok(material)
    }

    /// All paths that are named, to watch them.
    pub fn paths(&self) -> Vec<&Path> {
        let mut paths = Vec::new();
        for files in &self.certificates {
            paths.extend(files.certificate.as_deref());
            paths.push(files.private_key.as_path());
        }
        paths.extend(self.trust_store.as_deref());
        paths.extend(self.revocation_lists.as_deref());
        paths
    }
}

impl CertificateFiles {
    fn load_into(&self, material: &mut KeyMaterial, is_first: bool) -> Result<(), KeyFileError> {
        let key = read_key_file(&self.private_key).and_then(|bytes| Ok(PrivateKey::parse(&bytes)?));
        let key = key.map_err(|fault| self.of_key(fault))?;
        if is_readable_by_others(&self.private_key) {
            material.readable_by_others.push(self.private_key.clone());
        }
        if is_first {
            material.raw_public_key = Some(key.clone());
        }
        let Some(path) = &self.certificate else {
            return match is_first {
                true => Ok(()),
                false => Err(self.of_key(KeyFileFault::NoCertificate)),
            };
        };
        let error = |fault| KeyFileError {
            key: "server_certificate",
            path: path.clone(),
            fault,
        };
        let chain = read_key_file(path).and_then(|bytes| Ok(CertificateChain::parse(&bytes)?));
        let pair = ServerCertificate::new(chain.map_err(error)?, key);
        let pair = pair.map_err(|fault| error(fault.into()))?;
        match &mut material.certificates {
            Some(certificates) => certificates.add(pair),
            None => material.certificates = Some(ServerCertificates::new(pair)),
        }
        Ok(())
    }

    fn of_key(&self, fault: KeyFileFault) -> KeyFileError {
        KeyFileError {
            key: "server_private_key",
            path: self.private_key.clone(),
            fault,
        }
    }
}

fn trust_store(path: &Path, fault: impl Into<KeyFileFault>) -> KeyFileError {
    KeyFileError {
        key: "trust_store",
        path: path.to_owned(),
        fault: fault.into(),
    }
}

/// The file itself, or the files of a folder in the order of their names.
pub(super) fn trust_store_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    files_called(path, &CERTIFICATE_SUFFIXES)
}

/// The same of revocation lists.
fn revocation_list_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    files_called(path, &REVOCATION_LIST_SUFFIXES)
}

/// What may be in any of the folders: to see whether something has changed.
pub(super) fn key_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    files_called(
        path,
        &[&CERTIFICATE_SUFFIXES[..], &REVOCATION_LIST_SUFFIXES].concat(),
    )
}

fn files_called(path: &Path, suffixes: &[&str]) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let suffix = file.extension().and_then(|suffix| suffix.to_str());
        let is_called_so = suffix.is_some_and(|suffix| {
            let mut known = suffixes.iter();
            known.any(|one| one.eq_ignore_ascii_case(suffix))
        });
        if is_called_so && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The bytes of a file, cleared when they are no longer needed.
pub(crate) fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileFault> {
    match read_bytes(path, KEY_FILE_BYTES_MAX) {
        Ok(bytes) => Ok(Zeroizing::new(bytes)),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(KeyFileFault::TooLarge),
        Err(error) => Err(error.into()),
    }
}

#[cfg(unix)]
fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &Path) -> bool {
    false
}
