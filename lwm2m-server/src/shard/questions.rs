//! Questions to extensions that answer later: the loop waits for them beside its own work.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use super::hook;
use super::lines::{Ticket, Waiting};
use crate::hooks::{Decision, Outcome};
use crate::mailbox::Command;

/// A question to an extension, for the loop to wait for.
pub(crate) struct Question {
    ticket: Ticket,
    asks: Asks,
    waiting: Waiting,
}

/// An answer that comes.
pub(crate) type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Asks {
    Decision(Later<Decision>),
    Outcome(Later<Outcome>),
}

impl Question {
    pub(super) fn decision(ticket: Ticket, answer: Later<Decision>, waiting: Waiting) -> Question {
        Question {
            ticket,
            asks: Asks::Decision(answer),
            waiting,
        }
    }

    pub(super) fn outcome(ticket: Ticket, answer: Later<Outcome>, waiting: Waiting) -> Question {
        Question {
            ticket,
            asks: Asks::Outcome(answer),
            waiting,
        }
    }

    /// Waits for the answer; none when nobody does any more.
    pub(crate) async fn run(self) -> Option<Command> {
        let Question {
            ticket,
            asks,
            waiting,
        } = self;
        let answered = async {
            match asks {
                Asks::Decision(answer) => Command::Decided {
                    ticket,
                    decision: guarded(answer).await,
                },
                Asks::Outcome(answer) => Command::Transformed {
                    ticket,
                    outcome: guarded(answer).await,
                },
            }
        };
        tokio::select! {
            biased;
            _ = waiting => None,
            command = answered => Some(command),
        }
    }
}

/// Waits for an extension; none when it panics.
pub(crate) async fn guarded<T>(mut answer: Later<T>) -> Option<T> {
    std::future::poll_fn(|cx| match hook(|| answer.as_mut().poll(cx)) {
        None => Poll::Ready(None),
        Some(polled) => polled.map(Some),
    })
    .await
}
