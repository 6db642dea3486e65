//! The running server.

use std::net::SocketAddr;

use crate::{Device, Events, Registration, ServerBuilder};

/// A running server; clones are handles to the same one.
#[derive(Clone)]
pub struct Server {}

impl Server {
    /// Starts putting one together.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// The addresses that it listens on, in the order of the listeners; with the real port when
    /// port 0 was asked for.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        todo!()
    }

    /// A handle to a device by its endpoint name, whether it is registered or not.
    pub fn device(&self, _endpoint: &str) -> Device {
        todo!()
    }

    /// The registration of an endpoint.
    pub async fn registration(&self, _endpoint: &str) -> Option<Registration> {
        todo!()
    }

    /// Registrations in the order of their endpoint names.
    pub async fn registrations(&self, _filter: ClientFilter) -> Vec<Registration> {
        todo!()
    }

    /// Ends a registration without telling the device; false when there is none.
    ///
    /// Its observations end with it, and requests that wait fail with
    /// [`RequestError::RegistrationEnded`](crate::RequestError). The next Update of the device is
    /// answered 4.04, so that it registers anew.
    pub async fn forget(&self, _endpoint: &str) -> bool {
        todo!()
    }

    /// Subscribes to everything that happens from now on.
    pub fn events(&self) -> Events {
        todo!()
    }

    /// The object models in service.
    pub fn models(&self) -> &dyn lwm2m_core::ObjectModels {
        todo!()
    }

    /// Counters since the start.
    pub fn statistics(&self) -> Statistics {
        todo!()
    }

    /// Stops taking datagrams, ends what is outstanding, and waits for the shards.
    pub async fn shutdown(self) {
        todo!()
    }
}

/// Which registrations are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientFilter {
    /// Only endpoints behind this one, for paging.
    pub after: Option<String>,
    /// At most this many; none for 1000.
    pub limit: Option<usize>,
    /// Only endpoints that contain this text.
    pub contains: Option<String>,
}

/// Counters since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Registrations now.
    pub registrations: u64,
    /// Register requests that were accepted.
    pub registered: u64,
    /// Updates that were accepted.
    pub updated: u64,
    /// Register, Update, De-register and Send requests that were refused.
    pub refused: u64,
    /// Notifications that were decoded.
    pub notifications: u64,
    /// Events that slow subscribers lost.
    pub events_dropped: u64,
    /// The CoAP engines of all shards together.
    pub coap: lwm2m_coap::Statistics,
}
