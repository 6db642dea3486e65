//! What waits for the answers of extensions: a line for each device.
//!
//! The first of a line has been asked about; those behind it wait until there is an answer, or none
//! in time. So what one device sends stays in order, and other devices go on.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::hash::Hash;

use hashbrown::HashMap;
use tokio::sync::oneshot;

/// Lines of what waits, by device.
#[derive(Debug)]
pub(super) struct Lines<K, T> {
    lines: HashMap<K, Line<T>>,
    /// Which line waits for which answer.
    asked: HashMap<Ticket, K>,
    /// In their order, since all have the same time. Some are answered by now.
    deadlines: VecDeque<(u64, Ticket)>,
    last: u64,
    len: usize,
    max: usize,
    each_max: usize,
}

/// Names one question to an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(u64);

/// Open for as long as somebody waits for the answer; nothing ever comes.
pub(super) type Waiting = oneshot::Receiver<Infallible>;

#[derive(Debug)]
struct Line<T> {
    /// None only while its answer is being dealt with.
    first: Option<First<T>>,
    behind: VecDeque<T>,
}

#[derive(Debug)]
struct First<T> {
    item: T,
    ticket: Ticket,
    /// Dropped with this, it ends the question.
    _waits: oneshot::Sender<Infallible>,
}

impl<K: Clone + Eq + Hash, T> Lines<K, T> {
    /// Lines of at most `max` items in all, `each_max` for each device.
    pub(super) fn new(max: usize, each_max: usize) -> Lines<K, T> {
        Lines {
            lines: HashMap::new(),
            asked: HashMap::new(),
            deadlines: VecDeque::new(),
            last: 0,
            len: 0,
            max,
            each_max,
        }
    }

    /// True when nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// True when something of a device waits, or is being dealt with.
    pub(super) fn has(&self, key: &K) -> bool {
        !self.is_empty() && self.lines.contains_key(key)
    }

    /// Waits for an answer, until `deadline_ms` at the latest: as the first of a new line, or in the
    /// place of the first one whose answer is being dealt with. The item comes back when there is no
    /// room for a new line.
    pub(super) fn ask(
        &mut self,
        key: K,
        item: T,
        deadline_ms: u64,
    ) -> Result<(Ticket, Waiting), T> {
        let line = self.lines.get_mut(&key);
        if line.is_none() && self.len >= self.max {
            return Err(item);
        }
        self.last += 1;
        let ticket = Ticket(self.last);
        let (waits, waiting) = oneshot::channel();
        let first = First {
            item,
            ticket,
            _waits: waits,
        };
        match line {
            Some(line) => line.first = Some(first),
            None => {
                let line = Line {
                    first: Some(first),
                    behind: VecDeque::new(),
                };
                self.lines.insert(key.clone(), line);
            }
        }
        self.len += 1;
        self.asked.insert(ticket, key);
        self.deadlines.push_back((deadline_ms, ticket));
        Ok((ticket, waiting))
    }

    /// Lines up behind what waits of the same device. The item comes back when there is no such
    /// line, or no room.
    pub(super) fn join(&mut self, key: &K, item: T) -> Result<(), T> {
        match self.lines.get_mut(key) {
            Some(line) if self.len < self.max && 1 + line.behind.len() < self.each_max => {
                line.behind.push_back(item);
                self.len += 1;
                Ok(())
            }
            _ => Err(item),
        }
    }

    /// Takes out what an answer is about; none when nobody waits for it any more. The line stands
    /// until [`Lines::next`] finds nothing more in it.
    pub(super) fn answered(&mut self, ticket: Ticket) -> Option<(K, T)> {
        let key = self.asked.remove(&ticket)?;
        let line = self.lines.get_mut(&key)?;
        let first = line.first.take_if(|first| first.ticket == ticket)?;
        self.len -= 1;
        Some((key, first.item))
    }

    /// The next of a line; none when the first waits for an answer, or when the line is over.
    pub(super) fn next(&mut self, key: &K) -> Option<T> {
        let line = self.lines.get_mut(key)?;
        if line.first.is_some() {
            return None;
        }
        let next = line.behind.pop_front();
        match next {
            Some(_) => self.len -= 1,
            None => {
                self.lines.remove(key);
            }
        }
        next
    }

    /// True for one of those that wait in a line.
    pub(super) fn any(&self, key: &K, is_it: impl Fn(&T) -> bool) -> bool {
        let Some(line) = self.lines.get(key) else {
            return false;
        };
        let first = line.first.as_ref().map(|first| &first.item);
        line.behind.iter().chain(first).any(is_it)
    }

    /// When the first question runs out of time.
    pub(super) fn next_deadline_ms(&mut self) -> Option<u64> {
        while let Some((deadline, ticket)) = self.deadlines.front() {
            if self.asked.contains_key(ticket) {
                return Some(*deadline);
            }
            self.deadlines.pop_front();
        }
        None
    }

    /// A question that has run out of time.
    pub(super) fn overdue(&mut self, now_ms: u64) -> Option<Ticket> {
        let due = self.next_deadline_ms().is_some_and(|due| due <= now_ms);
        due.then(|| self.deadlines.pop_front())
            .flatten()
            .map(|(_, ticket)| ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_order_and_ends_when_nothing_is_left() {
        let mut lines = Lines::new(8, 8);
        let (first, _waiting) = lines.ask("a", 1, 10).expect("room");
        lines.join(&"a", 2).expect("room");
        lines.join(&"a", 3).expect("room");
        assert_eq!(lines.join(&"b", 9), Err(9), "nothing of b waits");
        assert_eq!(lines.next(&"a"), None, "the first one is asked about");
        assert_eq!(lines.answered(first), Some(("a", 1)));
        assert_eq!(lines.answered(first), None);
        assert!(lines.has(&"a"));
        // The next question about the same item keeps its place.
        let (again, _waiting) = lines.ask("a", 1, 20).expect("its place");
        assert_eq!(lines.next(&"a"), None);
        assert_eq!(lines.answered(again), Some(("a", 1)));
        assert_eq!(lines.next(&"a"), Some(2));
        assert_eq!(lines.next(&"a"), Some(3));
        assert_eq!(lines.next(&"a"), None);
        assert!(lines.is_empty() && lines.len == 0);
    }

    #[test]
    fn one_more_than_a_limit_comes_back() {
        let mut lines = Lines::new(3, 2);
        let mut open = vec![lines.ask("a", 1, 10).expect("room")];
        lines.join(&"a", 2).expect("room");
        assert_eq!(lines.join(&"a", 3), Err(3), "the device has had its share");
        open.push(lines.ask("b", 4, 10).expect("room"));
        assert_eq!(
            lines.ask("c", 5, 10).err(),
            Some(5),
            "there is no more room"
        );
        assert_eq!(lines.join(&"b", 6), Err(6));
        lines.answered(open[1].0).expect("asked");
        lines.ask("b", 4, 20).expect("it keeps its place");
    }

    #[test]
    fn questions_run_out_of_time_in_their_order() {
        let mut lines = Lines::new(8, 8);
        let (first, mut waiting) = lines.ask("a", 1, 10).expect("room");
        let (second, _waiting) = lines.ask("b", 2, 20).expect("room");
        let (third, _waiting) = lines.ask("c", 3, 20).expect("room");
        assert_eq!(lines.next_deadline_ms(), Some(10));
        assert_eq!(lines.overdue(9), None);
        assert_eq!(lines.overdue(10), Some(first));
        assert!(lines.answered(first).is_some());
        assert!(waiting.try_recv().is_err(), "the question is over");
        lines.answered(second);
        assert_eq!(lines.next_deadline_ms(), Some(20));
        assert_eq!(lines.overdue(30), Some(third));
        lines.answered(third);
        assert_eq!(lines.overdue(30), None);
        assert_eq!(lines.next_deadline_ms(), None);
    }
}
