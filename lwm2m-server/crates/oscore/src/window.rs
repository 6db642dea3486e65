//! The replay window for requests (RFC 8613 §7.4), and which of their nonces have been used.

use crate::ReceivedRequests;

/// How many numbers the window holds.
const SIZE: u64 = 32;

/// Numbers up to `highest`: bit `i` stands for `highest - i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplayWindow {
    /// None before the first number.
    highest: Option<u64>,
    received: u32,
    /// Requests whose nonce a response has taken.
    answered: u32,
}

impl ReplayWindow {
    /// The window of a context that has received nothing.
    pub(crate) fn empty() -> ReplayWindow {
        ReplayWindow {
            highest: None,
            received: 0,
            answered: 0,
        }
    }

    /// The window of a context whose requests all have numbers below this one.
    pub(crate) fn below(number: u64) -> ReplayWindow {
        match number.checked_sub(1) {
            None => ReplayWindow::empty(),
            Some(highest) => ReplayWindow {
                highest: Some(highest),
                received: u32::MAX,
                answered: u32::MAX,
            },
        }
    }

    /// The window as it was; what came before it is not answered any more.
    pub(crate) fn restored(requests: ReceivedRequests) -> ReplayWindow {
        ReplayWindow {
            highest: Some(requests.highest),
            received: requests.numbers | 1,
            answered: requests.numbers | 1,
        }
    }

    /// What is remembered; none when there was no request.
    pub(crate) fn requests(&self) -> Option<ReceivedRequests> {
        let highest = self.highest?;
        let numbers = self.received;
        Some(ReceivedRequests { highest, numbers })
    }

    /// The window of a context that has proven one request fresh: nothing below it is taken.
    pub(crate) fn starting_at(number: u64) -> ReplayWindow {
        ReplayWindow {
            highest: Some(number),
            received: u32::MAX,
            answered: u32::MAX - 1,
        }
    }

    /// True for a number that has not been received and is not too old to tell.
    pub(crate) fn is_new(&self, number: u64) -> bool {
        match self.highest {
            Some(highest) if number <= highest => {
                bit(highest - number).is_some_and(|bit| self.received & bit == 0)
            }
            _ => true,
        }
    }

    /// Notes a number whose message proved authentic.
    pub(crate) fn accept(&mut self, number: u64) {
        let highest = self.highest.unwrap_or(number);
        if number >= highest {
            let by = number - highest;
            self.received = shifted(self.received, by);
            self.answered = shifted(self.answered, by);
            self.highest = Some(number);
        }
        let highest = highest.max(number);
        if let Some(bit) = bit(highest - number) {
            self.received |= bit;
        }
    }

    /// Takes the nonce of a request for its response; false when it is taken already, or cannot
    /// be told any more.
    pub(crate) fn claim_nonce(&mut self, number: u64) -> bool {
        let age = self.highest.and_then(|highest| highest.checked_sub(number));
        match age.and_then(bit) {
            Some(bit) if self.received & bit != 0 && self.answered & bit == 0 => {
                self.answered |= bit;
                true
            }
            _ => false,
        }
    }
}

fn bit(age: u64) -> Option<u32> {
    (age < SIZE).then(|| 1 << age)
}

fn shifted(bits: u32, by: u64) -> u32 {
    match by < SIZE {
        true => bits << by,
        false => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_each_number_once_within_32() {
        let mut window = ReplayWindow::empty();
        for number in [5, 3, 40, 9] {
            assert!(window.is_new(number), "{number}");
            window.accept(number);
            assert!(!window.is_new(number), "{number}");
        }
        assert!(!window.is_new(8), "40 - 32: too old to tell");
        assert!(window.is_new(10) && window.is_new(39) && window.is_new(41));
        window.accept(1 << 39);
        assert!(!window.is_new(40) && window.is_new((1 << 39) - 31));
    }

    #[test]
    fn a_proven_number_shuts_out_all_before() {
        let mut window = ReplayWindow::starting_at(20);
        assert!((0..=20).all(|number| !window.is_new(number)));
        assert!(window.is_new(21));
        assert!(window.claim_nonce(20) && !window.claim_nonce(20));
        assert!(!window.claim_nonce(19), "never received");
    }

    #[test]
    fn a_window_comes_back_as_it_was() {
        let mut window = ReplayWindow::empty();
        assert_eq!(window.requests(), None);
        window.accept(40);
        window.accept(37);
        let requests = window.requests().expect("two");
        assert_eq!((requests.highest, requests.numbers), (40, 0b1001));
        let mut window = ReplayWindow::restored(requests);
        assert!(!window.is_new(40) && !window.is_new(37) && !window.is_new(8));
        assert!(window.is_new(38) && window.is_new(9) && window.is_new(41));
        assert!(!window.claim_nonce(40), "answered before");
        window.accept(38);
        assert!(window.claim_nonce(38) && !window.claim_nonce(38));

        let window = ReplayWindow::below(100);
        assert!(!window.is_new(99) && !window.is_new(0) && window.is_new(100));
        assert_eq!(ReplayWindow::below(0), ReplayWindow::empty());
    }

    #[test]
    fn a_nonce_is_claimed_once_and_not_after_it_left_the_window() {
        let mut window = ReplayWindow::empty();
        assert!(!window.claim_nonce(0), "not received");
        window.accept(0);
        window.accept(1);
        assert!(window.claim_nonce(0) && !window.claim_nonce(0));
        assert!(!window.claim_nonce(2), "not received");
        window.accept(32);
        assert!(window.claim_nonce(1), "31 behind");
        window.accept(33);
        assert!(!window.claim_nonce(0) && !window.claim_nonce(1));
    }
}
