//! What the programs are told.
//!
//! Each is a client, whose input is sent and whose output is what was received, or a server that
//! sends back what it hears. Arguments: `client` or `server`, the port on 127.0.0.1, then KEY=VALUE:
//! `psk=IDENTITY:HEX`; or `key=FILE`, `certificate=FILE` and `trust=FILE`, PEM, where trust is an
//! authority; `name=NAME`, which the server's certificate must have; `suite=CCM_8|CCM|GCM`.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// What one program is told.
#[derive(Debug, Default)]
pub struct Options {
    /// A client, not a server.
    pub is_client: bool,
    /// Of the server.
    pub port: u16,
    /// Identity and key.
    pub psk: Option<(Vec<u8>, Vec<u8>)>,
    /// The own private key, PEM.
    pub key: Option<String>,
    /// The own certificate, PEM.
    pub certificate: Option<String>,
    /// Whom the other side's certificate comes from.
    pub trust: Option<CertificateDer<'static>>,
    /// What the server is called.
    pub name: String,
    /// The only suite; empty for all.
    pub suite: String,
}

impl Options {
    /// Reads the arguments of the program.
    ///
    /// # Errors
    /// Says which one is wrong.
    pub fn read() -> Result<Options, Box<dyn Error>> {
        let mut arguments = std::env::args().skip(1);
        let mut options = Options {
            is_client: arguments.next().ok_or("client or server")? == "client",
            port: arguments.next().ok_or("the port is missing")?.parse()?,
            ..Options::default()
        };
        for argument in arguments {
            let (key, value) = argument.split_once('=').ok_or("KEY=VALUE")?;
            match key {
                "psk" => {
                    let (identity, key) = value.split_once(':').ok_or("psk=IDENTITY:HEX")?;
                    options.psk = Some((identity.into(), bytes(key)?));
                }
                "key" => options.key = Some(std::fs::read_to_string(value)?),
                "certificate" => options.certificate = Some(std::fs::read_to_string(value)?),
                "trust" => options.trust = Some(CertificateDer::from_pem_file(value)?),
                "name" => options.name = value.to_owned(),
                "suite" => options.suite = value.to_owned(),
                _ => return Err(format!("'{argument}' is no argument").into()),
            }
        }
        Ok(options)
    }

    /// The address of the server.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }
}

/// Hexadecimal digits as bytes.
fn bytes(digits: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    (0..digits.len())
        .step_by(2)
        .map(|at| {
            let pair = digits.get(at..at + 2).ok_or("an odd number of digits")?;
            Ok(u8::from_str_radix(pair, 16)?)
        })
        .collect()
}
