//! Datagrams that wait to leave, and the system call that sends several of them.

use std::io;

use lwm2m_coap::Transmit;

use super::{Peer, Sent};

/// Datagrams that one system call sends at most.
pub(super) const TOGETHER_MAX: usize = 32;

/// Datagrams in their order, no more than one system call can send.
#[derive(Debug, Default)]
pub(crate) struct Outgoing(Vec<Transmit<Peer>>);

impl Outgoing {
    /// Takes datagrams until it is full; false when there were none.
    pub(crate) fn fill(&mut self, next: impl FnMut() -> Option<Transmit<Peer>>) -> bool {
        let room = TOGETHER_MAX - self.0.len();
        self.0.extend(std::iter::from_fn(next).take(room));
        !self.0.is_empty()
    }

    /// The datagram that leaves next.
    pub(crate) fn first(&self) -> Option<&Transmit<Peer>> {
        self.0.first()
    }

    /// Hands runs of datagrams that leave the same way to `send`, which answers how many of them
    /// left. After fewer than all, the first of the rest is tried again and shows why.
    pub(super) fn drain(
        &mut self,
        mut send: impl FnMut(&[Transmit<Peer>]) -> io::Result<usize>,
    ) -> Sent {
        let mut left = 0;
        let sent = loop {
            let Some(first) = self.0.get(left) else {
                break Sent::Done;
            };
            let run = self.0[left..].iter().take_while(|transmit| {
                (transmit.peer.listener, transmit.peer.local())
                    == (first.peer.listener, first.peer.local())
            });
            let run = run.count();
            match send(&self.0[left..left + run]) {
                // Nothing sent and no reason given: the datagram is not tried for ever.
                Ok(count) => left += count.clamp(1, run),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Sent::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::debug!(peer = %first.peer.address(), %error, "send failed");
                    left += 1;
                }
            }
        };
        self.0.drain(..left);
        sent
    }
}

/// Sends datagrams of one way with one system call; answers how many left. The system chooses the
/// address that they come from.
#[cfg(target_os = "linux")]
pub(super) fn send_together(
    socket: &tokio::net::UdpSocket,
    is_ipv6: bool,
    run: &[Transmit<Peer>],
) -> io::Result<usize> {
    use std::array::from_fn;
    use std::io::IoSlice;

    use rustix::net::addr::SocketAddrArg;
    use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny};

    let Some(last) = run.last() else {
        return Ok(0);
    };
    // The arrays are on the stack: what is beyond the run repeats the last one and is not sent.
    let at = |index: usize| run.get(index).unwrap_or(last);
    let addresses: [SocketAddrAny; TOGETHER_MAX] =
        from_fn(|index| at(index).peer.destination(is_ipv6).as_any());
    let slices: [_; TOGETHER_MAX] = from_fn(|index| [IoSlice::new(&at(index).datagram)]);
    let mut controls: [_; TOGETHER_MAX] = from_fn(|_| SendAncillaryBuffer::default());
    let mut controls = controls.iter_mut();
    let mut messages: [_; TOGETHER_MAX] = from_fn(|index| {
        let control = controls
            .next()
            .expect("invariant: the arrays are equally long");
        MMsgHdr::new_with_addr(&addresses[index], &slices[index], control)
    });
    let count = run.len().min(TOGETHER_MAX);
    let sent = rustix::net::sendmmsg(socket, &mut messages[..count], SendFlags::empty())?;
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transmit(number: u16, listener: u8, local: u8) -> Transmit<Peer> {
        let address = ([127, 0, 0, 1], 5683).into();
        Transmit {
            peer: Peer::new(listener, address, local),
            datagram: number.to_be_bytes().to_vec().into(),
        }
    }

    fn numbers(run: &[Transmit<Peer>]) -> Vec<u16> {
        let number = |transmit: &Transmit<Peer>| {
            let bytes = transmit.datagram[..].try_into().expect("two bytes");
            u16::from_be_bytes(bytes)
        };
        run.iter().map(number).collect()
    }

    fn filled(ways: &[(u8, u8)]) -> Outgoing {
        let mut outgoing = Outgoing::default();
        let mut numbered = (0u16..).zip(ways);
        outgoing.fill(|| {
            let (number, (listener, local)) = numbered.next()?;
            Some(transmit(number, *listener, *local))
        });
        outgoing
    }

    #[test]
    fn takes_no_more_than_one_call_sends() {
        let mut outgoing = Outgoing::default();
        let mut taken = 0;
        let mut next = || {
            taken += 1;
            Some(transmit(0, 0, 0))
        };
        assert!(outgoing.fill(&mut next));
        assert!(outgoing.fill(&mut next));
        assert_eq!((outgoing.0.len(), taken), (TOGETHER_MAX, TOGETHER_MAX));
        assert!(!Outgoing::default().fill(|| None));
    }

    #[test]
    fn what_leaves_the_same_way_leaves_together() {
        let mut outgoing = filled(&[(0, 0), (0, 0), (1, 0), (1, 2), (1, 2), (0, 0)]);
        let mut runs = Vec::new();
        let sent = outgoing.drain(|run| {
            runs.push(numbers(run));
            Ok(run.len())
        });
        assert_eq!(sent, Sent::Done);
        assert_eq!(runs, [vec![0, 1], vec![2], vec![3, 4], vec![5]]);
        assert!(outgoing.first().is_none());
    }

    #[test]
    fn a_full_socket_resumes_in_order() {
        let mut outgoing = filled(&[(0, 0); 5]);
        let mut answers = [Ok(2), Err(io::ErrorKind::WouldBlock.into())].into_iter();
        let sent = outgoing.drain(|_| answers.next().expect("two calls"));
        assert_eq!(sent, Sent::Blocked);
        assert_eq!(numbers(&outgoing.0), [2, 3, 4]);
        // What comes later queues behind.
        let mut more = [5, 6].into_iter();
        outgoing.fill(|| Some(transmit(more.next()?, 0, 0)));
        let mut left = Vec::new();
        let sent = outgoing.drain(|run| {
            left.extend(numbers(run));
            Ok(run.len())
        });
        assert_eq!((sent, left), (Sent::Done, vec![2, 3, 4, 5, 6]));
    }

    #[test]
    fn one_that_cannot_leave_holds_up_no_other() {
        let mut outgoing = filled(&[(0, 0); 4]);
        let mut runs = Vec::new();
        let sent = outgoing.drain(|run| {
            runs.push(numbers(run));
            match runs.len() {
                1 => Err(io::ErrorKind::Interrupted.into()),
                2 => Ok(1),
                3 => Err(io::ErrorKind::NetworkUnreachable.into()),
                4 => Ok(0),
                _ => Ok(run.len()),
            }
        });
        assert_eq!(sent, Sent::Done);
        let all = vec![0, 1, 2, 3];
        assert_eq!(runs, [all.clone(), all, vec![1, 2, 3], vec![2, 3], vec![3]]);
        assert!(outgoing.first().is_none());
    }
}
