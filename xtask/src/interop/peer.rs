//! A peer as a process: says facts on its output, takes commands on its input.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

/// A running peer; stopped when dropped.
pub(crate) struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    facts: Receiver<String>,
}

impl Peer {
    /// Starts a program.
    pub(crate) fn start(mut command: Command) -> anyhow::Result<Peer> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let input = child.stdin.take();
        let output = child.stdout.take().context("the peer has no output")?;
        let (sender, facts) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Peer {
            child,
            input,
            facts,
        })
    }

    /// Gives it a command.
    pub(crate) fn tell(&mut self, command: &str) -> anyhow::Result<()> {
        let input = self.input.as_mut().context("the peer takes no commands")?;
        writeln!(input, "{command}").context("the peer has ended")
    }

    /// Waits for the next answer, as a command of the CLI prints it with `--json`.
    pub(crate) fn answer(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.hear("{")?)?)
    }

    /// True when it says nothing for a moment.
    pub(crate) fn is_silent(&self, moment: Duration) -> bool {
        self.facts.recv_timeout(moment).is_err()
    }

    /// Waits for a fact that starts with these words; facts before it are passed over.
    pub(crate) fn hear(&self, words: &str) -> anyhow::Result<String> {
        self.hear_either(&[words])
    }

    /// Waits for a fact that starts with one of these words; facts before it are passed over.
    pub(crate) fn hear_either(&self, words: &[&str]) -> anyhow::Result<String> {
        let mut before = Vec::new();
        loop {
            let fact = self
                .facts
                .recv_timeout(Duration::from_secs(60))
                .with_context(|| format!("the peer never said {words:?}, only {before:?}"))?;
            if words.iter().any(|words| fact.starts_with(words)) {
                return Ok(fact);
            }
            before.push(fact);
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of the loopback that is free now, for UDP and for TCP: some peers listen on both.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    loop {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        let address = socket.local_addr()?;
        if std::net::TcpListener::bind(address).is_ok() {
            return Ok(address.port());
        }
    }
}

/// The first of some ports in a row that are free.
pub(crate) fn free_ports(count: u16) -> anyhow::Result<u16> {
    loop {
        let first = free_port()?;
        let Some(end) = first.checked_add(count) else {
            continue;
        };
        if (first..end).all(|port| std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok()) {
            return Ok(first);
        }
    }
}

/// True when some program listens on this UDP port.
pub(crate) fn listens(port: u16) -> bool {
    let wanted = format!(":{port:04X}");
    ["/proc/net/udp", "/proc/net/udp6"].iter().any(|table| {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        let mut lines = table.lines().skip(1);
        lines.any(|line| {
            let local = line.split_whitespace().nth(1);
            local.is_some_and(|local| local.ends_with(&wanted))
        })
    })
}
