//! One end of a connection against a peer that sends what it likes, when it likes: CSM, signals,
//! messages, silence. How the stream is cut makes no difference, and nothing is taken before a CSM.

#![no_main]

use std::time::{Duration, Instant};

use lwm2m_coap::tcp::{Connection, ConnectionEnd, ConnectionLimits, Incoming, parse_frame};
use lwm2m_fuzz::steps::Steps;

/// Small, so that the limit is reached.
const MESSAGE_MAX: usize = 1152;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut steps = Steps::new(data);
    let piece = steps.below(64) + 1;
    let start = Instant::now();
    let mut now = start;
    let mut ends = [End::new(start), End::new(start)];
    while !steps.is_empty() {
        if steps.below(8) == 0 {
            // Seconds, up to some multiples of each limit.
            now += Duration::from_secs(u64::from(steps.byte()) * 16);
            ends.iter_mut().for_each(|end| end.time(now));
        } else {
            let bytes = steps.bytes();
            let [whole, pieces] = &mut ends;
            whole.take(now, bytes);
            bytes
                .chunks(piece)
                .for_each(|bytes| pieces.take(now, bytes));
        }
        let [whole, pieces] = &mut ends;
        assert_eq!(whole.seen, pieces.seen);
        assert_eq!(whole.over, pieces.over);
        assert_eq!(whole.sent, pieces.sent);
    }
});

/// One end, and what has come of the stream.
struct End {
    connection: Connection,
    seen: Vec<Seen>,
    sent: Vec<u8>,
    over: Option<ConnectionEnd>,
}

#[derive(Debug, PartialEq)]
enum Seen {
    Capabilities,
    Message(Vec<u8>),
}

impl End {
    fn new(now: Instant) -> End {
        let mut limits = ConnectionLimits::default();
        limits.message_max = MESSAGE_MAX;
        let mut end = End {
            connection: Connection::new(now, limits),
            seen: Vec::new(),
            sent: Vec::new(),
            over: None,
        };
        end.send();
        end
    }

    fn take(&mut self, now: Instant, mut bytes: &[u8]) {
        while self.over.is_none() {
            let before = bytes.len();
            match self.connection.receive(now, &mut bytes) {
                Ok(Incoming::More) => break,
                Ok(Incoming::Signal) => {}
                Ok(Incoming::Capabilities(_)) => self.seen.push(Seen::Capabilities),
                Ok(Incoming::Message(frame)) => {
                    assert!(frame.len() <= MESSAGE_MAX, "{}", frame.len());
                    let message = parse_frame(frame).expect("it was read");
                    assert!(!message.code().is_signaling());
                    self.seen.push(Seen::Message(frame.to_vec()));
                    assert_eq!(
                        self.seen.first(),
                        Some(&Seen::Capabilities),
                        "first the CSM"
                    );
                }
                Err(end) => self.over = Some(end),
            }
            assert!(bytes.len() <= before);
        }
        assert!(self.over.is_some() || bytes.is_empty());
        self.send();
    }

    fn time(&mut self, now: Instant) {
        if self.over.is_none()
            && let Err(end) = self.connection.handle_timeout(now)
        {
            self.over = Some(end);
        }
        assert!(self.over.is_some() || self.connection.poll_timeout() > now);
        self.send();
    }

    fn send(&mut self) {
        if let Some(bytes) = self.connection.poll_transmit() {
            self.sent.extend(bytes);
        }
        assert!(!self.connection.has_transmit());
    }
}
