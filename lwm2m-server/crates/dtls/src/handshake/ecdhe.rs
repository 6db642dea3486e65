//! Messages of ECDHE_ECDSA on P-256 (RFC 8422), and the shared secret.

use aws_lc_rs::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::rand::SystemRandom;
use zeroize::Zeroizing;

use super::extension::{ECDSA_SHA256, SECP256R1};
use crate::codec::{Reader, Write, numbers};
use crate::failure::Failure;

const NAMED_CURVE: u8 = 3;
/// `ecdsa_sign` of RFC 8422 §5.5.
const ECDSA_SIGN: u8 = 64;

/// Our half of the secret. It cannot be seeded: the library makes it.
pub(crate) struct Share {
    private: EphemeralPrivateKey,
    point: Vec<u8>,
}

impl Share {
    pub(crate) fn generate() -> Result<Share, Failure> {
        let failed = |_| Failure::Crypto("making an ephemeral key");
        let random = SystemRandom::new();
        let private = EphemeralPrivateKey::generate(&ECDH_P256, &random).map_err(failed)?;
        let point = private.compute_public_key().map_err(failed)?;
        let point = point.as_ref().to_vec();
        Ok(Share { private, point })
    }

    /// What the peer may see.
    pub(crate) fn point(&self) -> &[u8] {
        &self.point
    }

    /// The premaster secret.
    pub(crate) fn agree(self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let peer = UnparsedPublicKey::new(&ECDH_P256, peer);
        let illegal = Failure::IllegalParameter("point of the key exchange");
        agree_ephemeral(self.private, peer, illegal, |secret| {
            Ok(Zeroizing::new(secret.to_vec()))
        })
    }
}

/// A ServerKeyExchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerKeyExchange<'a> {
    pub(crate) point: &'a [u8],
    pub(crate) signature: &'a [u8],
}

impl<'a> ServerKeyExchange<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<ServerKeyExchange<'a>, Failure> {
        let malformed = || Failure::Malformed("ServerKeyExchange");
        let mut reader = Reader::new(body);
        let curve = (reader.u8(), reader.u16());
        let point = reader.vector8().ok_or_else(malformed)?;
        if curve != (Some(NAMED_CURVE), Some(SECP256R1)) {
            return Err(Failure::NoCommonParameter("curve"));
        }
        let signature = signature(reader).ok_or_else(malformed)??;
        Ok(ServerKeyExchange { point, signature })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write_parameters(out, self.point);
        write_signature(out, self.signature);
    }
}

/// What the server signs (RFC 8422 §5.4).
pub(crate) fn signed_exchange(client: &[u8; 32], server: &[u8; 32], point: &[u8]) -> Vec<u8> {
    let mut signed = Vec::with_capacity(64 + 4 + point.len());
    signed.put(client);
    signed.put(server);
    write_parameters(&mut signed, point);
    signed
}

fn write_parameters(out: &mut Vec<u8>, point: &[u8]) {
    out.put_u8(NAMED_CURVE);
    out.put_u16(SECP256R1);
    out.put_vector8(point);
}

/// The body of a ClientKeyExchange.
pub(crate) fn parse_client_point(body: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(body);
    let point = reader.vector8()?;
    reader.end(point)
}

/// The signature of a CertificateVerify.
pub(crate) fn parse_certificate_verify(body: &[u8]) -> Result<&[u8], Failure> {
    signature(Reader::new(body)).ok_or(Failure::Malformed("CertificateVerify"))?
}

pub(crate) fn write_signature(out: &mut Vec<u8>, signature: &[u8]) {
    out.put_u16(ECDSA_SHA256);
    out.put_vector16(signature);
}

/// Algorithm and signature, to the end.
fn signature(mut reader: Reader<'_>) -> Option<Result<&[u8], Failure>> {
    let algorithm = reader.u16()?;
    let signature = reader.vector16()?;
    reader.end(match algorithm {
        ECDSA_SHA256 => Ok(signature),
        _ => Err(Failure::NoCommonParameter("signature algorithm")),
    })
}

/// A CertificateRequest for `ecdsa_secp256r1_sha256`, without names of authorities: they would
/// only make the flight longer.
pub(crate) fn write_certificate_request(out: &mut Vec<u8>) {
    out.put_vector8(&[ECDSA_SIGN]);
    out.put_vector16(&ECDSA_SHA256.to_be_bytes());
    out.put_vector16(&[]);
}

/// True when a CertificateRequest can be answered with `ecdsa_secp256r1_sha256`.
pub(crate) fn parse_certificate_request(body: &[u8]) -> Option<bool> {
    let mut reader = Reader::new(body);
    let kinds = reader.vector8()?;
    let algorithms = reader.vector16()?;
    reader.vector16()?;
    let fits = kinds.contains(&ECDSA_SIGN) && numbers(algorithms).any(|each| each == ECDSA_SHA256);
    reader.end(fits)
}

/// The body of a Certificate message with a raw public key (RFC 7250 §3).
pub(crate) fn write_raw_public_key(out: &mut Vec<u8>, spki: &[u8]) {
    out.put_u24(spki.len());
    out.put(spki);
}

/// The SubjectPublicKeyInfo of such a message; empty when the peer has none.
pub(crate) fn parse_raw_public_key(body: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(body);
    let spki = reader.vector24()?;
    reader.end(spki)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shares_lead_to_one_secret() {
        let (client, server) = (
            Share::generate().expect("a share"),
            Share::generate().expect("a share"),
        );
        let (client_point, server_point) = (client.point().to_vec(), server.point().to_vec());
        let secret = client.agree(&server_point).expect("a secret");
        assert_eq!(secret, server.agree(&client_point).expect("a secret"));
        assert_eq!(secret.len(), 32);
        let share = Share::generate().expect("a share");
        assert!(share.agree(&[4; 65]).is_err(), "off the curve");
    }

    #[test]
    fn messages_are_read_as_written() {
        let exchange = ServerKeyExchange {
            point: &[4; 65],
            signature: b"signature",
        };
        let mut body = Vec::new();
        exchange.write(&mut body);
        assert_eq!(ServerKeyExchange::parse(&body), Ok(exchange));
        for end in 0..body.len() {
            assert!(ServerKeyExchange::parse(&body[..end]).is_err());
        }

        let mut body = Vec::new();
        write_certificate_request(&mut body);
        assert_eq!(parse_certificate_request(&body), Some(true));
        assert_eq!(
            parse_certificate_request(&[1, 1, 0, 2, 4, 1, 0, 0]),
            Some(false)
        );

        let mut body = Vec::new();
        write_signature(&mut body, b"signature");
        assert_eq!(parse_certificate_verify(&body), Ok(&b"signature"[..]));

        let mut body = Vec::new();
        write_raw_public_key(&mut body, b"spki");
        assert_eq!(parse_raw_public_key(&body), Some(&b"spki"[..]));
        assert_eq!(parse_raw_public_key(&[0, 0, 0]), Some(&[][..]));
    }

    #[test]
    fn another_curve_is_named_as_such() {
        let body = [3, 0, 24, 1, 4, 4, 3, 0, 1, 1];
        assert_eq!(
            ServerKeyExchange::parse(&body),
            Err(Failure::NoCommonParameter("curve"))
        );
    }
}
