//! One timer for each slot of the table.
//!
//! A wheel of buckets, each a linked list through the slots, so that arming and disarming cost no
//! allocation and a slot is in the wheel at most once. Lazy: a timer that is armed already stays
//! when the new time is later; when it fires, the owner looks what is really due and arms anew.

/// The timers of one shard. Times are milliseconds of the shard's clock.
#[derive(Debug)]
pub(crate) struct Wheel {
    heads: Box<[u32]>,
    occupied: Box<[u64]>,
    links: Vec<Link>,
    /// Every bucket before this tick has been run.
    tick: u64,
    armed: usize,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
    /// The tick that it is armed for, [`IDLE`] when it is not.
    tick: u64,
}

const NONE: u32 = u32::MAX;
const IDLE: u64 = u64::MAX;

impl Wheel {
    /// The length of a tick: a timer fires this much late at most.
    pub(crate) const TICK_MS: u64 = 64;
    const BUCKETS: u64 = 1 << 14;

    pub(crate) fn new() -> Wheel {
        Wheel {
            heads: vec![NONE; Wheel::BUCKETS as usize].into(),
            occupied: vec![0; Wheel::BUCKETS as usize / 64].into(),
            links: Vec::new(),
            tick: 0,
            armed: 0,
        }
    }

    /// Makes the timer of a slot fire at `due_ms` or before; far ones fire early, and ask again.
    pub(crate) fn arm(&mut self, slot: u32, due_ms: u64) {
        let last = self.tick + Wheel::BUCKETS - 1;
        let tick = due_ms.div_ceil(Wheel::TICK_MS).clamp(self.tick, last);
        let index = slot as usize;
        if index >= self.links.len() {
            let idle = Link {
                previous: NONE,
                next: NONE,
                tick: IDLE,
            };
            self.links.resize(index + 1, idle);
        }
        if self.links[index].tick <= tick {
            return;
        }
        self.disarm(slot);
        let bucket = (tick % Wheel::BUCKETS) as usize;
        let next = std::mem::replace(&mut self.heads[bucket], slot);
        if next != NONE {
            self.links[next as usize].previous = slot;
        }
        self.links[index] = Link {
            previous: NONE,
            next,
            tick,
        };
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
        self.armed += 1;
    }

    /// Takes the timer of a slot out.
    pub(crate) fn disarm(&mut self, slot: u32) {
        let Some(link) = self.links.get_mut(slot as usize) else {
            return;
        };
        if link.tick == IDLE {
            return;
        }
        let Link {
            previous,
            next,
            tick,
        } = std::mem::replace(
            link,
            Link {
                previous: NONE,
                next: NONE,
                tick: IDLE,
            },
        );
        let bucket = (tick % Wheel::BUCKETS) as usize;
        match previous {
            NONE => self.heads[bucket] = next,
            previous => self.links[previous as usize].next = next,
        }
        if next != NONE {
            self.links[next as usize].previous = previous;
        }
        if self.heads[bucket] == NONE {
            self.occupied[bucket / 64] &= !(1 << (bucket % 64));
        }
        self.armed -= 1;
    }

    /// When [`Wheel::fire`] has something to do.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        if self.armed == 0 {
            return None;
        }
        let words = self.occupied.len() as u64;
        let first = self.tick % Wheel::BUCKETS;
        // The word of the first bucket comes twice: its upper bits now, its lower ones at the end.
        (0..=words).find_map(|step| {
            let word = (first / 64 + step) % words;
            let mut bits = self.occupied[word as usize];
            if step == 0 {
                bits &= u64::MAX << (first % 64);
            }
            if bits == 0 {
                return None;
            }
            let bucket = word * 64 + u64::from(bits.trailing_zeros());
            let ahead = (bucket + Wheel::BUCKETS - first) % Wheel::BUCKETS;
            Some((self.tick + ahead) * Wheel::TICK_MS)
        })
    }

    /// The next slot whose timer has fired by `now_ms`; it is disarmed.
    pub(crate) fn fire(&mut self, now_ms: u64) -> Option<u32> {
        let Some(due) = self.next_ms().filter(|due| *due <= now_ms) else {
            // Nothing is armed before now, so the hand may jump there.
            self.tick = self.tick.max(now_ms / Wheel::TICK_MS);
            return None;
        };
        self.tick = due / Wheel::TICK_MS;
        let slot = self.heads[(self.tick % Wheel::BUCKETS) as usize];
        self.disarm(slot);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(wheel: &mut Wheel, now_ms: u64) -> Vec<u32> {
        let mut fired: Vec<u32> = std::iter::from_fn(|| wheel.fire(now_ms)).collect();
        fired.sort_unstable();
        fired
    }

    #[test]
    fn fires_at_its_time_and_once() {
        let mut wheel = Wheel::new();
        wheel.arm(5, 1000);
        wheel.arm(6, 1000);
        wheel.arm(7, 5000);
        assert_eq!(wheel.next_ms(), Some(1024));
        assert!(run(&mut wheel, 1023).is_empty());
        assert_eq!(run(&mut wheel, 1024), [5, 6]);
        assert!(run(&mut wheel, 1024).is_empty());
        assert_eq!(run(&mut wheel, 60_000), [7]);
        assert_eq!(wheel.next_ms(), None);
    }

    #[test]
    fn an_earlier_time_wins_and_a_later_one_waits_for_the_first() {
        let mut wheel = Wheel::new();
        wheel.arm(1, 10_000);
        wheel.arm(1, 640);
        wheel.arm(1, 20_000);
        assert_eq!(run(&mut wheel, 640), [1]);
        assert!(run(&mut wheel, 100_000).is_empty());
    }

    #[test]
    fn a_far_timer_fires_early_so_that_it_can_ask_again() {
        let mut wheel = Wheel::new();
        wheel.arm(1, u64::from(u32::MAX) * 1000);
        let horizon = (Wheel::BUCKETS - 1) * Wheel::TICK_MS;
        assert_eq!(wheel.next_ms(), Some(horizon));
        assert_eq!(run(&mut wheel, horizon), [1]);
        // The wheel has turned: buckets behind the hand belong to the next turn.
        wheel.arm(2, horizon + 640);
        wheel.arm(3, 2 * horizon);
        assert_eq!(run(&mut wheel, horizon + 704), [2]);
        assert_eq!(run(&mut wheel, 3 * horizon), [3]);
    }

    #[test]
    fn the_hand_keeps_up_while_nothing_is_armed() {
        let mut wheel = Wheel::new();
        let day = 86_400_000;
        assert!(run(&mut wheel, day).is_empty());
        wheel.arm(1, day + 300_000);
        assert!(run(&mut wheel, day + 299_000).is_empty());
        assert_eq!(run(&mut wheel, day + 300_064), [1]);
    }

    #[test]
    fn a_time_in_the_past_fires_at_once() {
        let mut wheel = Wheel::new();
        wheel.arm(1, 64_000);
        assert_eq!(run(&mut wheel, 64_000), [1]);
        wheel.arm(2, 10);
        assert_eq!(run(&mut wheel, 64_000), [2]);
    }

    #[test]
    fn slots_leave_from_the_middle_of_a_bucket() {
        let mut wheel = Wheel::new();
        for slot in 0..5 {
            wheel.arm(slot, 640);
        }
        for slot in [2, 4, 0, 9] {
            wheel.disarm(slot);
        }
        assert_eq!(run(&mut wheel, 640), [1, 3]);
    }
}
