//! The devices: `lwm2m-dtls` as a client, the same whichever server is measured.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use lwm2m_dtls::{
    ClientConfig, Config, Endpoint, Event, Limits, Resumption, SessionId, SystemRandom,
};

use super::material::unix_s;
use super::wire::Datagrams;

/// Devices at addresses of their own.
pub(super) struct Devices {
    endpoint: Endpoint<SocketAddr>,
    now: Instant,
    /// Those that have a session.
    pub(super) up: Vec<SessionId>,
    /// Of them, those that continue an earlier one.
    pub(super) resumed: usize,
    /// Records that came back.
    pub(super) echoed: usize,
}

impl Devices {
    pub(super) fn new() -> Devices {
        let config = Config {
            server: None,
            limits: Limits {
                resumable_sessions_max: 0,
                ..Limits::default()
            },
            ..Config::default()
        };
        let mut endpoint = Endpoint::new(config, SystemRandom);
        let now = Instant::now();
        endpoint.set_unix_time(now, unix_s());
        Devices {
            endpoint,
            now,
            up: Vec::new(),
            resumed: 0,
            echoed: 0,
        }
    }

    /// Lets devices begin handshakes.
    pub(super) fn connect(
        &mut self,
        numbers: Range<u32>,
        config: &Arc<ClientConfig>,
        out: &mut Datagrams,
    ) -> anyhow::Result<()> {
        for number in numbers {
            let config = Arc::clone(config);
            self.endpoint.connect(self.now, address(number), config)?;
        }
        self.transmit(out);
        Ok(())
    }

    /// Lets every device with a session send a record.
    pub(super) fn send(&mut self, data: &[u8], out: &mut Datagrams) -> anyhow::Result<()> {
        for session in &self.up {
            self.endpoint.send(self.now, *session, data)?;
        }
        self.transmit(out);
        Ok(())
    }

    /// Takes what the server has sent.
    pub(super) fn take(
        &mut self,
        datagrams: &mut Datagrams,
        out: &mut Datagrams,
    ) -> anyhow::Result<()> {
        datagrams.drain(|device, datagram| self.endpoint.handle(self.now, device, datagram));
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Up { session, peer, .. } => {
                    self.up.push(session);
                    self.resumed += usize::from(peer.resumed);
                }
                Event::Data { .. } => self.echoed += 1,
                Event::Failed { failure, .. } => bail!("a handshake failed: {failure}"),
                Event::Down { reason, .. } => bail!("a session ended: {}", reason.reason()),
                _ => {}
            }
        }
        self.transmit(out);
        Ok(())
    }

    /// What the last device that came up may continue its session with.
    pub(super) fn resumption(&self) -> anyhow::Result<Resumption> {
        let session = self.up.last().context("no session is up")?;
        let resumption = self.endpoint.resumption(*session);
        resumption.context("the server gives nothing to continue a session with")
    }

    fn transmit(&mut self, out: &mut Datagrams) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            out.push(transmit.path, &transmit.datagram);
        }
    }
}

fn address(number: u32) -> SocketAddr {
    let first = u32::from(Ipv4Addr::new(10, 0, 0, 0));
    SocketAddr::from((Ipv4Addr::from(first + number), 5683))
}
