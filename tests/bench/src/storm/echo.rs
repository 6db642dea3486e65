//! The baseline: a process that receives a datagram and sends one, and does nothing else.
//!
//! One thread, blocking, one system call for each direction. A request to a server and its answer
//! cannot be had for less without batching.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use super::load::{Expect, Taken, Traffic};

/// The shortest message: it begins with the length of its answer.
const LENGTH: usize = 2;

/// Echoes until it is stopped. A datagram begins with the length of its answer, 0 for none.
pub(crate) fn run() -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut out = io::stdout().lock();
    writeln!(out, "coap://{}", socket.local_addr()?)?;
    out.flush()?;
    let mut buffer = [0; 2048];
    loop {
        let (_, peer): (usize, SocketAddr) = socket.recv_from(&mut buffer)?;
        let answer = u16::from_be_bytes([buffer[0], buffer[1]]);
        if answer > 0 {
            socket.send_to(&buffer[..usize::from(answer).min(buffer.len())], peer)?;
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
