//! What a server takes of a client's offers.

use std::sync::Arc;

use super::extension::{
    ECDSA_SHA256, RAW_PUBLIC_KEY, SECP256R1, ServerExtensions, UNCOMPRESSED, X509, has_protocol,
    lacks16, max_fragment_bytes,
};
use super::hello::ClientHello;
use super::wire::Wire;
use crate::certificate::ServerCertificate;
use crate::cid::{Cid, PeerCid};
use crate::codec::numbers;
use crate::config::{
    ClientAuthentication, ExtendedMasterSecret, Limits, ServerConfig, UnknownServerName,
};
use crate::failure::Failure;
use crate::random::{Random, random_array};
use crate::record::PLAINTEXT_MAX;
use crate::suite::{CipherSuite, KeyExchange};

/// The smallest limit of RFC 8449 §4, in bytes.
const RECORD_SIZE_MIN: u16 = 64;

/// What the hellos agreed on.
pub(super) struct Agreed {
    pub(super) suite: CipherSuite,
    pub(super) extended_master_secret: bool,
    pub(super) server_random: [u8; 32],
    pub(super) server_name: Option<Box<str>>,
    /// Of RFC 7301, where the client names some.
    protocol: Option<Box<[u8]>>,
    /// Ours, when Connection IDs are in use.
    pub(super) own_cid: Option<Cid>,
    pub(super) peer_cid: Option<PeerCid>,
    /// With ECDHE only.
    pub(super) proofs: Option<Proofs>,
    /// A ticket will follow.
    pub(super) ticket: bool,
    renegotiation: bool,
    max_fragment_length: Option<u8>,
    record_size_limit: Option<u16>,
}

/// How the sides prove who they are.
pub(super) struct Proofs {
    /// Ours: a certificate, or else the raw public key of the configuration.
    pub(super) certificate: Option<Arc<ServerCertificate>>,
    /// What is asked of the client.
    pub(super) client: Option<CertificateType>,
    /// The client's list named our kind.
    server_type_offered: bool,
    /// The client's list named its kind.
    client_type_offered: bool,
    is_for_name: bool,
}

/// Kinds of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CertificateType {
    X509,
    RawPublicKey,
}

impl CertificateType {
    pub(super) fn from_code(code: u8) -> Option<CertificateType> {
        match code {
            X509 => Some(CertificateType::X509),
            RAW_PUBLIC_KEY => Some(CertificateType::RawPublicKey),
            _ => None,
        }
    }

    fn code(self) -> u8 {
        match self {
            CertificateType::X509 => X509,
            CertificateType::RawPublicKey => RAW_PUBLIC_KEY,
        }
    }
}

impl Agreed {
    /// Chooses among the offers. A session that is continued brings its suite with it.
    pub(super) fn on(
        wire: Wire,
        hello: &ClientHello<'_>,
        config: &ServerConfig,
        own_cid: Cid,
        random: &mut dyn Random,
        resumed: Option<CipherSuite>,
    ) -> Result<Agreed, Failure> {
        let offered = hello.start.version;
        if !wire.takes(offered) {
            return Err(Failure::Version { offered });
        }
        if !hello.has_null_compression() {
            return Err(Failure::NoCommonParameter("compression method"));
        }
        let extended_master_secret = hello.extensions.extended_master_secret;
        let policy = config.extended_master_secret;
        if policy == ExtendedMasterSecret::Required && !extended_master_secret {
            return Err(Failure::NoExtendedMasterSecret);
        }
        let peer_cid = match hello.extensions.cid {
            Some(cid) if config.cid => {
                let too_long = Failure::IllegalParameter("Connection ID of more than 32 bytes");
                Some(PeerCid::new(cid).ok_or(too_long)?)
            }
            _ => None,
        };
        let protocol = match (&config.application_protocol, hello.extensions.protocols) {
            (Some(ours), Some(list)) => {
                let common = has_protocol(list, ours).then(|| ours.clone());
                Some(common.ok_or(Failure::NoCommonProtocol)?)
            }
            _ => None,
        };
        let (suite, proofs) = match resumed {
            Some(suite) => (suite, None),
            None => choose(hello, config)?,
        };
        let takes_tickets = config.resumption.as_ref();
        let takes_tickets = takes_tickets.is_some_and(|resumption| resumption.ticket_key.is_some());
        let record_size_limit = hello.extensions.record_size_limit;
        if record_size_limit.is_some_and(|limit| limit < RECORD_SIZE_MIN) {
            return Err(Failure::IllegalParameter("record_size_limit"));
        }
        Ok(Agreed {
            suite,
            extended_master_secret,
            server_random: server_random(wire, hello, random),
            server_name: hello.extensions.server_name.map(Into::into),
            protocol,
            own_cid: peer_cid.map(|_| own_cid),
            peer_cid,
            proofs,
            renegotiation: hello.signals_renegotiation(),
            ticket: resumed.is_none() && takes_tickets && hello.extensions.session_ticket.is_some(),
            // RFC 8449 §5: the newer extension takes the place of the older one.
            max_fragment_length: hello
                .extensions
                .max_fragment_length
                .filter(|_| record_size_limit.is_none()),
            record_size_limit,
        })
    }

    /// The longest plaintext that the client takes, in bytes.
    pub(super) fn fragment_max(&self) -> Result<usize, Failure> {
        if let Some(limit) = self.record_size_limit {
            // The type of the content counts, where there is a Connection ID.
            let inner = usize::from(limit) - usize::from(self.peer_cid.is_some());
            return Ok(inner.min(PLAINTEXT_MAX));
        }
        let Some(code) = self.max_fragment_length else {
            return Ok(PLAINTEXT_MAX);
        };
        max_fragment_bytes(code).ok_or(Failure::IllegalParameter("max_fragment_length"))
    }

    /// The extensions of the ServerHello; `limits` are ours.
    pub(super) fn extensions(&self, limits: &Limits) -> ServerExtensions<'_> {
        let proofs = self.proofs.as_ref();
        let own_type = proofs.filter(|proofs| proofs.server_type_offered);
        let client_type = proofs.filter(|proofs| proofs.client_type_offered);
        ServerExtensions {
            server_name: proofs.is_some_and(|proofs| proofs.is_for_name),
            max_fragment_length: self.max_fragment_length,
            point_formats: proofs.is_some(),
            client_certificate_type: client_type
                .and_then(|proofs| proofs.client)
                .map(CertificateType::code),
            server_certificate_type: own_type.map(|proofs| proofs.own_type().code()),
            protocol: self.protocol.as_deref(),
            extended_master_secret: self.extended_master_secret,
            cid: self.own_cid.as_ref().map(|cid| &cid.as_bytes()[..]),
            record_size_limit: self.record_size_limit.map(|_| limits.record_size_max),
            session_ticket: self.ticket,
            renegotiation_info: self.renegotiation,
            unknown: None,
        }
    }
}

impl Proofs {
    fn own_type(&self) -> CertificateType {
        match self.certificate {
            Some(_) => CertificateType::X509,
            None => CertificateType::RawPublicKey,
        }
    }

    /// What goes with ECDHE, or what is missing for it.
    fn choose(hello: &ClientHello<'_>, config: &ServerConfig) -> Result<Proofs, Failure> {
        let extensions = &hello.extensions;
        if lacks16(extensions.groups, SECP256R1) {
            return Err(Failure::NoCommonParameter("curve: secp256r1 is needed"));
        }
        if lacks16(extensions.signature_algorithms, ECDSA_SHA256) {
            return Err(Failure::NoCommonParameter(
                "signature algorithm: ecdsa_secp256r1_sha256 is needed",
            ));
        }
        let points = extensions.point_formats;
        if points.is_some_and(|points| !points.contains(&UNCOMPRESSED)) {
            return Err(Failure::NoCommonParameter("point format"));
        }
        let own = types(extensions.server_certificate_types).find(|kind| match kind {
            CertificateType::X509 => config.certificates.is_some(),
            CertificateType::RawPublicKey => config.raw_public_key.is_some(),
        });
        let own = own.ok_or(Failure::NoCommonParameter("kind of server certificate"))?;
        let mut is_for_name = false;
        let certificate = match (own, &config.certificates) {
            (CertificateType::X509, Some(certificates)) => {
                let selection = certificates.select(extensions.server_name);
                is_for_name = selection.is_for_name && extensions.server_name.is_some();
                if !selection.is_for_name && config.unknown_server_name == UnknownServerName::Alert
                {
                    let name = extensions.server_name.unwrap_or_default().into();
                    return Err(Failure::UnrecognizedName { name });
                }
                Some(selection.certificate)
            }
            _ => None,
        };
        let client = types(extensions.client_certificate_types).find(|kind| match kind {
            CertificateType::X509 => config.trust.is_some(),
            CertificateType::RawPublicKey => config.client_raw_public_keys,
        });
        let client = match config.client_authentication {
            ClientAuthentication::None => None,
            ClientAuthentication::Optional => client,
            ClientAuthentication::Required => {
                Some(client.ok_or(Failure::NoCommonParameter("kind of client certificate"))?)
            }
        };
        Ok(Proofs {
            certificate,
            client,
            server_type_offered: extensions.server_certificate_types.is_some(),
            client_type_offered: extensions.client_certificate_types.is_some(),
            is_for_name,
        })
    }
}

/// The random of the ServerHello. To a client over a stream that does not offer TLS 1.3 it says that
/// this server has it: whoever was kept from offering it finds out (RFC 8446 §4.1.3).
fn server_random(wire: Wire, hello: &ClientHello<'_>, random: &mut dyn Random) -> [u8; 32] {
    const DOWNGRADE: [u8; 8] = *b"DOWNGRD\x01";
    let mut bytes: [u8; 32] = random_array(random);
    if wire == Wire::Stream && !hello.extensions.has_tls_1_3 {
        bytes[24..].copy_from_slice(&DOWNGRADE);
    }
    bytes
}

/// The kinds of a list in the client's order; X.509 when there is no list (RFC 7250 §4.1).
fn types(list: Option<&[u8]>) -> impl Iterator<Item = CertificateType> + '_ {
    let list = list.unwrap_or(&[X509]).iter();
    list.filter_map(|code| CertificateType::from_code(*code))
}

/// The first of the client's suites that both sides can do.
fn choose(
    hello: &ClientHello<'_>,
    config: &ServerConfig,
) -> Result<(CipherSuite, Option<Proofs>), Failure> {
    let has_proof = config.raw_public_key.is_some() || config.certificates.is_some();
    let possible = |suite: &CipherSuite| {
        config.suites.contains(suite)
            && match suite.key_exchange() {
                KeyExchange::Psk => config.psk,
                KeyExchange::EcdheEcdsa => has_proof,
            }
    };
    let common = numbers(hello.start.suites)
        .filter_map(CipherSuite::from_code)
        .filter(possible);
    let mut missing = None;
    for suite in common {
        match suite.key_exchange() {
            KeyExchange::Psk => return Ok((suite, None)),
            KeyExchange::EcdheEcdsa => match Proofs::choose(hello, config) {
                Ok(proofs) => return Ok((suite, Some(proofs))),
                Err(failure) => missing = Some(failure),
            },
        }
    }
    let ours = CipherSuite::ALL.iter().filter(|suite| possible(suite));
    Err(missing.unwrap_or_else(|| Failure::NoCommonSuite {
        peer: numbers(hello.start.suites).collect(),
        ours: ours.map(|suite| suite.code()).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::extension::ClientExtensions;
    use crate::handshake::hello::HelloStart;
    use crate::random::SeededRandom;
    use crate::record::VERSION_1_2;

    fn on(
        version: u16,
        suites: &[u8],
        extensions: ClientExtensions<'_>,
        config: &ServerConfig,
    ) -> Result<Agreed, Failure> {
        let hello = ClientHello {
            start: HelloStart {
                version,
                random: &[1; 32],
                session_id: &[],
                cookie: &[],
                suites,
                compressions: &[0],
            },
            extensions,
        };
        let cid = Cid::new(0, 1, 1, [0, 0]);
        Agreed::on(
            Wire::Datagram,
            &hello,
            config,
            cid,
            &mut SeededRandom::new(1),
            None,
        )
    }

    const PSK: &[u8] = &[0xc0, 0xa8];
    const ECDHE: &[u8] = &[0xc0, 0xae];

    fn psk(extensions: ClientExtensions<'_>) -> Result<Agreed, Failure> {
        on(VERSION_1_2, PSK, extensions, &ServerConfig::default())
    }

    #[test]
    fn versions_below_1_2_are_refused_and_above_are_taken() {
        let config = ServerConfig::default();
        let try_version = |version| on(version, PSK, ClientExtensions::default(), &config);
        assert!(try_version(0xfefd).is_ok());
        assert!(try_version(0xfefc).is_ok());
        for offered in [0xfeff, 0x0100, 0x0303, 0xffff] {
            assert_eq!(
                try_version(offered).err(),
                Some(Failure::Version { offered })
            );
        }
    }

    #[test]
    fn the_length_of_fragments_is_agreed_on() {
        let with = |max_fragment_length, record_size_limit, cid| {
            let agreed = psk(ClientExtensions {
                max_fragment_length,
                record_size_limit,
                cid,
                ..ClientExtensions::default()
            })?;
            let granted = agreed.extensions(&Limits::default());
            let echoed = (granted.max_fragment_length, granted.record_size_limit);
            Ok((agreed.fragment_max()?, echoed))
        };
        assert_eq!(with(None, None, None), Ok((1 << 14, (None, None))));
        assert_eq!(with(Some(1), None, None), Ok((512, (Some(1), None))));
        let ours = Some(1 << 14);
        assert_eq!(with(Some(1), Some(200), None), Ok((200, (None, ours))));
        assert_eq!(
            with(None, Some(200), Some(&[][..])),
            Ok((199, (None, ours)))
        );
        let illegal = |what| Err(Failure::IllegalParameter(what));
        assert_eq!(with(Some(5), None, None), illegal("max_fragment_length"));
        assert_eq!(with(None, Some(63), None), illegal("record_size_limit"));
    }

    #[test]
    fn a_connection_id_of_33_bytes_is_illegal() {
        let with = |cid| {
            psk(ClientExtensions {
                cid: Some(cid),
                ..ClientExtensions::default()
            })
        };
        assert!(with(&[7; 32]).is_ok_and(|agreed| agreed.own_cid.is_some()));
        assert!(matches!(with(&[7; 33]), Err(Failure::IllegalParameter(_))));
    }

    #[test]
    fn what_a_certificate_suite_lacks_is_named() {
        let config = ServerConfig {
            raw_public_key: crate::PrivateKey::generate().ok(),
            ..ServerConfig::default()
        };
        let good = ClientExtensions {
            groups: Some(&[0, 23]),
            point_formats: Some(&[0]),
            signature_algorithms: Some(&[4, 3]),
            client_certificate_types: Some(&[2]),
            server_certificate_types: Some(&[2]),
            ..ClientExtensions::default()
        };
        let lacking = |extensions| match on(VERSION_1_2, ECDHE, extensions, &config) {
            Err(Failure::NoCommonParameter(what)) => what,
            other => panic!("{:?}", other.err()),
        };
        assert!(on(VERSION_1_2, ECDHE, good, &config).is_ok());
        let groups = Some(&[0, 24][..]);
        assert!(lacking(ClientExtensions { groups, ..good }).starts_with("curve"));
        let signature_algorithms = Some(&[4, 1][..]);
        let what = lacking(ClientExtensions {
            signature_algorithms,
            ..good
        });
        assert!(what.starts_with("signature algorithm"));
        let point_formats = Some(&[1][..]);
        let what = lacking(ClientExtensions {
            point_formats,
            ..good
        });
        assert_eq!(what, "point format");
        let what = lacking(ClientExtensions {
            server_certificate_types: None,
            ..good
        });
        assert_eq!(what, "kind of server certificate");
        let what = lacking(ClientExtensions {
            client_certificate_types: None,
            ..good
        });
        assert_eq!(what, "kind of client certificate");
        // Where the client offers a pre-shared key as well, that is taken.
        let both = [ECDHE, PSK].concat();
        let agreed = on(VERSION_1_2, &both, ClientExtensions::default(), &config);
        assert!(agreed.is_ok_and(|agreed| agreed.suite == CipherSuite::PskCcm8));
    }
}
