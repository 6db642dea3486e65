//! What a fleet has done so far.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that all devices of a fleet share.
#[derive(Debug, Default)]
pub struct FleetCounters {
    registered: AtomicU64,
    registrations: AtomicU64,
    updates: AtomicU64,
    notifications: AtomicU64,
    requests: AtomicU64,
    errors: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FleetStatus {
    /// Devices that are registered now.
    pub registered: u64,
    /// Registers that were accepted.
    pub registrations: u64,
    /// Updates that were accepted.
    pub updates: u64,
    /// Notifications that went out.
    pub notifications: u64,
    /// Requests of the server that were answered.
    pub requests: u64,
    /// Registers and Updates that failed.
    pub errors: u64,
}

impl FleetCounters {
    /// The counters now.
    pub fn status(&self) -> FleetStatus {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FleetStatus {
            registered: read(&self.registered),
            registrations: read(&self.registrations),
            updates: read(&self.updates),
            notifications: read(&self.notifications),
            requests: read(&self.requests),
            errors: read(&self.errors),
        }
    }

    /// A device came or went.
    pub(crate) fn device(&self, registered: bool) {
        if registered {
            self.registered.fetch_add(1, Ordering::Relaxed);
        } else {
            self.registered.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Adds what has happened; `registered` is not looked at.
    pub(crate) fn add(&self, more: &FleetStatus) {
        let add = |counter: &AtomicU64, more: u64| {
            if more > 0 {
                counter.fetch_add(more, Ordering::Relaxed);
            }
        };
        add(&self.registrations, more.registrations);
        add(&self.updates, more.updates);
        add(&self.notifications, more.notifications);
        add(&self.requests, more.requests);
        add(&self.errors, more.errors);
    }
}
