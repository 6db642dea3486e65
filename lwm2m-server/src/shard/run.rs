//! The loop of a shard: an OS thread with a runtime of its own.
//!
//! Each turn takes one batch from each socket, some commands and some relays, runs the timers and
//! sends what came of it; so that neither a flood of datagrams nor one of commands starves the
//! other.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::Sleep;

use super::counters::Published;
use super::{Now, Shard};
use crate::mailbox::{Command, Relay};
use crate::transport::stream::StreamInput;
use crate::transport::{Batch, Outgoing, Peer, Sent, SessionTable, Transport};

/// What the loop of a shard works with.
pub(crate) struct Loop {
    pub(crate) shard: Shard,
    pub(crate) transport: Transport,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Where answers to questions of this shard come in.
    pub(crate) answers: mpsc::WeakSender<Command>,
    pub(crate) relays: mpsc::Receiver<Relay>,
    /// What the connections of this shard tell.
    pub(crate) streams: mpsc::Receiver<StreamInput>,
    pub(crate) sessions: Arc<SessionTable>,
    /// The other shards, this one included, by number.
    pub(crate) peers: Vec<mpsc::Sender<Relay>>,
    /// Changes, or closes, when the server stops.
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) published: Arc<Published>,
}

/// When a shard whose mailbox was full is told again.
const RELAY_RETRY: Duration = Duration::from_millis(5);

/// Commands and relays that one turn takes.
const INBOX_MAX: usize = 64;

impl Loop {
    /// Runs until the server stops.
    pub(crate) async fn run(mut self) {
        let mut batch = Batch::new();
        let mut inbox = Inbox::default();
        let mut outgoing = Outgoing::default();
        let mut stop = std::pin::pin!(stopped(self.stop.clone()));
        let mut alarm = std::pin::pin!(tokio::time::sleep_until(Instant::now().into()));
        let mut more = false;
        loop {
            let retry = self
                .shard
                .has_relays()
                .then(|| Instant::now() + RELAY_RETRY);
            let due = self.shard.poll_timeout().into_iter().chain(retry).min();
            let stalled = outgoing.first().map(|transmit| transmit.peer);
            let wait = Wait { due, more, stalled };
            let woken = std::future::poll_fn(|cx| {
                self.poll_work(cx, &mut inbox, stop.as_mut(), alarm.as_mut(), &wait)
            });
            if woken.await == Woken::Stop {
                break;
            }
            let now = now();
            self.shard.timers(now);
            self.shard.secure_work(now);
            for relay in inbox.relays.drain(..) {
                let relay = adopt(&mut self.transport, relay);
                self.shard.relay(now, relay);
            }
            if stalled.is_none() {
                let shard = &mut self.shard;
                more = self.transport.receive(&mut batch, |peer, datagram| {
                    shard.datagram(now, peer, datagram)
                });
            }
            for input in inbox.streams.drain(..) {
                self.shard.stream(now, input);
            }
            for command in inbox.commands.drain(..) {
                self.shard.command(now, command);
            }
            self.shard.ask_interceptors(now);
            self.search();
            self.search_plans();
            // First the other shards: they may have to know before the device answers.
            self.relay();
            self.send(now, &mut outgoing);
            // What is to go out through sessions of other shards.
            self.relay();
            while let Some(peer) = self
                .shard
                .poll_closing_if(|peer| peer.connection().is_some())
            {
                if let Some(connection) = peer.connection() {
                    self.sessions.end(connection);
                }
            }
            let (counters, coap) = self.shard.counters();
            let coap = lwm2m_coap::Statistics {
                refused: coap.refused + self.transport.refused(),
                ..*coap
            };
            let send_calls = self.transport.send_calls();
            self.published.publish(counters, &coap, send_calls);
        }
    }

    /// Ready when there is something to do.
    fn poll_work(
        &mut self,
        cx: &mut Context<'_>,
        inbox: &mut Inbox,
        stop: Pin<&mut impl Future<Output = ()>>,
        mut alarm: Pin<&mut Sleep>,
        wait: &Wait,
    ) -> Poll<Woken> {
        if stop.poll(cx).is_ready() {
            return Poll::Ready(Woken::Stop);
        }
        let mut ready = wait.more && wait.stalled.is_none();
        match wait.stalled {
            Some(peer) => ready |= self.transport.poll_writable(&peer, cx).is_ready(),
            None => ready |= self.transport.poll_readable(cx).is_ready(),
        }
        let commands = &mut inbox.commands;
        match self.commands.poll_recv_many(cx, commands, INBOX_MAX) {
            // Every handle to the server is gone.
            Poll::Ready(0) => return Poll::Ready(Woken::Stop),
            Poll::Ready(_) => ready = true,
            Poll::Pending => {}
        }
        let relays = &mut inbox.relays;
        ready |= self.relays.poll_recv_many(cx, relays, INBOX_MAX).is_ready();
        ready |= self.shard.poll_secure(cx);
        let streams = &mut inbox.streams;
        ready |= matches!(
            self.streams.poll_recv_many(cx, streams, INBOX_MAX),
            Poll::Ready(1..)
        );
        if let Some(due) = wait.due {
            // Moving the alarm costs more than an early look, so it only moves forward.
            if alarm.is_elapsed() || alarm.deadline() > due.into() {
                alarm.as_mut().reset(due.into());
            }
            ready |= alarm.as_mut().poll(cx).is_ready();
        }
        match ready {
            true => Poll::Ready(Woken::Work),
            false => Poll::Pending,
        }
    }

    /// Sends until nothing is left or a socket is full; what did not fit stays.
    fn send(&mut self, now: Now, outgoing: &mut Outgoing) {
        let mut next = || {
            loop {
                let transmit = self.shard.poll_transmit(now.instant)?;
                let Some(session) = transmit.peer.connection() else {
                    return Some(transmit);
                };
                self.sessions.send(session, transmit.datagram);
            }
        };
        while outgoing.fill(&mut next) {
            if self.transport.send(outgoing) == Sent::Blocked {
                return;
            }
        }
    }

    /// Waits for answers of the credential store and of interceptors beside the loop; each comes
    /// back as a command.
    fn search(&mut self) {
        while let Some(search) = self.shard.poll_search() {
            let answers = self.answers.clone();
            tokio::spawn(async move {
                let found = search.run().await;
                if let Some(answers) = answers.upgrade() {
                    // The server has stopped otherwise.
                    let _ = answers.send(Command::Found(found)).await;
                }
            });
        }
        while let Some(question) = self.shard.poll_question() {
            let answers = self.answers.clone();
            tokio::spawn(async move {
                if let Some(answer) = question.run().await
                    && let Some(answers) = answers.upgrade()
                {
                    let _ = answers.send(answer).await;
                }
            });
        }
    }

    /// Waits for answers of the bootstrap store in the same way.
    fn search_plans(&mut self) {
        while let Some(search) = self.shard.poll_bootstrap_search() {
            let answers = self.answers.clone();
            tokio::spawn(async move {
                let found = search.run().await;
                if let Some(answers) = answers.upgrade() {
                    // The server has stopped otherwise.
                    let _ = answers.send(Command::PlanFound(found)).await;
                }
            });
        }
    }

    /// Tells the other shards what concerns them.
    fn relay(&mut self) {
        while let Some((shard, mut relay)) = self.shard.poll_relay() {
            if let Relay::Datagram { peer, local, .. } | Relay::Route { peer, local, .. } =
                &mut relay
            {
                *local = self.transport.local_of(peer);
            }
            let Some(other) = self.peers.get(usize::from(shard)) else {
                continue;
            };
            if let Err(mpsc::error::TrySendError::Full(relay)) = other.try_send(relay) {
                let retry = matches!(
                    relay,
                    Relay::Replaced(_) | Relay::Disconnected(_) | Relay::BootstrapReplaced(_)
                );
                self.shard.keep_relay(shard, relay);
                if retry {
                    break;
                }
            }
        }
    }
}

#[derive(Default)]
struct Inbox {
    commands: Vec<Command>,
    relays: Vec<Relay>,
    streams: Vec<StreamInput>,
}

/// What a turn waits for.
struct Wait {
    due: Option<Instant>,
    /// The last batch was full.
    more: bool,
    /// Whose datagram waits for its socket; nothing is received meanwhile.
    stalled: Option<Peer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Woken {
    Work,
    Stop,
}

fn now() -> Now {
    Now {
        instant: Instant::now(),
        wall: SystemTime::now(),
    }
}

fn adopt(transport: &mut Transport, mut relay: Relay) -> Relay {
    if let Relay::Datagram { peer, local, .. } | Relay::Route { peer, local, .. } = &mut relay {
        *peer = transport.adopt(*peer, *local);
    }
    relay
}

/// Ends when the server is told to stop, or nobody is left who could tell.
async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
