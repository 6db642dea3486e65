//! The cipher suites that LwM2M names and this crate has: AES-128 with AEAD, SHA-256.

use std::fmt;

/// A cipher suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CipherSuite {
    /// `TLS_PSK_WITH_AES_128_CCM_8`, RFC 6655; mandatory in LwM2M.
    PskCcm8,
    /// `TLS_PSK_WITH_AES_128_CCM`, RFC 6655.
    PskCcm,
    /// `TLS_PSK_WITH_AES_128_GCM_SHA256`, RFC 5487.
    PskGcm,
    /// `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8`, RFC 7251; mandatory in LwM2M.
    EcdheEcdsaCcm8,
    /// `TLS_ECDHE_ECDSA_WITH_AES_128_CCM`, RFC 7251.
    EcdheEcdsaCcm,
    /// `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`, RFC 5289.
    EcdheEcdsaGcm,
}

/// How the parties agree on a secret and who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyExchange {
    /// A pre-shared key, RFC 4279.
    Psk,
    /// Ephemeral ECDH on P-256, signed with ECDSA, RFC 8422.
    EcdheEcdsa,
}

/// How records are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aead {
    Ccm8,
    Ccm,
    Gcm,
}

impl CipherSuite {
    /// All suites, in the order of preference: the ones that LwM2M demands first.
    pub const ALL: &'static [CipherSuite] = &[
        CipherSuite::EcdheEcdsaCcm8,
        CipherSuite::EcdheEcdsaGcm,
        CipherSuite::EcdheEcdsaCcm,
        CipherSuite::PskCcm8,
        CipherSuite::PskGcm,
        CipherSuite::PskCcm,
    ];

    /// The suite with this code point of IANA; none when we do not have it.
    pub fn from_code(code: u16) -> Option<CipherSuite> {
        CipherSuite::ALL
            .iter()
            .copied()
            .find(|suite| suite.code() == code)
    }

    /// The code point of IANA, as in /0/x/16.
    pub fn code(self) -> u16 {
        match self {
            CipherSuite::PskCcm8 => 0xc0a8,
            CipherSuite::PskCcm => 0xc0a4,
            CipherSuite::PskGcm => 0x00a8,
            CipherSuite::EcdheEcdsaCcm8 => 0xc0ae,
            CipherSuite::EcdheEcdsaCcm => 0xc0ac,
            CipherSuite::EcdheEcdsaGcm => 0xc02b,
        }
    }

    /// The name of IANA.
    pub fn name(self) -> &'static str {
        match self {
            CipherSuite::PskCcm8 => "TLS_PSK_WITH_AES_128_CCM_8",
            CipherSuite::PskCcm => "TLS_PSK_WITH_AES_128_CCM",
            CipherSuite::PskGcm => "TLS_PSK_WITH_AES_128_GCM_SHA256",
            CipherSuite::EcdheEcdsaCcm8 => "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
            CipherSuite::EcdheEcdsaCcm => "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
            CipherSuite::EcdheEcdsaGcm => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        }
    }

    /// How the keys are agreed on.
    pub fn key_exchange(self) -> KeyExchange {
        match self {
            CipherSuite::PskCcm8 | CipherSuite::PskCcm | CipherSuite::PskGcm => KeyExchange::Psk,
            CipherSuite::EcdheEcdsaCcm8
            | CipherSuite::EcdheEcdsaCcm
            | CipherSuite::EcdheEcdsaGcm => KeyExchange::EcdheEcdsa,
        }
    }

    pub(crate) fn aead(self) -> Aead {
        match self {
            CipherSuite::PskCcm8 | CipherSuite::EcdheEcdsaCcm8 => Aead::Ccm8,
            CipherSuite::PskCcm | CipherSuite::EcdheEcdsaCcm => Aead::Ccm,
            CipherSuite::PskGcm | CipherSuite::EcdheEcdsaGcm => Aead::Gcm,
        }
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Aead {
    /// Bytes of the authentication tag.
    pub(crate) fn tag_bytes(self) -> usize {
        match self {
            Aead::Ccm8 => 8,
            Aead::Ccm | Aead::Gcm => 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_points_are_those_of_iana_and_unique() {
        for suite in CipherSuite::ALL {
            assert_eq!(CipherSuite::from_code(suite.code()), Some(*suite));
        }
        assert_eq!(
            CipherSuite::from_code(49320).map(CipherSuite::name),
            Some("TLS_PSK_WITH_AES_128_CCM_8")
        );
        assert_eq!(
            CipherSuite::from_code(49326).map(CipherSuite::name),
            Some("TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8")
        );
        assert_eq!(CipherSuite::from_code(0x00ae), None);
    }
}
