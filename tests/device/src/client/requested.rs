//! Responses to requests of the client, and requests that failed.

use std::net::SocketAddr;
use std::time::Instant;

use lwm2m_coap::{Failure, IncomingResponse, RequestId};

use super::{Client, DeviceEvent};

impl Client {
    pub(super) fn response(&mut self, now: Instant, response: IncomingResponse<'_, SocketAddr>) {
        if self.registration_response(now, &response)
            || self.bootstrap_response(now, &response)
            || self.downloaded(now, &response)
        {
            return;
        }
        if let Some(id) = self.take_send(response.request) {
            let outcome = Ok(response.message.code());
            self.tell(DeviceEvent::Sent { id, outcome });
        }
    }

    pub(super) fn failed(&mut self, now: Instant, request: RequestId, failure: Failure) {
        if self.registration_failed(now, request, failure)
            || self.bootstrap_unanswered(now, request, failure)
            || self.download_failed(now, request, failure)
        {
            return;
        }
        if let Some(id) = self.take_send(request) {
            let outcome = Err(failure);
            self.tell(DeviceEvent::Sent { id, outcome });
        }
    }
}
