//! `lwm2m-dtls` as the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use lwm2m_dtls::{
    CertificateChain, Config, Endpoint, Event, Lookup, Psk, ServerCertificate, ServerCertificates,
    ServerConfig, SystemRandom, TrustStore, Verdict,
};

use super::material::{KEY, Material, unix_s};
use super::wire::{Datagrams, Server};

/// One endpoint with all sessions.
pub(super) struct Own {
    endpoint: Endpoint<SocketAddr>,
    now: Instant,
    key: Psk,
}

impl Own {
    pub(super) fn new(material: &Material) -> anyhow::Result<Own> {
        let (certificate, key) = &material.server;
        let chain = CertificateChain::new(vec![certificate.clone()])?;
        let certificate = ServerCertificate::new(chain, key.clone())?;
        let mut trust = TrustStore::new();
        trust.add(material.authority.clone())?;
        let server = ServerConfig {
            raw_public_key: Some(key.clone()),
            certificates: Some(Arc::new(ServerCertificates::new(certificate))),
            trust: Some(Arc::new(trust)),
            ..ServerConfig::default()
        };
        let config = Config {
            server: Some(Arc::new(server)),
            ..Config::default()
        };
        let mut endpoint = Endpoint::new(config, SystemRandom);
        let now = Instant::now();
        endpoint.set_unix_time(now, unix_s());
        Ok(Own {
            endpoint,
            now,
            key: Psk::new(KEY)?,
        })
    }
}

impl Server for Own {
    fn take(&mut self, device: SocketAddr, datagram: &mut [u8], out: &mut Datagrams) {
        self.endpoint.handle(self.now, device, datagram);
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Lookup {
                    session, lookup, ..
                } => {
                    let verdict = match lookup {
                        Lookup::Psk { .. } => Verdict::Psk {
                            key: self.key.clone(),
                            alternate: None,
                        },
                        _ => Verdict::Accept,
                    };
                    self.endpoint.answer(self.now, session, verdict);
                }
                Event::Data { session, range } => {
                    // A session that cannot send gives no echo, which the devices miss.
                    let _ = self.endpoint.send(self.now, session, &datagram[range]);
                }
                _ => {}
            }
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            out.push(transmit.path, &transmit.datagram);
        }
    }
}
