//! What threads keep apart, so that they do not take each other's cache lines.
//!
//! Two shards that count the same calls in the same place wait for each other at each of them, for
//! longer than a small call takes. So each thread has a place of its own, as long as there are not more
//! threads than places; whoever wants the whole looks at all of them.

use std::array;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One `T` for each of the threads.
#[derive(Debug)]
pub(crate) struct Stripes<T>([Apart<T>; STRIPES]);

/// Two lines, as processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<T>(T);

/// Places; threads beyond that share them.
const STRIPES: usize = 16;

impl<T> Stripes<T> {
    /// Makes all of them.
    pub(crate) fn new(mut make: impl FnMut() -> T) -> Stripes<T> {
        Stripes(array::from_fn(|_| Apart(make())))
    }

    /// That of this thread.
    pub(crate) fn mine(&self) -> &T {
        let [first, ..] = &self.0;
        &self.0.get(place()).unwrap_or(first).0
    }

    /// All of them, that of this thread first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        let (before, from_mine) = self.0.split_at(place().min(STRIPES));
        from_mine.iter().chain(before).map(|apart| &apart.0)
    }
}

impl<T: Default> Default for Stripes<T> {
    fn default() -> Stripes<T> {
        Stripes::new(T::default)
    }
}

/// The place of this thread; threads get theirs in turn, when they first ask.
fn place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    PLACE.with(|known| {
        known.get().unwrap_or_else(|| {
            let place = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
            known.set(Some(place));
            place
        })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::thread;

    use super::*;

    #[test]
    fn what_many_threads_count_adds_up() {
        let counts = Stripes::<AtomicU32>::default();
        let used = || counts.all().filter(|n| n.load(Ordering::Relaxed) > 0);
        let count = || counts.mine().fetch_add(1, Ordering::Relaxed);
        count();
        count();
        assert_eq!(used().count(), 1, "a thread stays where it is");
        let first = counts.all().next().expect("there are some");
        assert_eq!(first.load(Ordering::Relaxed), 2, "its own comes first");
        // More threads than places.
        thread::scope(|scope| {
            for _ in 0..2 * STRIPES {
                scope.spawn(count);
            }
        });
        let sum = used().map(|n| n.load(Ordering::Relaxed)).sum::<u32>();
        assert_eq!(sum as usize, 2 + 2 * STRIPES);
        assert!(used().count() > 1, "threads have places of their own");
    }
}
