//! The Send operation (Core 1.2.2 §6.4.6).

use std::time::Instant;

use bytes::Bytes;
use lwm2m_coap::{Code, OptionNumber, OutgoingRequest, RequestId};
use lwm2m_core::codec::{self, Scope};
use lwm2m_core::{Path, Record, Version};

use super::{Client, SendError, SendId};

const MUTE_SEND: u16 = 23;

impl Client {
    /// Sends the values at and below these paths. The outcome comes as
    /// [`DeviceEvent::Sent`](super::DeviceEvent::Sent).
    ///
    /// # Errors
    /// The client may not send, or has nothing to send.
    pub fn send(&mut self, now: Instant, paths: &[Path]) -> Result<SendId, SendError> {
        let mut records = Vec::new();
        for path in paths {
            records.extend(self.tree.read(path).map_err(SendError::Refused)?);
        }
        self.send_records(now, &records)
    }

    /// Sends any records, several of one path with their times for instance.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn send_records(
        &mut self,
        now: Instant,
        records: &[Record<'_>],
    ) -> Result<SendId, SendError> {
        if self.version == Version::V1_0 {
            return Err(SendError::Version);
        }
        if !self.is_registered() {
            return Err(SendError::NotRegistered);
        }
        if self.server_setting(MUTE_SEND) == Some(1) {
            return Err(SendError::Muted);
        }
        let format = self.formats.of_send();
        let scope = Scope {
            path: Path::ROOT,
            prefix: &self.config.alternate_path,
        };
        let mut body = Vec::new();
        codec::encode(format, scope, records, &self.tree, &mut body)
            .map_err(|error| SendError::Encode(error.to_string()))?;
        let request = OutgoingRequest::new(Code::POST)
            .option(OptionNumber::URI_PATH, Bytes::from_static(b"dp"))
            .uint(OptionNumber::CONTENT_FORMAT, u32::from(format.number()))
            .payload(body);
        let request = self.to_server(request);
        let request = self.endpoint.request(now, self.config.server, request)?;
        self.next_id += 1;
        let id = SendId(self.next_id);
        self.sends.push((request, id));
        self.settle(now);
        Ok(id)
    }

    pub(super) fn take_send(&mut self, request: RequestId) -> Option<SendId> {
        let at = self.sends.iter().position(|(sent, _)| *sent == request)?;
        Some(self.sends.swap_remove(at).1)
    }
}
