//! The load generator: many devices behind a few sockets.
//!
//! A socket bound to the wildcard address sends from any address of 127.0.0.0/8, and learns to
//! which of them an answer came. So one socket carries a million devices, each with its own
//! source address, and no limit on open files is met.

use std::io::{ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lwm2m_coap::Code;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::net::UdpSocket;
use tokio::runtime::Runtime;

/// Datagrams without an answer for each message with one, which says that they were taken.
pub(crate) const UNANSWERED_RUN: usize = 16;
/// More addresses are not to be had in 127.16.0.0 to 127.255.255.255.
pub(crate) const DEVICES_MAX: u32 = 10_000_000;
const FIRST_ADDRESS: u32 = 0x7f10_0000;
const RETRY_AFTER: Duration = Duration::from_secs(2);
const TRANSMISSIONS_MAX: u8 = 4;
const DATAGRAM_MAX: usize = 2048;
const SOCKET_BUFFER: usize = 4 << 20;

/// What devices send, and what they make of what comes.
///
/// Devices are numbered from 0 within one generator.
pub(crate) trait Traffic {
    /// Writes a device's next message, or the last one once more.
    fn message(&mut self, device: usize, again: bool, out: &mut Vec<u8>) -> Expect;

    /// Writes a message that any server answers, after messages that it does not answer.
    fn sync(&mut self, device: usize, out: &mut Vec<u8>);

    /// Takes a datagram to a device, and may write a reply.
    fn take(&mut self, device: usize, datagram: &[u8], reply: &mut Vec<u8>) -> Taken;
}

/// What comes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// An answer; the message is repeated until it comes.
    Answer,
    /// Nothing.
    Nothing,
}

/// What a datagram was to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The answer to its message.
    Answered,
    /// An error as the answer to its message.
    Refused(Code),
    /// A request of the server; the reply was written.
    Served,
    /// Nothing of interest.
    Ignored,
}

/// What was sent and what came back.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// Messages of devices, not counting repetitions and [`Traffic::sync`].
    pub(crate) requests: u64,
    /// Repetitions.
    pub(crate) retries: u64,
    /// Messages that no answer came to.
    pub(crate) lost: u64,
    /// Messages that an error came to.
    pub(crate) refused: u64,
    /// The first of these errors.
    pub(crate) refusal: Option<Code>,
    /// Requests of the server that were answered.
    pub(crate) served: u64,
    /// Bytes of all messages to the server.
    pub(crate) sent_bytes: u64,
    /// Bytes of all messages from the server.
    pub(crate) received_bytes: u64,
    /// The time of the slowest generator.
    pub(crate) elapsed: Duration,
}

impl Outcome {
    /// Both together, as they ran at the same time.
    pub(crate) fn and(self, other: Outcome) -> Outcome {
        Outcome {
            requests: self.requests + other.requests,
            retries: self.retries + other.retries,
            lost: self.lost + other.lost,
            refused: self.refused + other.refused,
            refusal: self.refusal.or(other.refusal),
            served: self.served + other.served,
            sent_bytes: self.sent_bytes + other.sent_bytes,
            received_bytes: self.received_bytes + other.received_bytes,
            elapsed: self.elapsed.max(other.elapsed),
        }
    }
}

/// One socket and its devices; one thread drives it.
pub(crate) struct Generator {
    runtime: Runtime,
    socket: UdpSocket,
    state: UdpSocketState,
    /// The number of the first device among those of all generators.
    first: u32,
    awaiting: Vec<u8>,
    buffers: Vec<u8>,
    datagram: Vec<u8>,
    reply: Vec<u8>,
    /// What leaves at the end of a turn, all together: so the server meets the same bursts however
    /// long devices take to make them.
    outgoing: Vec<u8>,
    /// The device, and where its datagram ends.
    ends: Vec<(usize, usize)>,
}

impl Generator {
    /// Binds a socket for `count` devices from number `first` on.
    pub(crate) fn new(first: u32, count: u32) -> anyhow::Result<Generator> {
        ensure!(
            first + count <= DEVICES_MAX,
            "at most {DEVICES_MAX} devices"
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        state.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER)?;
        let socket = {
            let _guard = runtime.enter();
            UdpSocket::from_std(socket)?
        };
        Ok(Generator {
            runtime,
            socket,
            state,
            first,
            awaiting: vec![0; count as usize],
            buffers: vec![0; BATCH_SIZE * DATAGRAM_MAX],
            datagram: Vec::new(),
            reply: Vec::new(),
            outgoing: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// Lets every device send one message, with up to `in_flight` on their way at once.
    pub(crate) fn run(
        &mut self,
        server: SocketAddr,
        traffic: &mut impl Traffic,
        in_flight: usize,
    ) -> anyhow::Result<Outcome> {
        let start = Instant::now();
        let mut outcome = Outcome::default();
        let mut window = Window::default();
        let mut next = 0;
        self.awaiting.fill(0);
        while next < self.awaiting.len() || window.open > 0 {
            while next < self.awaiting.len() && window.has_room(in_flight) {
                self.send_next(traffic, next, &mut window, &mut outcome);
                next += 1;
            }
            self.flush(server)?;
            let wait = window.wait(Instant::now());
            self.receive(traffic, wait, &mut window, &mut outcome)?;
            self.repeat(traffic, &mut window, &mut outcome);
        }
        self.flush(server)?;
        outcome.elapsed = start.elapsed();
        Ok(outcome)
    }

    /// Answers the requests of the server until told to stop.
    pub(crate) fn serve(
        &mut self,
        server: SocketAddr,
        traffic: &mut impl Traffic,
        stop: &AtomicBool,
    ) -> anyhow::Result<Outcome> {
        let start = Instant::now();
        let mut outcome = Outcome::default();
        let mut window = Window::default();
        self.awaiting.fill(0);
        while !stop.load(Ordering::Acquire) {
            let wait = Duration::from_millis(20);
            self.receive(traffic, wait, &mut window, &mut outcome)?;
            self.flush(server)?;
        }
        outcome.elapsed = start.elapsed();
        Ok(outcome)
    }

    fn send_next(
        &mut self,
        traffic: &mut impl Traffic,
        device: usize,
        window: &mut Window,
        outcome: &mut Outcome,
    ) {
        self.datagram.clear();
        let expect = traffic.message(device, false, &mut self.datagram);
        outcome.requests += 1;
        outcome.sent_bytes += self.datagram.len() as u64;
        self.line_up(device);
        let last = device + 1 == self.awaiting.len();
        match expect {
            Expect::Answer => window.opened(device, false),
            Expect::Nothing if device % UNANSWERED_RUN == UNANSWERED_RUN - 1 || last => {
                self.datagram.clear();
                traffic.sync(device, &mut self.datagram);
                self.line_up(device);
                window.opened(device, true);
            }
            Expect::Nothing => return,
        }
        self.awaiting[device] = 1;
    }

    fn repeat(&mut self, traffic: &mut impl Traffic, window: &mut Window, outcome: &mut Outcome) {
        let now = Instant::now();
        while let Some((device, sync)) = window.due(now, &self.awaiting) {
            if self.awaiting[device] == TRANSMISSIONS_MAX {
                self.awaiting[device] = 0;
                window.closed();
                outcome.lost += u64::from(!sync);
                continue;
            }
            self.datagram.clear();
            if sync {
                traffic.sync(device, &mut self.datagram);
            } else {
                traffic.message(device, true, &mut self.datagram);
            }
            outcome.retries += 1;
            self.awaiting[device] += 1;
            window.reopened(device, sync);
            self.line_up(device);
        }
    }

    fn receive(
        &mut self,
        traffic: &mut impl Traffic,
        wait: Duration,
        window: &mut Window,
        outcome: &mut Outcome,
    ) -> anyhow::Result<()> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let count = {
            let mut buffers: Vec<_> = self
                .buffers
                .chunks_mut(DATAGRAM_MAX)
                .map(IoSliceMut::new)
                .collect();
            let received = self.runtime.block_on(async {
                let receiving = self.socket.async_io(tokio::io::Interest::READABLE, || {
                    let socket = UdpSockRef::from(&self.socket);
                    self.state.recv(socket, &mut buffers, &mut metas)
                });
                tokio::time::timeout(wait, receiving).await
            });
            match received {
                Ok(count) => count?,
                Err(_) => return Ok(()),
            }
        };
        for (slot, meta) in metas[..count].iter().enumerate() {
            ensure!(meta.len <= DATAGRAM_MAX, "datagrams came glued together");
            let Some(device) = self.device(meta) else {
                continue;
            };
            let start = slot * DATAGRAM_MAX;
            let datagram = &self.buffers[start..start + meta.len];
            outcome.received_bytes += meta.len as u64;
            self.reply.clear();
            let taken = traffic.take(device, datagram, &mut self.reply);
            if !self.reply.is_empty() {
                outcome.sent_bytes += self.reply.len() as u64;
                self.outgoing.extend_from_slice(&self.reply);
                self.ends.push((device, self.outgoing.len()));
            }
            match taken {
                Taken::Served => outcome.served += 1,
                Taken::Ignored => {}
                Taken::Answered | Taken::Refused(_) if self.awaiting[device] == 0 => {}
                Taken::Answered => {
                    self.awaiting[device] = 0;
                    window.closed();
                }
                Taken::Refused(code) => {
                    self.awaiting[device] = 0;
                    window.closed();
                    outcome.refused += 1;
                    outcome.refusal.get_or_insert(code);
                }
            }
        }
        Ok(())
    }

    fn line_up(&mut self, device: usize) {
        self.outgoing.extend_from_slice(&self.datagram);
        self.ends.push((device, self.outgoing.len()));
    }

    /// Sends what is lined up.
    fn flush(&mut self, server: SocketAddr) -> anyhow::Result<()> {
        let mut start = 0;
        for (device, end) in &self.ends {
            self.send(server, *device, &self.outgoing[start..*end])?;
            start = *end;
        }
        self.outgoing.clear();
        self.ends.clear();
        Ok(())
    }

    fn send(&self, server: SocketAddr, device: usize, datagram: &[u8]) -> anyhow::Result<()> {
        let transmit = Transmit {
            destination: server,
            ecn: None,
            contents: datagram,
            segment_size: None,
            src_ip: Some(IpAddr::V4(address(self.first + device as u32))),
        };
        // A datagram that does not fit now is one that was lost: it is sent again later.
        match self
            .state
            .try_send(UdpSockRef::from(&self.socket), &transmit)
        {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                Err(error).with_context(|| format!("sending to {server} as device {device}"))
            }
            _ => Ok(()),
        }
    }

    fn device(&self, meta: &RecvMeta) -> Option<usize> {
        let Some(IpAddr::V4(address)) = meta.dst_ip else {
            return None;
        };
        let number = u32::from(address).checked_sub(FIRST_ADDRESS + self.first)? as usize;
        (number < self.awaiting.len()).then_some(number)
    }
}

/// The address of a device.
pub(crate) fn address(device: u32) -> Ipv4Addr {
    Ipv4Addr::from(FIRST_ADDRESS + device)
}

/// Messages on their way.
#[derive(Debug, Default)]
struct Window {
    open: usize,
    /// That what is open stands for a run of messages without answer.
    runs: bool,
    sent: std::collections::VecDeque<(Instant, usize, bool)>,
}

impl Window {
    fn has_room(&self, in_flight: usize) -> bool {
        let limit = if self.runs {
            in_flight / UNANSWERED_RUN
        } else {
            in_flight
        };
        self.open < limit.max(1)
    }

    fn opened(&mut self, device: usize, sync: bool) {
        self.open += 1;
        self.runs = sync;
        self.reopened(device, sync);
    }

    fn reopened(&mut self, device: usize, sync: bool) {
        self.sent.push_back((Instant::now(), device, sync));
    }

    fn closed(&mut self) {
        self.open -= 1;
    }

    /// How long an answer may take until something is to be sent again.
    fn wait(&self, now: Instant) -> Duration {
        let oldest = self.sent.front().map_or(now, |(sent, ..)| *sent);
        (oldest + RETRY_AFTER).saturating_duration_since(now)
    }

    /// The next message that waited too long.
    fn due(&mut self, now: Instant, awaiting: &[u8]) -> Option<(usize, bool)> {
        while let Some(&(sent, device, sync)) = self.sent.front() {
            let open = awaiting[device] > 0;
            if open && now < sent + RETRY_AFTER {
                return None;
            }
            self.sent.pop_front();
            if open {
                return Some((device, sync));
            }
        }
        None
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")] // elsewhere loopback is one address
mod tests {
    use std::collections::HashSet;
    use std::net::UdpSocket;

    use super::*;
    use crate::storm::echo::EchoTraffic;

    /// Takes datagrams and answers them as the echo does, except the first, until an empty one comes;
    /// gives the sources.
    fn echo(socket: UdpSocket) -> Vec<SocketAddr> {
        let mut buffer = [0; 64];
        let mut sources = Vec::new();
        loop {
            let (length, peer) = socket.recv_from(&mut buffer).unwrap();
            if length == 0 {
                return sources;
            }
            let answer = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
            if answer > 0 && !sources.is_empty() {
                socket.send_to(&buffer[..answer], peer).unwrap();
            }
            sources.push(peer);
        }
    }

    fn stop(server: SocketAddr) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.send_to(&[], server).unwrap();
    }

    #[test]
    fn every_device_has_its_address_and_a_lost_message_is_sent_again() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = socket.local_addr().unwrap();
        let echo = std::thread::spawn(move || echo(socket));
        let mut traffic = EchoTraffic {
            message_bytes: 20,
            answer_bytes: 8,
        };
        let mut generator = Generator::new(300, 200).unwrap();
        let outcome = generator.run(server, &mut traffic, 16).unwrap();
        stop(server);
        let peers = echo.join().unwrap();
        // On a busy machine others may have seemed lost as well.
        let again = outcome.retries as usize;
        assert!(again >= 1 && peers.len() == 200 + again, "{outcome:?}");
        assert_eq!((outcome.requests, outcome.lost), (200, 0));
        assert_eq!(outcome.sent_bytes, 4000);
        let answers = 1600..=1600 + 8 * (outcome.retries - 1);
        assert!(answers.contains(&outcome.received_bytes), "{outcome:?}");
        let expected: HashSet<_> = (300..500).map(address).map(IpAddr::V4).collect();
        assert_eq!(
            peers.iter().map(SocketAddr::ip).collect::<HashSet<_>>(),
            expected
        );
    }

    #[test]
    fn messages_without_answer_are_followed_by_one_that_has_one() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = socket.local_addr().unwrap();
        let echo = std::thread::spawn(move || echo(socket));
        let mut traffic = EchoTraffic {
            message_bytes: 20,
            answer_bytes: 0,
        };
        let mut generator = Generator::new(0, 40).unwrap();
        let outcome = generator.run(server, &mut traffic, 32).unwrap();
        stop(server);
        assert_eq!((outcome.requests, outcome.lost), (40, 0));
        assert_eq!(outcome.sent_bytes, 800);
        // A sync after 16, after 32, and after the last; each again where a busy machine is late.
        let again = outcome.retries;
        let answers = 12..=12 + 4 * again;
        assert!(answers.contains(&outcome.received_bytes), "{outcome:?}");
        assert_eq!(echo.join().unwrap().len() as u64, 43 + again);
    }
}
