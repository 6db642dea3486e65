//! A server of others as a process.

use std::process::Command;

use anyhow::Context;

use super::super::peer::listens;
use super::super::server::wait_for;
use super::exchange::Exchange;
use super::ours::Ours;

/// What is said in each session; a line, since some programs read lines.
const QUESTION: &[u8] = b"is anybody there\n";
/// What is said from the server's terminal.
const ANSWER: &[u8] = b"somebody is here\n";
/// GET of / (RFC 7252), and the beginning of a 2.05 to it.
const GET: &[u8] = b"\x44\x01\x00\x01tokn";
const CONTENT: &[u8] = b"\x64\x45\x00\x01tokn";

/// How a server talks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Talk {
    /// It sends back what it hears.
    Echo,
    /// What it hears comes out of it, and what goes into it is sent.
    Terminal,
    /// It answers CoAP requests.
    Coap,
}

/// A running server; stopped when dropped.
pub(super) struct Running {
    pub(super) port: u16,
    exchange: Exchange,
    talk: Talk,
}

impl Running {
    /// Starts it and waits until it listens.
    pub(super) fn start(command: Command, port: u16, talk: Talk) -> anyhow::Result<Running> {
        let mut running = Running {
            port,
            exchange: Exchange::start(command, b"")?,
            talk,
        };
        wait_for("the server to listen", || Ok(listens(port)))
            .with_context(|| running.exchange.said())?;
        Ok(running)
    }

    /// Data goes both ways.
    pub(super) fn talk(&mut self, ours: &mut Ours) -> anyhow::Result<()> {
        match self.talk {
            Talk::Echo => {
                ours.send(QUESTION)?;
                ours.hear(QUESTION)
            }
            Talk::Terminal => {
                ours.send(QUESTION)?;
                self.exchange.hear(QUESTION)?;
                self.exchange.send(ANSWER)?;
                ours.hear(ANSWER)
            }
            Talk::Coap => {
                ours.send(GET)?;
                ours.hear(CONTENT)
            }
        }
    }

    /// All that it said so far, as text.
    pub(super) fn said(&mut self) -> String {
        self.exchange.said()
    }
}
