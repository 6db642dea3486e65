//! One timer for each slot of the table.
//!
//! A wheel of buckets, each a linked list through the slots, so that arming and disarming cost no
//! allocation and a slot is in the wheel at most once. Lazy: a timer that is armed already stays
//! when the new time is later; when it fires, the owner looks what is really due and arms anew.

/// The timers of one shard. Times are milliseconds of the shard's clock.
#[derive(Debug)]
pub(crate) struct Wheel {
    heads: Box<[u32]>,
    occupied: Occupied,
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
            occupied: Occupied::new(),
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
        self.occupied.insert(bucket);
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
            self.occupied.remove(bucket);
        }
        self.armed -= 1;
    }

    /// When [`Wheel::fire`] has something to do.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        if self.armed == 0 {
            return None;
        }
        let hand = (self.tick % Wheel::BUCKETS) as usize;
        // Buckets behind the hand belong to its next turn.
        let bucket = self.occupied.first_from(hand);
        let bucket = bucket.or_else(|| self.occupied.first_from(0))?;
        let ahead = (bucket as u64 + Wheel::BUCKETS - hand as u64) % Wheel::BUCKETS;
        Some((self.tick + ahead) * Wheel::TICK_MS)
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

/// Which buckets are occupied: a bit for each, and a bit for each word of these that is not zero,
/// so that the next one is found in a few steps, every turn of the loop anew.
#[derive(Debug)]
struct Occupied {
    words: Box<[u64]>,
    summary: [u64; Occupied::WORDS / 64],
}

impl Occupied {
    const WORDS: usize = Wheel::BUCKETS as usize / 64;

    fn new() -> Occupied {
        Occupied {
            words: vec![0; Occupied::WORDS].into(),
            summary: [0; Occupied::WORDS / 64],
        }
    }

    fn insert(&mut self, bucket: usize) {
        let word = bucket / 64;
        self.words[word] |= 1 << (bucket % 64);
        self.summary[word / 64] |= 1 << (word % 64);
    }

    fn remove(&mut self, bucket: usize) {
        let word = bucket / 64;
        self.words[word] &= !(1 << (bucket % 64));
        if self.words[word] == 0 {
            self.summary[word / 64] &= !(1 << (word % 64));
        }
    }

    fn first_from(&self, bucket: usize) -> Option<usize> {
        if let Some(bit) = first_bit_from(self.words[bucket / 64], bucket % 64) {
            return Some(bucket / 64 * 64 + bit);
        }
        let word = bucket / 64 + 1;
        let word = (word / 64..self.summary.len()).find_map(|index| {
            let from = if index == word / 64 { word % 64 } else { 0 };
            Some(index * 64 + first_bit_from(self.summary[index], from)?)
        })?;
        Some(word * 64 + first_bit_from(self.words[word], 0)?)
    }
}

/// The lowest bit that is set, of those from `from` on.
fn first_bit_from(bits: u64, from: usize) -> Option<usize> {
    let bits = bits & (u64::MAX << from);
    (bits != 0).then(|| bits.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_occupied_bucket_is_found_across_words() {
        let mut occupied = Occupied::new();
        assert_eq!(occupied.first_from(0), None);
        let last = Wheel::BUCKETS as usize - 1;
        for bucket in [0, 63, 64, 4095, 4096, 9000, last] {
            occupied.insert(bucket);
        }
        let found = |occupied: &Occupied| {
            let mut from = 0;
            std::iter::from_fn(|| {
                let bucket = (from <= last).then(|| occupied.first_from(from))??;
                from = bucket + 1;
                Some(bucket)
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(found(&occupied), [0, 63, 64, 4095, 4096, 9000, last]);
        for bucket in [63, 4096, last] {
            occupied.remove(bucket);
        }
        assert_eq!(found(&occupied), [0, 64, 4095, 9000]);
    }

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
