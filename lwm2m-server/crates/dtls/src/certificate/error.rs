//! Why a certificate is not believed.

use std::fmt;

use x509_parser::time::ASN1Time;

/// What is wrong with a chain, and with which certificate of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateError {
    /// The certificate at fault; none when it is the chain as a whole.
    pub culprit: Option<Culprit>,
    /// What is wrong.
    pub fault: CertificateFault,
}

/// One certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// Its place in the chain; 0 is the peer's own.
    pub position: usize,
    /// Its subject; empty when it cannot be read.
    pub subject: String,
}

/// What can be wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// The chain has more certificates than allowed.
    #[error("{count} certificates, and {max} are allowed")]
    TooManyCertificates {
        /// How many there are, as far as they were counted.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// The chain has more bytes than allowed.
    #[error("{bytes} bytes, and {max} are allowed")]
    TooLong {
        /// How many there are.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// There is no certificate at all.
    #[error("there is no certificate")]
    Missing,
    /// The bytes do not say what a certificate must.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// It was valid once.
    #[error("expired since {}", date(*not_after_unix_s))]
    Expired {
        /// Its last second, since 1970.
        not_after_unix_s: i64,
    },
    /// It will be valid.
    #[error("not valid until {}", date(*not_before_unix_s))]
    NotYetValid {
        /// Its first second, since 1970.
        not_before_unix_s: i64,
    },
    /// Neither the chain nor the trust store has its issuer.
    #[error("its issuer is not known: {issuer}")]
    UnknownIssuer {
        /// The name of the issuer.
        issuer: String,
    },
    /// Its issuer's name is known, but another key signed it.
    #[error("its signature is not of the issuer of that name")]
    BadSignature,
    /// Its extendedKeyUsage does not have what it is used for.
    #[error("its extendedKeyUsage lacks {required}")]
    ExtendedKeyUsage {
        /// `clientAuth` or `serverAuth`.
        required: &'static str,
    },
    /// Its keyUsage does not allow signatures.
    #[error("its keyUsage lacks digitalSignature")]
    KeyUsage,
    /// It certifies another and is no authority.
    #[error("it certifies another certificate, but is no CA")]
    NotAnAuthority,
    /// It is an authority, shown as the certificate of a device or server.
    #[error("it is the certificate of a CA, not of a device or a server")]
    IsAuthority,
    /// An authority allows fewer certificates below it.
    #[error("more certificates follow than its pathLenConstraint allows")]
    PathLength,
    /// An authority does not allow this name.
    #[error("its names are outside of what its CA may certify")]
    NameConstraint,
    /// It is signed with an algorithm that we do not have.
    #[error("it is signed with an algorithm that is not supported")]
    UnsupportedAlgorithm,
    /// It has a critical extension, or a version, that we do not have.
    #[error("it has a critical extension or a version that is not supported")]
    Unsupported,
    /// Its key is of another kind.
    #[error("its key is not P-256")]
    KeyNotP256,
    /// It is for other names.
    #[error("it is not for {expected}, but for {presented}")]
    WrongName {
        /// The name that was asked for.
        expected: String,
        /// The names that it has.
        presented: String,
    },
    /// It is not the one that was configured.
    #[error("it is not the certificate that was configured")]
    NotTheConfigured,
    /// Its issuer has taken it back.
    #[error("its issuer has revoked it")]
    Revoked,
    /// Whether its issuer has taken it back cannot be told: the list of that name is not the issuer's.
    #[error("the revocation list of its issuer is not signed by it")]
    RevocationList,
    /// There are too many ways to put the chain together.
    #[error("the chain takes too long to check")]
    TooComplex,
}

impl CertificateFault {
    /// A stable word for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            CertificateFault::TooManyCertificates { .. } | CertificateFault::TooLong { .. } => {
                "certificate-chain-too-long"
            }
            CertificateFault::Missing => "certificate-missing",
            CertificateFault::Malformed(_) => "certificate-malformed",
            CertificateFault::Expired { .. } => "certificate-expired",
            CertificateFault::NotYetValid { .. } => "certificate-not-yet-valid",
            CertificateFault::UnknownIssuer { .. } => "certificate-issuer-unknown",
            CertificateFault::BadSignature => "certificate-signature",
            CertificateFault::ExtendedKeyUsage { .. }
            | CertificateFault::KeyUsage
            | CertificateFault::NotAnAuthority
            | CertificateFault::IsAuthority => "certificate-usage",
            CertificateFault::PathLength
            | CertificateFault::NameConstraint
            | CertificateFault::TooComplex => "certificate-path",
            CertificateFault::UnsupportedAlgorithm
            | CertificateFault::Unsupported
            | CertificateFault::KeyNotP256 => "certificate-unsupported",
            CertificateFault::WrongName { .. } => "certificate-name",
            CertificateFault::NotTheConfigured => "certificate-not-configured",
            CertificateFault::Revoked => "certificate-revoked",
            CertificateFault::RevocationList => "certificate-revocation-list",
        }
    }

    /// How to mend it.
    pub fn hint(&self) -> &'static str {
        match self {
            CertificateFault::TooManyCertificates { .. } | CertificateFault::TooLong { .. } => {
                "give the device its own certificate and the intermediate ones only, or raise the \
                 limit"
            }
            CertificateFault::Missing => {
                "give the device a certificate (/0/x/3) and its key (/0/x/5), or set \
                 client_authentication = \"optional\""
            }
            CertificateFault::Malformed(_) => "write the certificate anew, as DER",
            CertificateFault::Expired { .. } => {
                "issue a new certificate, or set the clock of the side that says so"
            }
            CertificateFault::NotYetValid { .. } => {
                "check the clocks: of the side that says so, and of the one that issued it"
            }
            CertificateFault::UnknownIssuer { .. } => {
                "add the certificate of the issuer to trust_store, or let the device send its \
                 intermediate certificates"
            }
            CertificateFault::BadSignature => {
                "the trust store may hold an older CA of the same name; add the one that signed"
            }
            CertificateFault::ExtendedKeyUsage { .. } => {
                "issue it with the usage that is asked for, or without extendedKeyUsage"
            }
            CertificateFault::KeyUsage => "issue it with keyUsage digitalSignature",
            CertificateFault::NotAnAuthority => {
                "issue the intermediate certificate with basicConstraints CA:TRUE"
            }
            CertificateFault::IsAuthority => {
                "issue it with basicConstraints CA:FALSE, or put this very certificate into \
                 trust_store"
            }
            CertificateFault::PathLength | CertificateFault::NameConstraint => {
                "issue it below a CA whose constraints allow it"
            }
            CertificateFault::Revoked => {
                "give the device a new key and certificate; where it was revoked by mistake, load a \
                 newer list"
            }
            CertificateFault::RevocationList => {
                "load the list that the CA of trust_store signs; its keyUsage needs cRLSign"
            }
            CertificateFault::TooComplex => "let the device send one path, without alternatives",
            CertificateFault::UnsupportedAlgorithm => {
                "sign it with ECDSA P-256 or P-384, or with RSA of 2048 bits or more, and SHA-256 \
                 or better"
            }
            CertificateFault::Unsupported => "issue it as X.509 v3 without that extension",
            CertificateFault::KeyNotP256 => "issue it for a P-256 (prime256v1) key",
            CertificateFault::WrongName { .. } => {
                "issue the server's certificate with the name of the server URI as a DNS name"
            }
            CertificateFault::NotTheConfigured => {
                "write the server's certificate of today into /0/x/4, or its hash by /0/x/13"
            }
        }
    }

    /// The number of the alert that the peer is told with (RFC 5246 §7.2.2).
    pub fn alert(&self) -> u8 {
        const HANDSHAKE_FAILURE: u8 = 40;
        const BAD_CERTIFICATE: u8 = 42;
        const UNSUPPORTED_CERTIFICATE: u8 = 43;
        const CERTIFICATE_REVOKED: u8 = 44;
        const CERTIFICATE_EXPIRED: u8 = 45;
        const CERTIFICATE_UNKNOWN: u8 = 46;
        const UNKNOWN_CA: u8 = 48;
        match self {
            CertificateFault::Missing => HANDSHAKE_FAILURE,
            CertificateFault::Expired { .. } | CertificateFault::NotYetValid { .. } => {
                CERTIFICATE_EXPIRED
            }
            CertificateFault::Revoked => CERTIFICATE_REVOKED,
            CertificateFault::UnknownIssuer { .. } => UNKNOWN_CA,
            CertificateFault::ExtendedKeyUsage { .. }
            | CertificateFault::KeyUsage
            | CertificateFault::UnsupportedAlgorithm
            | CertificateFault::Unsupported
            | CertificateFault::KeyNotP256 => UNSUPPORTED_CERTIFICATE,
            CertificateFault::NotTheConfigured => CERTIFICATE_UNKNOWN,
            _ => BAD_CERTIFICATE,
        }
    }

    /// This fault, of the chain as a whole.
    pub(crate) fn of_chain(self) -> CertificateError {
        CertificateError {
            culprit: None,
            fault: self,
        }
    }

    /// This fault, of the certificate at a place of the chain.
    pub(super) fn at(self, position: usize, subject: String) -> CertificateError {
        CertificateError {
            culprit: Some(Culprit { position, subject }),
            fault: self,
        }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.culprit {
            None => write!(f, "the certificate chain: {}", self.fault),
            Some(Culprit { position, subject }) if subject.is_empty() => {
                write!(f, "certificate {position} of the chain: {}", self.fault)
            }
            Some(Culprit { position, subject }) => write!(
                f,
                "certificate {position} of the chain ({subject}): {}",
                self.fault
            ),
        }
    }
}

impl std::error::Error for CertificateError {}

/// A second since 1970, as in `2026-03-01 12:00:00 UTC`.
fn date(unix_s: i64) -> String {
    match ASN1Time::from_timestamp(unix_s) {
        Ok(time) => {
            let time = time.to_datetime();
            let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
            let (hour, minute, second) = time.to_hms();
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
        }
        Err(_) => format!("second {unix_s}"),
    }
}
