//! What a shard counts. Plain numbers on the shard, published after each batch.

use std::sync::atomic::{AtomicU64, Ordering};

use lwm2m_coap::Statistics as CoapStatistics;

use crate::Statistics;

/// The counters of one shard.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counters {
    pub(crate) registered: u64,
    pub(crate) updated: u64,
    pub(crate) deregistered: u64,
    pub(crate) expired: u64,
    pub(crate) refused: u64,
    pub(crate) notifications: u64,
    pub(crate) sends: u64,
    pub(crate) relayed: u64,
    pub(crate) relays_dropped: u64,
    pub(crate) refusals_dropped: u64,
    pub(crate) values_dropped: u64,
}

/// The counters as other threads see them.
#[derive(Debug, Default)]
pub(crate) struct Published([AtomicU64; 18]);

impl Published {
    /// Shows the counters of now. Called by the shard only.
    pub(crate) fn publish(&self, counters: &Counters, coap: &CoapStatistics, send_calls: u64) {
        let numbers = [
            counters.registered,
            counters.updated,
            counters.deregistered,
            counters.expired,
            counters.refused,
            counters.notifications,
            counters.sends,
            counters.relayed,
            counters.relays_dropped,
            counters.refusals_dropped,
            counters.values_dropped,
            coap.received,
            coap.sent,
            coap.retransmitted,
            coap.duplicates,
            coap.malformed,
            coap.refused,
            send_calls,
        ];
        for (shown, number) in self.0.iter().zip(numbers) {
            shown.store(number, Ordering::Relaxed);
        }
    }

    /// Adds them to a sum.
    pub(crate) fn add_to(&self, sum: &mut Statistics) {
        let coap = &mut sum.coap;
        let places = [
            &mut sum.registered,
            &mut sum.updated,
            &mut sum.deregistered,
            &mut sum.expired,
            &mut sum.refused,
            &mut sum.notifications,
            &mut sum.sends,
            &mut sum.relayed,
            &mut sum.relays_dropped,
            &mut sum.refusals_dropped,
            &mut sum.values_dropped,
            &mut coap.received,
            &mut coap.sent,
            &mut coap.retransmitted,
            &mut coap.duplicates,
            &mut coap.malformed,
            &mut coap.refused,
            &mut sum.send_calls,
        ];
        for (place, shown) in places.into_iter().zip(&self.0) {
            *place += shown.load(Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_adds_up() {
        let counters = Counters {
            registered: 1,
            refusals_dropped: 2,
            ..Counters::default()
        };
        let coap = CoapStatistics {
            received: 3,
            refused: 4,
            ..CoapStatistics::default()
        };
        let published = Published::default();
        published.publish(&counters, &coap, 5);
        let mut sum = Statistics::default();
        published.add_to(&mut sum);
        published.add_to(&mut sum);
        assert_eq!((sum.registered, sum.refusals_dropped), (2, 4));
        assert_eq!((sum.coap.received, sum.coap.refused), (6, 8));
        assert_eq!(sum.send_calls, 10);
    }
}
