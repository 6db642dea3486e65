//! How a shard is spoken to: commands of applications, and relays of other shards.
//!
//! Both are bounded. A full mailbox refuses commands ([`RequestError::Overloaded`]); a relayed
//! datagram that finds no room is lost like any other datagram, and what must not be lost waits
//! with its sender.

use std::sync::Arc;

use bytes::Bytes;
use lwm2m_core::Request;
use tokio::sync::{mpsc, oneshot};

use crate::credentials::CredentialRevision;
use crate::hooks::{Decision, Outcome};
use crate::identity::Authenticated;
use crate::keys::KeyMaterial;
use crate::registration::Location;
use crate::shard::bootstrapping::FoundPlan;
use crate::shard::connections::Link;
use crate::shard::lines::Ticket;
use crate::shard::secure::FoundCredentials;
use crate::transport::{Local, Peer};
use crate::{
    CancelMode, ObservationId, ObservationInfo, ObservationTarget, Registration, RequestError,
    RequestOptions, Response,
};

/// Who cancels an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Canceller {
    Application,
    /// The plan of the device does not have it any more.
    Plan,
    /// Another observation of the same takes its place.
    Successor,
}

/// The observations of a device.
#[derive(Debug)]
pub(crate) struct Observed {
    /// The oldest first.
    pub(crate) standing: Vec<ObservationInfo>,
    /// Those of its plan that an application has cancelled.
    pub(crate) withdrawn: Vec<ObservationTarget>,
}

/// What an application asks of a shard.
#[derive(Debug)]
pub(crate) enum Command {
    /// An operation on a device.
    Operation {
        device: Location,
        request: Request,
        options: RequestOptions,
        answer: oneshot::Sender<Result<Response, RequestError>>,
    },
    /// The end of an observation.
    Cancel {
        device: Location,
        observation: ObservationId,
        mode: CancelMode,
        by: Canceller,
        answer: oneshot::Sender<Result<(), RequestError>>,
    },
    /// The observations of a device.
    Observations {
        device: Location,
        answer: oneshot::Sender<Result<Observed, RequestError>>,
    },
    /// What was cancelled by hand of its plan is the plan's again.
    Restore { device: Location },
    /// Registrations as they are now; those that have ended are left out.
    Snapshots {
        devices: Vec<Location>,
        answer: oneshot::Sender<Vec<Registration>>,
    },
    /// The credentials that a handshake or a session has asked for.
    Found(FoundCredentials),
    /// What a bootstrap session has asked for.
    PlanFound(FoundPlan),
    /// Credentials have changed.
    Revise(Arc<CredentialRevision>),
    /// The keys were exchanged, and these have revocation lists.
    RevokeCertificates(Arc<KeyMaterial>),
    /// What an interceptor says of a Register or Update; none when it panicked.
    Decided {
        ticket: Ticket,
        decision: Option<Decision>,
    },
    /// What an interceptor makes of values; none when it panicked.
    Transformed {
        ticket: Ticket,
        outcome: Option<Outcome>,
    },
    /// The end of a registration, without a word to the device.
    Forget {
        device: Location,
        answer: oneshot::Sender<Result<(), RequestError>>,
    },
}

/// What one shard tells another.
#[derive(Debug)]
pub(crate) enum Relay {
    /// A datagram of a peer whose registration lives with the receiver.
    Datagram {
        /// Who passes it on.
        from: u16,
        peer: Peer,
        /// Our address that the peer spoke to.
        local: Option<Local>,
        datagram: Bytes,
    },
    /// A message from a connection that the sender reads, for a device of the receiver.
    Frame {
        /// Who passes it on.
        from: u16,
        peer: Peer,
        link: Box<Link>,
        frame: Bytes,
    },
    /// A message out of a session that the sender has, for a registration of the receiver.
    Message {
        /// Who passes it on.
        from: u16,
        peer: Peer,
        authenticated: Option<Arc<Authenticated>>,
        message: Bytes,
    },
    /// A message to the peer of a session that the receiver has.
    Protect { peer: Peer, message: Bytes },
    /// The peer of a session that the receiver has answered.
    Confirmed(Peer),
    /// A session that messages were passed on from has been replaced by one of the same device.
    Succeeded {
        older: Peer,
        younger: Peer,
        authenticated: Arc<Authenticated>,
    },
    /// A connection or session has ended that messages were passed on from.
    Disconnected(Peer),
    /// A peer whose datagram was passed on has been taken in: pass on the following ones, too.
    Route {
        /// The owner.
        from: u16,
        peer: Peer,
        /// Our address that the peer spoke to.
        local: Option<Local>,
    },
    /// A registration of the receiver has been replaced.
    Replaced(Location),
    /// A device has begun to bootstrap anew: its session of this number is over.
    BootstrapReplaced(u64),
}

/// The sending ends of one shard's mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    pub(crate) commands: mpsc::Sender<Command>,
}

impl Mailbox {
    /// Leaves a command.
    pub(crate) fn leave(&self, command: Command) -> Result<(), RequestError> {
        self.commands
            .try_send(command)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => RequestError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => RequestError::ShuttingDown,
            })
    }
}

impl Mailbox {
    /// Waits for the answer to a command that was left; none when the shard has ended.
    ///
    /// A command that comes in at the moment at which the shard ends stays in the channel, with the
    /// sender of its answer, for as long as anybody holds a mailbox: the answer alone would not tell.
    pub(crate) async fn answered<T>(&self, mut answer: oneshot::Receiver<T>) -> Option<T> {
        tokio::select! {
            biased;
            answer = &mut answer => answer.ok(),
            () = self.commands.closed() => answer.try_recv().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_never_comes_ends_with_the_shard() {
        let (commands, mut inbox) = mpsc::channel(1);
        let mailbox = Mailbox { commands };
        let (given, answer) = oneshot::channel();
        given.send(1).expect("somebody waits");
        assert_eq!(mailbox.answered(answer).await, Some(1));
        let (_stuck, answer) = oneshot::channel::<u8>();
        inbox.close();
        assert_eq!(mailbox.answered(answer).await, None);
    }

    #[test]
    fn one_more_than_the_limit_is_refused() {
        let (commands, inbox) = mpsc::channel(2);
        let mailbox = Mailbox { commands };
        let snapshots = || Command::Snapshots {
            devices: Vec::new(),
            answer: oneshot::channel().0,
        };
        assert_eq!(mailbox.leave(snapshots()), Ok(()));
        assert_eq!(mailbox.leave(snapshots()), Ok(()));
        assert_eq!(mailbox.leave(snapshots()), Err(RequestError::Overloaded));
        drop(inbox);
        assert_eq!(mailbox.leave(snapshots()), Err(RequestError::ShuttingDown));
    }
}
