//! A client that is connected to its server (binding T, RFC 8323), not sending datagrams.
//!
//! Whoever moves the bytes says when the connection stands and when it has ended. The registration
//! outlives it: the next connection begins with an Update, or a Register where there is none.

use std::time::Instant;

use bytes::Bytes;
use lwm2m_coap::tcp::Capabilities;
use lwm2m_coap::{Event, OutgoingRequest, RequestError, RequestId};

use super::registration::Stage;
use super::{Client, DeviceEvent, RegistrationError};

impl Client {
    /// The connection to the server stands; `capabilities` are those of the server.
    pub fn connected(&mut self, now: Instant, capabilities: Capabilities) {
        let server = self.config.server;
        let again = self.endpoint.is_connected(server);
        self.endpoint.connect(now, server, capabilities);
        if again {
            // The server can do more than it said.
            return;
        }
        self.tell(DeviceEvent::Connected);
        match self.registration.stage {
            Stage::Stopped | Stage::Registering { .. } | Stage::Leaving { .. } => {}
            Stage::Waiting { .. } => self.register(now),
            Stage::Registered { .. } => self.update(now),
        }
        self.settle(now);
    }

    /// Takes a message that came over the connection.
    pub fn receive_frame(&mut self, now: Instant, frame: &[u8]) {
        let server = self.config.server;
        if self.hears(server) {
            self.touch(now);
            let mut plain = std::mem::take(&mut self.plain);
            let event = self
                .endpoint
                .receive_frame_with(now, server, frame, &mut plain);
            match event {
                Some(Event::Request(request)) => self.answer(now, request),
                Some(event) => self.take_event(now, event),
                None => {}
            }
            self.plain = plain;
        }
        self.settle(now);
    }

    /// The connection has ended, or there is none. Observations go with it.
    pub fn disconnected(&mut self, now: Instant, reason: &str) {
        let server = self.config.server;
        let stood = self.endpoint.is_connected(server);
        if let Some(request) = self.registration.request() {
            self.endpoint.cancel(request);
        }
        self.endpoint.forget_peer(server);
        self.forget_server();
        if stood {
            let reason = reason.to_owned();
            self.tell(DeviceEvent::Disconnected { reason });
        }
        let failed =
            || DeviceEvent::RegistrationFailed(RegistrationError::Connection(reason.into()));
        match &mut self.registration.stage {
            Stage::Registering { .. } => self.retry(now, None, failed()),
            Stage::Waiting { .. } if !stood => self.tell(failed()),
            Stage::Registered { update, .. } => *update = None,
            Stage::Leaving { then, .. } => {
                let then = *then;
                self.left(now, then);
            }
            Stage::Stopped | Stage::Waiting { .. } => {}
        }
        self.settle(now);
    }

    /// Hands out what goes over the connection.
    pub(crate) fn send_frames(&mut self, mut send: impl FnMut(Bytes)) {
        let server = self.config.server;
        for transmit in std::mem::take(&mut self.outbox) {
            match transmit.peer == server {
                true => send(transmit.datagram),
                false => self.outbox.push_back(transmit),
            }
        }
    }

    /// Sends a request to the server, unless it takes a connection and there is none.
    pub(super) fn ask_server(
        &mut self,
        now: Instant,
        request: OutgoingRequest,
    ) -> Result<RequestId, RequestError> {
        match self.is_cut_off() {
            true => Err(RequestError::NotConnected),
            false => self.endpoint.request(now, self.config.server, request),
        }
    }

    /// True when it takes a connection to the server, and there is none.
    pub(super) fn is_cut_off(&self) -> bool {
        self.config.connects && !self.endpoint.is_connected(self.config.server)
    }
}
