//! The account that a bootstrap server has left in the objects of a client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use lwm2m_core::{Path, Value};

use lwm2m_dtls::{
    Certificate, CertificateChain, CertificateUsage, ClientCredentials, MatchingType, PrivateKey,
    PublicKey, ServerExpectation, TrustStore,
};
use lwm2m_oscore::{IdContext, KeyId, Parameters};

use super::{DtlsAccount, OscoreAccount, StandIn};
use crate::tree::bytes_of;
use crate::{ObjectTree, Refusal};

/// Whom a client registers with.
#[derive(Debug, Clone)]
pub(super) struct Provisioned {
    pub(super) server: SocketAddr,
    pub(super) dtls: Option<DtlsAccount>,
    pub(super) oscore: Option<OscoreAccount>,
    /// The instance of object 1.
    pub(super) server_instance: u16,
}

/// Ports of the schemes.
const COAP_PORT: u16 = 5683;
const COAPS_PORT: u16 = 5684;

impl Provisioned {
    /// The first account that is complete; its server is the one that stands for all, if there is
    /// one.
    ///
    /// # Errors
    /// 4.06 says what is missing.
    pub(super) fn of(tree: &ObjectTree, stand_in: Option<StandIn>) -> Result<Provisioned, Refusal> {
        let security = tree.store(0).ok_or(MISSING)?;
        let is_server = |instance: &u16| {
            let bootstrap = tree.stored(&Path::resource(0, *instance, 1));
            bootstrap == Some(&Value::Boolean(false))
        };
        let mut refusal = MISSING;
        for instance in security.instances().filter(is_server) {
            match Provisioned::in_instance(tree, instance, stand_in) {
                Ok(account) => return Ok(account),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn in_instance(
        tree: &ObjectTree,
        instance: u16,
        stand_in: Option<StandIn>,
    ) -> Result<Provisioned, Refusal> {
        let at = |resource| tree.stored(&Path::resource(0, instance, resource));
        let number = |resource| match at(resource) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        };
        let id = number(10).ok_or(inconsistent("the account has no short server id"))?;
        let server_instance = server_instance(tree, id)?;
        let Some(Value::String(uri)) = at(0) else {
            return Err(inconsistent("the account has no URI"));
        };
        let (server, is_secure) = match stand_in {
            None => address(uri)?,
            Some(server) => match scheme(uri)? {
                (_, _, false) => (server.coap, false),
                (_, _, true) => (server.coaps, true),
            },
        };
        let mode = number(2).ok_or(inconsistent("the account has no security mode"))?;
        if is_secure != (mode != 3) {
            return Err(inconsistent("the URI and the security mode contradict"));
        }
        let bytes = |resource| at(resource).map(bytes_of).unwrap_or_default();
        let number = |resource| match at(resource) {
            Some(Value::Unsigned(number)) => *number,
            _ => 0,
        };
        let usage = match at(15) {
            Some(Value::Unsigned(usage)) => *usage,
            _ => 3,
        };
        let dtls = match mode {
            0 => Some(psk(&bytes(3), &bytes(5))?),
            1 => Some(rpk(&bytes(4), &bytes(5))?),
            2 => Some(x509(bytes(3), bytes(4), bytes(5), usage, number(13))?),
            3 => None,
            _ => return Err(inconsistent("the security mode is not supported")),
        };
        let oscore = match at(17) {
            Some(Value::ObjectLink(link)) => Some(oscore(tree, link.instance)?),
            _ => None,
        };
        Ok(Provisioned {
            server,
            dtls,
            oscore,
            server_instance,
        })
    }
}

/// The instance of object 1 with this short server id, if it has what a registration needs.
fn server_instance(tree: &ObjectTree, id: i64) -> Result<u16, Refusal> {
    let servers = tree.store(1).ok_or(MISSING)?;
    let has = |instance: u16, resource| tree.stored(&Path::resource(1, instance, resource));
    let of_account = |instance: &u16| has(*instance, 0) == Some(&Value::Integer(id));
    let instance = servers.instances().find(of_account);
    let instance = instance.ok_or(inconsistent(
        "no instance of object 1 belongs to the account",
    ))?;
    let complete = [1, 6, 7].iter().all(|r| has(instance, *r).is_some());
    complete
        .then_some(instance)
        .ok_or(inconsistent("the instance of object 1 is incomplete"))
}

const URI: Refusal = inconsistent("the URI is not coap:// or coaps:// and an address");

/// What is behind the scheme of a URI, the port that goes without saying, and whether it is a secure
/// one.
fn scheme(uri: &str) -> Result<(&str, u16, bool), Refusal> {
    let (scheme, authority) = uri.split_once("://").ok_or(URI)?;
    match scheme {
        "coap" => Ok((authority, COAP_PORT, false)),
        "coaps" => Ok((authority, COAPS_PORT, true)),
        _ => Err(URI),
    }
}

/// The address behind a URI, and whether it is a secure one. Names are not looked up.
fn address(uri: &str) -> Result<(SocketAddr, bool), Refusal> {
    let (authority, port, is_secure) = scheme(uri)?;
    let authority = authority.trim_end_matches('/');
    if let Ok(address) = authority.parse() {
        return Ok((address, is_secure));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, digits)) if !digits.ends_with(']') => (host, digits.parse().map_err(|_| URI)?),
        _ => (authority, port),
    };
    let ip: IpAddr = match host {
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        host => {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host.parse().map_err(|_| URI)?
        }
    };
    Ok((SocketAddr::new(ip, port), is_secure))
}

fn psk(identity: &[u8], key: &[u8]) -> Result<DtlsAccount, Refusal> {
    DtlsAccount::psk(identity, key).map_err(|_| inconsistent("the pre-shared key is of no use"))
}

fn rpk(server: &[u8], key: &[u8]) -> Result<DtlsAccount, Refusal> {
    const KEYS: Refusal = inconsistent("the raw public keys are of no use");
    Ok(DtlsAccount::new(ClientCredentials::RawPublicKey {
        key: PrivateKey::from_der(key).map_err(|_| KEYS)?,
        server: PublicKey::from_spki(server).map_err(|_| KEYS)?,
    }))
}

fn x509(
    own: Vec<u8>,
    server: Vec<u8>,
    key: Vec<u8>,
    usage: u64,
    matching: u64,
) -> Result<DtlsAccount, Refusal> {
    const CERTIFICATES: Refusal = inconsistent("the certificates are of no use");
    let certificate = Certificate::from_der(&own).map_err(|_| CERTIFICATES)?;
    let chain = CertificateChain::new(vec![certificate]).map_err(|_| CERTIFICATES)?;
    let key = PrivateKey::from_der(&key).map_err(|_| CERTIFICATES)?;
    Ok(DtlsAccount::new(ClientCredentials::X509 {
        own: Some((chain, key)),
        server: ServerExpectation {
            usage: CertificateUsage::from_value(usage).ok_or(CERTIFICATES)?,
            matching: MatchingType::from_value(matching).ok_or(CERTIFICATES)?,
            certificate: server.into(),
            name: None,
            store: Arc::new(TrustStore::new()),
        },
    }))
}

fn oscore(tree: &ObjectTree, instance: u16) -> Result<OscoreAccount, Refusal> {
    const CONTEXT: Refusal = inconsistent("the OSCORE context is of no use");
    let bytes = |resource| {
        tree.stored(&Path::resource(21, instance, resource))
            .map(bytes_of)
    };
    let id = |resource| KeyId::new(&bytes(resource)?);
    let parameters = Parameters {
        master_secret: bytes(0).ok_or(CONTEXT)?.into(),
        master_salt: bytes(5).unwrap_or_default(),
        id_context: match bytes(6) {
            Some(context) => Some(IdContext::new(&context).ok_or(CONTEXT)?),
            None => None,
        },
        sender_id: id(1).ok_or(CONTEXT)?,
        recipient_id: id(2).ok_or(CONTEXT)?,
    };
    // A context that was just given has never been used.
    OscoreAccount::new(&parameters, 0).map_err(|_| CONTEXT)
}

const MISSING: Refusal = inconsistent("there is no account of a server");

const fn inconsistent(reason: &'static str) -> Refusal {
    Refusal::not_acceptable(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_addresses_with_or_without_a_port() {
        for (uri, expected, secure) in [
            ("coap://127.0.0.1", "127.0.0.1:5683", false),
            ("coaps://127.0.0.1/", "127.0.0.1:5684", true),
            ("coaps://127.0.0.1:5685", "127.0.0.1:5685", true),
            ("coap://[::1]", "[::1]:5683", false),
            ("coap://[::1]:7", "[::1]:7", false),
            ("coap://localhost:7", "127.0.0.1:7", false),
        ] {
            let (address, is_secure) = address(uri).expect(uri);
            assert_eq!(
                (address.to_string().as_str(), is_secure),
                (expected, secure)
            );
        }
        for uri in [
            "",
            "coap://",
            "http://127.0.0.1",
            "coap://example.com",
            "coap://a:b",
        ] {
            assert!(address(uri).is_err(), "{uri}");
        }
    }
}
