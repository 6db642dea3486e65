//! The extensions of both hellos.

use crate::codec::{Reader, Write, numbers};

pub(crate) const SERVER_NAME: u16 = 0;
pub(crate) const MAX_FRAGMENT_LENGTH: u16 = 1;
pub(crate) const SUPPORTED_GROUPS: u16 = 10;
pub(crate) const EC_POINT_FORMATS: u16 = 11;
pub(crate) const SIGNATURE_ALGORITHMS: u16 = 13;
pub(crate) const APPLICATION_PROTOCOLS: u16 = 16;
pub(crate) const CLIENT_CERTIFICATE_TYPE: u16 = 19;
pub(crate) const SERVER_CERTIFICATE_TYPE: u16 = 20;
pub(crate) const EXTENDED_MASTER_SECRET: u16 = 23;
pub(crate) const RECORD_SIZE_LIMIT: u16 = 28;
pub(crate) const SESSION_TICKET: u16 = 35;
pub(crate) const SUPPORTED_VERSIONS: u16 = 43;
pub(crate) const CONNECTION_ID: u16 = 54;
pub(crate) const RENEGOTIATION_INFO: u16 = 0xff01;

/// In the list of versions.
const TLS_1_3: u16 = 0x0304;

/// `secp256r1`.
pub(crate) const SECP256R1: u16 = 23;
/// `ecdsa_secp256r1_sha256`.
pub(crate) const ECDSA_SHA256: u16 = 0x0403;
/// An uncompressed point.
pub(crate) const UNCOMPRESSED: u8 = 0;
/// The certificate type of RFC 6091 for X.509.
pub(crate) const X509: u8 = 0;
/// The certificate type of RFC 7250.
pub(crate) const RAW_PUBLIC_KEY: u8 = 2;

/// What a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ClientExtensions<'a> {
    pub(crate) server_name: Option<&'a str>,
    pub(crate) max_fragment_length: Option<u8>,
    pub(crate) groups: Option<&'a [u8]>,
    pub(crate) point_formats: Option<&'a [u8]>,
    pub(crate) signature_algorithms: Option<&'a [u8]>,
    pub(crate) client_certificate_types: Option<&'a [u8]>,
    pub(crate) server_certificate_types: Option<&'a [u8]>,
    /// TLS 1.3 is among the versions (RFC 8446 §4.2.1).
    pub(crate) has_tls_1_3: bool,
    /// Names, each with its length before it (RFC 7301).
    pub(crate) protocols: Option<&'a [u8]>,
    pub(crate) extended_master_secret: bool,
    pub(crate) record_size_limit: Option<u16>,
    pub(crate) session_ticket: Option<&'a [u8]>,
    pub(crate) cid: Option<&'a [u8]>,
    pub(crate) renegotiation_info: bool,
}

impl<'a> ClientExtensions<'a> {
    /// Reads the block of extensions; what is not known is passed over.
    pub(crate) fn parse(block: &'a [u8]) -> Option<ClientExtensions<'a>> {
        let mut extensions = ClientExtensions::default();
        let mut reader = Reader::new(block);
        while !reader.is_empty() {
            let number = reader.u16()?;
            extensions.take(number, reader.vector16()?)?;
        }
        Some(extensions)
    }

    fn take(&mut self, number: u16, data: &'a [u8]) -> Option<()> {
        match number {
            SERVER_NAME => self.server_name = host_name(data)?,
            MAX_FRAGMENT_LENGTH => self.max_fragment_length = Some(one(data)?),
            SUPPORTED_GROUPS => self.groups = Some(list16(data)?),
            EC_POINT_FORMATS => self.point_formats = Some(list8(data)?),
            SIGNATURE_ALGORITHMS => self.signature_algorithms = Some(list16(data)?),
            CLIENT_CERTIFICATE_TYPE => self.client_certificate_types = Some(list8(data)?),
            SERVER_CERTIFICATE_TYPE => self.server_certificate_types = Some(list8(data)?),
            APPLICATION_PROTOCOLS => self.protocols = Some(list16(data)?),
            EXTENDED_MASTER_SECRET => self.extended_master_secret = true,
            RECORD_SIZE_LIMIT => self.record_size_limit = Some(two(data)?),
            SESSION_TICKET => self.session_ticket = Some(data),
            SUPPORTED_VERSIONS => self.has_tls_1_3 = !lacks16(Some(list8(data)?), TLS_1_3),
            CONNECTION_ID => self.cid = Some(list8(data)?),
            // There is no earlier handshake to tell of (RFC 5746 §3.6).
            RENEGOTIATION_INFO => {
                list8(data)?.is_empty().then_some(())?;
                self.renegotiation_info = true;
            }
            _ => {}
        }
        Some(())
    }

    /// Appends the block of extensions, its length before it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.nest16(|out| {
            if let Some(name) = self.server_name {
                extension(out, SERVER_NAME, |out| {
                    out.nest16(|out| {
                        out.put_u8(0);
                        out.put_vector16(name.as_bytes());
                    });
                });
            }
            if let Some(code) = self.max_fragment_length {
                extension(out, MAX_FRAGMENT_LENGTH, |out| out.put_u8(code));
            }
            let lists16 = [
                (SUPPORTED_GROUPS, self.groups),
                (SIGNATURE_ALGORITHMS, self.signature_algorithms),
            ];
            for (number, list) in lists16 {
                if let Some(list) = list {
                    extension(out, number, |out| out.put_vector16(list));
                }
            }
            let lists8 = [
                (EC_POINT_FORMATS, self.point_formats),
                (CLIENT_CERTIFICATE_TYPE, self.client_certificate_types),
                (SERVER_CERTIFICATE_TYPE, self.server_certificate_types),
                (CONNECTION_ID, self.cid),
            ];
            for (number, list) in lists8 {
                if let Some(list) = list {
                    extension(out, number, |out| out.put_vector8(list));
                }
            }
            if self.has_tls_1_3 {
                extension(out, SUPPORTED_VERSIONS, |out| {
                    out.put_vector8(&TLS_1_3.to_be_bytes());
                });
            }
            if let Some(protocols) = self.protocols {
                extension(out, APPLICATION_PROTOCOLS, |out| {
                    out.put_vector16(protocols)
                });
            }
            if self.extended_master_secret {
                extension(out, EXTENDED_MASTER_SECRET, |_| {});
            }
            if let Some(limit) = self.record_size_limit {
                extension(out, RECORD_SIZE_LIMIT, |out| out.put_u16(limit));
            }
            if let Some(ticket) = self.session_ticket {
                extension(out, SESSION_TICKET, |out| out.put(ticket));
            }
            if self.renegotiation_info {
                extension(out, RENEGOTIATION_INFO, |out| out.put_u8(0));
            }
        });
    }
}

/// What a server grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ServerExtensions<'a> {
    pub(crate) server_name: bool,
    pub(crate) max_fragment_length: Option<u8>,
    pub(crate) point_formats: bool,
    pub(crate) client_certificate_type: Option<u8>,
    pub(crate) server_certificate_type: Option<u8>,
    pub(crate) protocol: Option<&'a [u8]>,
    pub(crate) extended_master_secret: bool,
    pub(crate) record_size_limit: Option<u16>,
    pub(crate) session_ticket: bool,
    pub(crate) cid: Option<&'a [u8]>,
    pub(crate) renegotiation_info: bool,
    /// An extension that this crate never asks for.
    pub(crate) unknown: Option<u16>,
}

impl<'a> ServerExtensions<'a> {
    /// Reads the block of extensions.
    pub(crate) fn parse(block: &'a [u8]) -> Option<ServerExtensions<'a>> {
        let mut extensions = ServerExtensions::default();
        let mut reader = Reader::new(block);
        while !reader.is_empty() {
            let number = reader.u16()?;
            let data = reader.vector16()?;
            match number {
                SERVER_NAME => extensions.server_name = true,
                MAX_FRAGMENT_LENGTH => extensions.max_fragment_length = Some(one(data)?),
                EC_POINT_FORMATS => extensions.point_formats = true,
                CLIENT_CERTIFICATE_TYPE => extensions.client_certificate_type = Some(one(data)?),
                SERVER_CERTIFICATE_TYPE => extensions.server_certificate_type = Some(one(data)?),
                APPLICATION_PROTOCOLS => {
                    let mut list = Reader::new(list16(data)?);
                    let protocol = list.vector8()?;
                    extensions.protocol = Some(list.end(protocol)?);
                }
                EXTENDED_MASTER_SECRET => extensions.extended_master_secret = true,
                RECORD_SIZE_LIMIT => extensions.record_size_limit = Some(two(data)?),
                SESSION_TICKET => extensions.session_ticket = true,
                CONNECTION_ID => extensions.cid = Some(list8(data)?),
                RENEGOTIATION_INFO => {
                    list8(data)?.is_empty().then_some(())?;
                    extensions.renegotiation_info = true;
                }
                // Some servers answer with their groups, which is of no harm.
                SUPPORTED_GROUPS => {}
                unknown => extensions.unknown = Some(unknown),
            }
        }
        Some(extensions)
    }

    /// Appends the block of extensions, its length before it; nothing when there is none.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let at = out.len();
        out.nest16(|out| {
            if self.server_name {
                extension(out, SERVER_NAME, |_| {});
            }
            if let Some(code) = self.max_fragment_length {
                extension(out, MAX_FRAGMENT_LENGTH, |out| out.put_u8(code));
            }
            if self.point_formats {
                extension(out, EC_POINT_FORMATS, |out| {
                    out.put_vector8(&[UNCOMPRESSED])
                });
            }
            if let Some(kind) = self.client_certificate_type {
                extension(out, CLIENT_CERTIFICATE_TYPE, |out| out.put_u8(kind));
            }
            if let Some(kind) = self.server_certificate_type {
                extension(out, SERVER_CERTIFICATE_TYPE, |out| out.put_u8(kind));
            }
            if let Some(protocol) = self.protocol {
                extension(out, APPLICATION_PROTOCOLS, |out| {
                    out.nest16(|out| out.put_vector8(protocol));
                });
            }
            if self.extended_master_secret {
                extension(out, EXTENDED_MASTER_SECRET, |_| {});
            }
            if let Some(limit) = self.record_size_limit {
                extension(out, RECORD_SIZE_LIMIT, |out| out.put_u16(limit));
            }
            if self.session_ticket {
                extension(out, SESSION_TICKET, |_| {});
            }
            if let Some(cid) = self.cid {
                extension(out, CONNECTION_ID, |out| out.put_vector8(cid));
            }
            if self.renegotiation_info {
                extension(out, RENEGOTIATION_INFO, |out| out.put_u8(0));
            }
        });
        if out.len() == at + 2 {
            out.truncate(at);
        }
    }
}

/// Bytes of a fragment for a code of RFC 6066 §4.
pub(crate) fn max_fragment_bytes(code: u8) -> Option<usize> {
    match code {
        1..=4 => Some(256 << code),
        _ => None,
    }
}

/// True when a list of 16-bit numbers that was not left out lacks `number`.
pub(crate) fn lacks16(list: Option<&[u8]>, number: u16) -> bool {
    list.is_some_and(|list| !numbers(list).any(|each| each == number))
}

fn extension(out: &mut Vec<u8>, number: u16, write: impl FnOnce(&mut Vec<u8>)) {
    out.put_u16(number);
    out.nest16(write);
}

/// True when a list of protocols (RFC 7301) has `name`.
pub(crate) fn has_protocol(list: &[u8], name: &[u8]) -> bool {
    let mut list = Reader::new(list);
    std::iter::from_fn(|| list.vector8()).any(|each| each == name)
}

/// The host name; none inside when the list has none that is text.
fn host_name(data: &[u8]) -> Option<Option<&str>> {
    let mut list = Reader::new(Reader::new(data).vector16()?);
    let mut found = None;
    while !list.is_empty() {
        let (kind, name) = (list.u8()?, list.vector16()?);
        if kind == 0 && found.is_none() && name.is_ascii() && !name.is_empty() {
            found = std::str::from_utf8(name).ok();
        }
    }
    Some(found)
}

fn one(data: &[u8]) -> Option<u8> {
    let mut reader = Reader::new(data);
    let value = reader.u8()?;
    reader.end(value)
}

fn two(data: &[u8]) -> Option<u16> {
    let mut reader = Reader::new(data);
    let value = reader.u16()?;
    reader.end(value)
}

fn list8(data: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(data);
    let list = reader.vector8()?;
    reader.end(list)
}

fn list16(data: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(data);
    let list = reader.vector16()?;
    reader.end(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_read_as_written() {
        let offers = ClientExtensions {
            server_name: Some("server.example"),
            max_fragment_length: Some(2),
            groups: Some(&[0, 23]),
            point_formats: Some(&[0]),
            signature_algorithms: Some(&[4, 3]),
            client_certificate_types: Some(&[2, 0]),
            server_certificate_types: Some(&[2]),
            has_tls_1_3: true,
            protocols: Some(b"\x02h2\x04coap"),
            extended_master_secret: true,
            record_size_limit: Some(512),
            session_ticket: Some(b"ticket"),
            cid: Some(&[]),
            renegotiation_info: true,
        };
        let mut block = Vec::new();
        offers.write(&mut block);
        assert_eq!(ClientExtensions::parse(&block[2..]), Some(offers));
        let names = [&b"coap"[..], b"h2", b"coa", b"\x02h2"];
        let has = names.map(|name| {
            offers
                .protocols
                .is_some_and(|list| has_protocol(list, name))
        });
        assert_eq!(has, [true, true, false, false]);
    }

    #[test]
    fn grants_are_read_as_written() {
        let grants = ServerExtensions {
            server_name: true,
            max_fragment_length: Some(4),
            point_formats: true,
            client_certificate_type: Some(2),
            server_certificate_type: Some(0),
            protocol: Some(b"coap"),
            extended_master_secret: true,
            record_size_limit: Some(1 << 14),
            session_ticket: true,
            cid: Some(&[1, 2, 3]),
            renegotiation_info: true,
            unknown: None,
        };
        let mut block = Vec::new();
        grants.write(&mut block);
        assert_eq!(ServerExtensions::parse(&block[2..]), Some(grants));
    }

    #[test]
    fn no_extension_is_no_block() {
        let mut block = Vec::new();
        ServerExtensions::default().write(&mut block);
        assert!(block.is_empty());
    }

    #[test]
    fn what_is_not_known_is_passed_over_and_what_is_cut_off_is_none() {
        // use_srtp of RFC 5764.
        let srtp = [0, 14, 0, 5, 0, 2, 0, 1, 0];
        assert_eq!(
            ClientExtensions::parse(&srtp),
            Some(ClientExtensions::default())
        );
        assert_eq!(ClientExtensions::parse(&srtp[..8]), None);
        assert_eq!(ClientExtensions::parse(&[0, 54, 0, 1, 1]), None);
    }

    #[test]
    fn fragment_lengths_are_those_of_the_rfc() {
        let lengths: Vec<_> = (0..6).map(max_fragment_bytes).collect();
        let expected = [None, Some(512), Some(1024), Some(2048), Some(4096), None];
        assert_eq!(lengths, expected);
    }
}
