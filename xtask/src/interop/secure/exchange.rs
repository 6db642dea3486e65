//! One CoAP request through a program that only knows DTLS or TLS: bytes in, bytes out.

use std::io::{ErrorKind, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::Context;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of output that an error shows.
const SAID_MAX: usize = 400;

/// A running program whose input and output are application data.
pub(super) struct Exchange {
    child: Child,
    output: Receiver<Vec<u8>>,
    heard: Vec<u8>,
}

impl Exchange {
    /// Starts it and gives it one message.
    pub(super) fn start(mut command: Command, message: &[u8]) -> anyhow::Result<Exchange> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let (sender, output) = channel();
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as _),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        for mut stream in streams.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    let _ = sender.send(buffer.get(..length).unwrap_or_default().to_vec());
                }
            });
        }
        let mut exchange = Exchange {
            child,
            output,
            heard: Vec::new(),
        };
        match exchange.send(message) {
            // It may have been refused and have ended by now; what came of it is seen at the server.
            Err(error) if is_broken_pipe(&error) => Ok(exchange),
            sent => sent.map(|()| exchange),
        }
    }

    /// One more message on the same session.
    pub(super) fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        let input = self.child.stdin.as_mut().context("no input")?;
        input.write_all(message).context("the program has ended")?;
        input.flush().context("the program has ended")
    }

    /// Waits until these bytes come.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = find(&self.heard, bytes) {
                self.heard.drain(..at + bytes.len());
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(more) => self.heard.extend(more),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        anyhow::bail!("no answer, only: {}", self.said())
    }

    /// Waits for as many bytes, and takes them.
    pub(super) fn take(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        while self.heard.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            let more = self.output.recv_timeout(left);
            self.heard.extend(more.context("no further bytes")?);
        }
        Ok(self.heard.drain(..count).collect())
    }

    /// True when these bytes came.
    pub(super) fn heard(&mut self, bytes: &[u8]) -> bool {
        self.heard.extend(self.output.try_iter().flatten());
        find(&self.heard, bytes).is_some()
    }

    /// The last that it said so far, as text.
    pub(super) fn said(&mut self) -> String {
        self.heard.extend(self.output.try_iter().flatten());
        let start = self.heard.len().saturating_sub(SAID_MAX);
        let last = self.heard.get(start..).unwrap_or_default();
        String::from_utf8_lossy(last).trim().to_owned()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Register of `endpoint`, without a line feed but at its end: some programs send lines.
pub(super) fn register(endpoint: &str, message_id: u16) -> Vec<u8> {
    let [high, low] = message_id.to_be_bytes();
    let mut bytes = vec![0x44, 0x02, high, low];
    bytes.extend(b"tokn\xb2rd\x11\x28");
    let mut delta = 3;
    for item in [
        format!("ep={endpoint}"),
        "lt=120".into(),
        "lwm2m=1.1".into(),
    ] {
        bytes.push(delta << 4 | item.len() as u8);
        bytes.extend(item.as_bytes());
        delta = 0;
    }
    bytes.extend(b"\xff</1/0>,</3/0>\n");
    bytes
}

/// The beginning of a 2.01 to [`register`].
pub(super) fn created(message_id: u16) -> Vec<u8> {
    let [high, low] = message_id.to_be_bytes();
    let mut bytes = vec![0x64, 0x41, high, low];
    bytes.extend(b"tokn");
    bytes
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
