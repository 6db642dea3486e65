//! P-256 keys: what a peer proves to hold, and what its proof is checked with.
//!
//! [`PrivateKey`] reads what OpenSSL, mbedTLS and the objects of LwM2M write; [`PublicKey`] is one
//! form, the SubjectPublicKeyInfo of 91 bytes, whatever it was read from, so that two of them are
//! equal exactly when the keys are.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
    UnparsedPublicKey,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::{PemObject, SectionKind};
use x509_parser::asn1_rs::{FromDer, Sequence};
use zeroize::Zeroizing;

/// A P-256 private key, for `ecdsa_secp256r1_sha256`.
///
/// Clones share one key, which is cleared from memory when the last of them goes. It is never
/// printed.
#[derive(Clone)]
pub struct PrivateKey(Arc<Keys>);

struct Keys {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl PrivateKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`KeyError::Failed`] when the system has no randomness.
    pub fn generate() -> Result<PrivateKey, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING);
        PrivateKey::from_pair(pair.map_err(|_| KeyError::Failed)?)
    }

    /// Reads a key of a file: PEM or DER, PKCS#8 (RFC 5958) or SEC 1 (RFC 5915).
    ///
    /// # Errors
    /// [`KeyError`] says what is there instead.
    pub fn parse(bytes: &[u8]) -> Result<PrivateKey, KeyError> {
        if is_pem(bytes) {
            PrivateKey::from_pem(bytes)
        } else {
            PrivateKey::from_der(bytes)
        }
    }

    /// Reads the first private key of a PEM file; certificates and parameters beside it are
    /// passed over.
    ///
    /// # Errors
    /// [`KeyError`] says what is there instead.
    pub fn from_pem(pem: &[u8]) -> Result<PrivateKey, KeyError> {
        if contains(pem, b"ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        match PrivateKeyDer::from_pem_slice(pem) {
            Ok(mut key) => {
                let read = match &key {
                    PrivateKeyDer::Pkcs1(_) => Err(KeyError::NotP256),
                    other => PrivateKey::from_der(other.secret_der()),
                };
                zeroize::Zeroize::zeroize(&mut key);
                read
            }
            Err(rustls_pki_types::pem::Error::NoItemsFound) => Err(KeyError::NoKey),
            Err(_) => Err(KeyError::Malformed),
        }
    }

    /// Reads PKCS#8, as in /0/x/5, or SEC 1.
    ///
    /// # Errors
    /// [`KeyError::NotP256`] for a key of another kind, [`KeyError::Malformed`] for anything else.
    pub fn from_der(der: &[u8]) -> Result<PrivateKey, KeyError> {
        if !is_one_sequence(der) {
            return Err(KeyError::Malformed);
        }
        match EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der) {
            Ok(pair) => PrivateKey::from_pair(pair),
            Err(_) if is_pkcs8_of_another_kind(der) => Err(KeyError::NotP256),
            Err(_) => Err(KeyError::Malformed),
        }
    }

    fn from_pair(pair: EcdsaKeyPair) -> Result<PrivateKey, KeyError> {
        let public = PublicKey::from_point(pair.public_key().as_ref())?;
        Ok(PrivateKey(Arc::new(Keys { pair, public })))
    }

    /// Signs with `ecdsa_secp256r1_sha256`; the answer is the DER of `ServerKeyExchange` and
    /// `CertificateVerify` (RFC 8422 §5.4).
    ///
    /// # Errors
    /// [`KeyError::Failed`] when the system has no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.0.pair.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| KeyError::Failed)?.as_ref().to_vec())
    }

    /// The key that others know.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public
    }

    /// PKCS#8, as a device wants it in /0/x/5.
    ///
    /// # Errors
    /// [`KeyError::Failed`] when there is no memory.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let document = self.0.pair.to_pkcs8v1().map_err(|_| KeyError::Failed)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {:?})", self.0.public)
    }
}

/// A P-256 public key, as SubjectPublicKeyInfo (RFC 7250 §3).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; PublicKey::SPKI_BYTES]);

impl PublicKey {
    /// The length of the SubjectPublicKeyInfo, in bytes.
    pub const SPKI_BYTES: usize = 91;

    /// Reads a key of a file: PEM or DER of a SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`KeyError`] says what is there instead.
    pub fn parse(bytes: &[u8]) -> Result<PublicKey, KeyError> {
        if !is_pem(bytes) {
            return PublicKey::from_spki(bytes);
        }
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
            let (kind, der) = section.map_err(|_| KeyError::Malformed)?;
            if kind == SectionKind::PublicKey {
                return PublicKey::from_spki(&der);
            }
        }
        Err(KeyError::NoKey)
    }

    /// Reads a SubjectPublicKeyInfo, as in a raw public key certificate and in /0/x/3. A
    /// compressed point is taken too, and becomes the usual form.
    ///
    /// # Errors
    /// [`KeyError::NotP256`] for a key of another kind or off the curve, [`KeyError::Malformed`]
    /// for what is no SubjectPublicKeyInfo.
    pub fn from_spki(der: &[u8]) -> Result<PublicKey, KeyError> {
        use x509_parser::x509::SubjectPublicKeyInfo;

        match SubjectPublicKeyInfo::from_der(der) {
            Ok(([], key)) => {
                check_form(&key.subject_public_key.data)?;
                PublicKey::normalized(der)
            }
            _ => Err(KeyError::Malformed),
        }
    }

    /// Reads a bare point: `04 || X || Y`, `X || Y`, or compressed.
    ///
    /// # Errors
    /// [`KeyError::NotP256`] when it is off the curve, [`KeyError::Malformed`] for another length.
    pub fn from_point(point: &[u8]) -> Result<PublicKey, KeyError> {
        match point.len() {
            33 | 65 => {
                check_form(point)?;
                PublicKey::normalized(point)
            }
            64 => PublicKey::normalized(&[&[4], point].concat()),
            _ => Err(KeyError::Malformed),
        }
    }

    fn normalized(key: &[u8]) -> Result<PublicKey, KeyError> {
        let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
        let parsed = parsed.map_err(|_| KeyError::NotP256)?;
        let der: PublicKeyX509Der<'_> = parsed.as_der().map_err(|_| KeyError::Failed)?;
        let spki = der.as_ref().try_into().map_err(|_| KeyError::NotP256)?;
        Ok(PublicKey(spki))
    }

    /// The SubjectPublicKeyInfo.
    pub fn as_spki(&self) -> &[u8] {
        &self.0
    }

    /// The point, as `04 || X || Y`.
    pub fn point(&self) -> &[u8] {
        &self.0[PublicKey::SPKI_BYTES - 65..]
    }

    /// SHA-256 of the SubjectPublicKeyInfo, the short name of a raw public key.
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.0)
    }

    /// Checks a signature of `ecdsa_secp256r1_sha256`, as DER.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`] when this key did not sign this message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0)
            .verify(message, signature)
            .map_err(|_| KeyError::BadSignature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(sha256 ")?;
        for byte in &self.spki_sha256()[..8] {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("..)")
    }
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The bytes are no key that we can read.
    #[error("this is no key in PEM, PKCS#8, SEC 1 or SubjectPublicKeyInfo form")]
    Malformed,
    /// The PEM file has other things in it.
    #[error("there is no such key in this PEM file")]
    NoKey,
    /// The key has a passphrase.
    #[error("the key has a passphrase; write it without one, in a file that only we can read")]
    Encrypted,
    /// The key is of another curve or of another kind, or its point is off the curve.
    #[error("this is no P-256 (prime256v1, secp256r1) key")]
    NotP256,
    /// The signature is not of this key and this message.
    #[error("the signature does not match the key")]
    BadSignature,
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Failed,
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// Points are whole or compressed. The hybrid form, which the cryptographic library would take as well,
/// is none of RFC 5480 §2.2: one key would have two of a length.
fn check_form(point: &[u8]) -> Result<(), KeyError> {
    match point {
        [2..=4, ..] => Ok(()),
        _ => Err(KeyError::Malformed),
    }
}

/// DER starts with the tag of a SEQUENCE, which no text does.
pub(crate) fn is_pem(bytes: &[u8]) -> bool {
    contains(bytes, b"-----BEGIN ")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn is_one_sequence(der: &[u8]) -> bool {
    matches!(Sequence::from_der(der), Ok(([], _)))
}

/// PKCS#8 is `SEQUENCE { INTEGER, SEQUENCE { OID ... } ... }`; SEC 1 has an OCTET STRING second.
fn is_pkcs8_of_another_kind(der: &[u8]) -> bool {
    let Ok((_, outer)) = Sequence::from_der(der) else {
        return false;
    };
    let Ok((rest, _)) = <x509_parser::asn1_rs::Integer<'_>>::from_der(&outer.content) else {
        return false;
    };
    Sequence::from_der(rest).is_ok()
}

#[cfg(test)]
mod tests;
