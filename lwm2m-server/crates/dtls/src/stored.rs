//! Peers as bytes: in tickets, and in exported sessions.

use std::sync::Arc;

use crate::certificate::{Certificate, X509Identity};
use crate::codec::{Reader, Write};
use crate::key::PublicKey;
use crate::peer::{Identity, Peer};
use crate::suite::CipherSuite;

const PSK: u8 = 1;
const RAW_PUBLIC_KEY: u8 = 2;
const X509: u8 = 3;
const ANONYMOUS: u8 = 4;

/// Appends a peer.
pub(crate) fn write_peer(out: &mut Vec<u8>, peer: &Peer) {
    let certificate = peer
        .certificate
        .as_ref()
        .map_or(&[][..], Certificate::as_der);
    let (kind, name) = match &peer.identity {
        Identity::Psk(identity) => (PSK, &identity[..]),
        Identity::RawPublicKey(key) => (RAW_PUBLIC_KEY, key.as_spki()),
        Identity::X509(_) => (X509, certificate),
        Identity::Anonymous => (ANONYMOUS, &[][..]),
    };
    out.put_u8(kind);
    out.put_vector16(name);
    out.put_u16(peer.suite.code());
    out.put_vector16(peer.server_name.as_deref().unwrap_or_default().as_bytes());
    out.put_u8(u8::from(peer.extended_master_secret));
    out.put_u8(u8::from(peer.cid));
    out.put_u8(u8::from(peer.resumed));
    out.put(&peer.key_label.to_be_bytes());
}

/// Reads a peer; none when these bytes are not of [`write_peer`].
pub(crate) fn read_peer(reader: &mut Reader<'_>) -> Option<Peer> {
    let (kind, name) = (reader.u8()?, reader.vector16()?);
    let mut certificate = None;
    let identity = match kind {
        PSK => Identity::Psk(name.into()),
        RAW_PUBLIC_KEY => Identity::RawPublicKey(PublicKey::from_spki(name).ok()?),
        X509 => {
            let shown = Certificate::from_der(name).ok()?;
            let identity = X509Identity::of(&shown).ok()?;
            certificate = Some(shown);
            Identity::X509(Box::new(identity))
        }
        ANONYMOUS => Identity::Anonymous,
        _ => return None,
    };
    let suite = CipherSuite::from_code(reader.u16()?)?;
    let server_name = std::str::from_utf8(reader.vector16()?).ok()?;
    Some(Peer {
        identity,
        certificate,
        suite,
        server_name: (!server_name.is_empty()).then(|| server_name.into()),
        extended_master_secret: flag(reader)?,
        cid: flag(reader)?,
        resumed: flag(reader)?,
        key_label: reader.u64()?,
    })
}

/// Reads a peer to share.
pub(crate) fn read_shared_peer(reader: &mut Reader<'_>) -> Option<Arc<Peer>> {
    read_peer(reader).map(Arc::new)
}

pub(crate) fn flag(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.u8()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_read_as_written() {
        let key = crate::PrivateKey::generate().expect("a key");
        let identities = [
            Identity::Psk(b"identity".as_slice().into()),
            Identity::RawPublicKey(key.public_key().clone()),
            Identity::Anonymous,
        ];
        for identity in identities {
            let peer = Peer {
                identity,
                certificate: None,
                suite: CipherSuite::PskCcm8,
                server_name: Some("name".into()),
                extended_master_secret: true,
                cid: false,
                resumed: true,
                key_label: 7,
            };
            let mut bytes = Vec::new();
            write_peer(&mut bytes, &peer);
            assert_eq!(read_peer(&mut Reader::new(&bytes)), Some(peer));
            for end in 0..bytes.len() {
                assert_eq!(read_peer(&mut Reader::new(&bytes[..end])), None);
            }
        }
    }
}
