//! The baseline: a process that receives a datagram and sends one, and does nothing else.
//!
//! As many threads as the server has shards, each with a socket of its own at the same address;
//! blocking, one system call for each direction. A request to a server and its answer cannot be
//! had for less without batching.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;

use socket2::{Domain, Protocol, Socket, Type};

use super::load::{Expect, Taken, Traffic};

/// The shortest message: it begins with the length of its answer.
const LENGTH: usize = 2;

/// How the echo runs.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Threads, each with a socket.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

/// Echoes until stdin ends. A datagram begins with the length of its answer, 0 for none.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    for _ in 0..arguments.threads.max(1) {
        let socket = bind(address)?;
        address = socket.local_addr()?;
        thread::spawn(move || echo(&socket));
    }
    let mut out = io::stdout().lock();
    writeln!(out, "coap://{address}")?;
    out.flush()?;
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(())
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn echo(socket: &UdpSocket) -> io::Result<()> {
    let mut buffer = [0; 2048];
    loop {
        let (_, peer) = socket.recv_from(&mut buffer)?;
        let answer = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
        if answer > 0 {
            socket.send_to(&buffer[..answer.min(buffer.len())], peer)?;
        }
    }
}

/// Messages of one size, answered by messages of another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EchoTraffic {
    /// Bytes of a message.
    pub(crate) message_bytes: usize,
    /// Bytes of its answer; 0 for none.
    pub(crate) answer_bytes: usize,
}

impl EchoTraffic {
    fn write(bytes: usize, answer_bytes: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&(answer_bytes as u16).to_be_bytes());
        out.resize(bytes.max(LENGTH), 0);
    }
}

impl Traffic for EchoTraffic {
    fn message(&mut self, _device: usize, _again: bool, out: &mut Vec<u8>) -> Expect {
        EchoTraffic::write(self.message_bytes, self.answer_bytes, out);
        if self.answer_bytes > 0 {
            Expect::Answer
        } else {
            Expect::Nothing
        }
    }

    fn sync(&mut self, _device: usize, out: &mut Vec<u8>) {
        EchoTraffic::write(4, 4, out);
    }

    fn take(&mut self, _device: usize, _datagram: &[u8], _reply: &mut Vec<u8>) -> Taken {
        Taken::Answered
    }
}
