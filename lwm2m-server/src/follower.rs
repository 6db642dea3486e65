//! The reports of one observation, for the one who asked for it: a bounded queue of its own.

use std::sync::Arc;

use lwm2m_core::codec::Decoded;
use tokio::sync::broadcast;

use crate::Reason;

/// What came of an observation.
#[derive(Debug, Clone)]
pub(crate) enum Reported {
    /// Values, the first ones included.
    Values(Arc<Decoded<'static>>),
    /// A notification that could not be decoded.
    Undecodable(Reason),
    /// It has ended; nothing follows.
    Ended(Reason),
}

/// The end that the shard holds.
#[derive(Debug, Clone)]
pub(crate) struct Follower(broadcast::Sender<Reported>);

/// The end that the caller reads; what does not fit pushes out the oldest.
pub(crate) type Followed = broadcast::Receiver<Reported>;

impl Follower {
    /// A queue of at most `max` reports.
    pub(crate) fn new(max: usize) -> (Follower, Followed) {
        let (sender, receiver) = broadcast::channel(max.max(1));
        (Follower(sender), receiver)
    }

    /// True while somebody reads.
    pub(crate) fn is_followed(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Leaves a report; false when nobody reads any more.
    pub(crate) fn tell(&self, reported: Reported) -> bool {
        self.0.send(reported).is_ok()
    }
}

impl PartialEq for Follower {
    fn eq(&self, other: &Follower) -> bool {
        self.0.same_channel(&other.0)
    }
}
