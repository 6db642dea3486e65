//! A look at all devices, name by name.
//!
//! When rules change while a look at all is under way, it goes on where it is, and once around: rules
//! that change often keep no device from its turn. When it was not heard that devices have come, their
//! names may be missing in what was fetched: then a whole look follows.

use std::collections::VecDeque;

use crate::EndpointName;

/// Where a look at all devices is.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    lap: Option<Lap>,
    /// A whole lap follows this one.
    again: bool,
    /// The next ones, in their order.
    names: VecDeque<EndpointName>,
}

#[derive(Debug, Default)]
struct Lap {
    /// The name behind which the next page begins; none for the first.
    fetched: Option<String>,
    /// The name that had its turn last.
    passed: Option<String>,
    /// The last one of the lap; none for the last of all.
    until: Option<String>,
    /// Behind the last name of all comes the first.
    wraps: bool,
    /// There are no further pages.
    ends: bool,
}

impl Sweep {
    /// Every device needs a look from now on.
    pub(super) fn start(&mut self) {
        let Some(lap) = &mut self.lap else {
            self.lap = Some(Lap::default());
            return;
        };
        lap.until = lap.passed.clone();
        lap.wraps = lap.until.is_some();
        lap.ends = false;
    }

    /// Every device that there is by now needs a look, also where its name would have been fetched
    /// before it came.
    pub(super) fn start_anew(&mut self) {
        match self.lap {
            None => self.lap = Some(Lap::default()),
            Some(_) => self.again = true,
        }
    }

    /// True while there is something to look at.
    pub(super) fn is_under_way(&self) -> bool {
        self.lap.is_some()
    }

    /// The name behind which names are wanted.
    pub(super) fn wants_page(&self) -> Option<Option<&str>> {
        let lap = self.lap.as_ref().filter(|lap| !lap.ends)?;
        self.names.is_empty().then_some(lap.fetched.as_deref())
    }

    /// Takes the names that were wanted, in their order; none behind the last.
    pub(super) fn page(&mut self, page: Vec<EndpointName>) {
        let Some(lap) = &mut self.lap else {
            return;
        };
        match page.last() {
            None if lap.wraps => {
                lap.wraps = false;
                lap.fetched = None;
                lap.passed = None;
            }
            None => lap.ends = true,
            Some(_) => {
                let until = lap.until.as_deref().filter(|_| !lap.wraps);
                let is_in = |name: &EndpointName| until.is_none_or(|until| name.as_str() <= until);
                let count = page.len();
                self.names.extend(page.into_iter().take_while(is_in));
                lap.ends = self.names.len() < count;
                if let Some(last) = self.names.back() {
                    lap.fetched = Some(last.as_str().to_owned());
                }
            }
        }
        self.finish();
    }

    pub(super) fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// The next one.
    pub(super) fn pop(&mut self) -> Option<EndpointName> {
        let name = self.names.pop_front()?;
        if let Some(lap) = &mut self.lap {
            lap.passed = Some(name.as_str().to_owned());
        }
        self.finish();
        Some(name)
    }

    fn finish(&mut self) {
        if self.names.is_empty() && self.lap.as_ref().is_some_and(|lap| lap.ends) {
            self.lap = std::mem::take(&mut self.again).then(Lap::default);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

    /// Looks at `count` names, three to a page.
    fn look(sweep: &mut Sweep, count: usize) -> String {
        let mut looked = String::new();
        while looked.len() < count && sweep.is_under_way() {
            if let Some(after) = sweep.wants_page() {
                let behind = ALL
                    .iter()
                    .filter(|name| after.is_none_or(|after| **name > after));
                let page = behind.take(3).filter_map(|name| EndpointName::new(name));
                let page = page.collect();
                sweep.page(page);
            }
            if let Some(name) = sweep.pop() {
                looked.push_str(name.as_str());
            }
        }
        looked
    }

    #[test]
    fn each_name_has_its_turn_once() {
        let mut sweep = Sweep::default();
        sweep.start();
        assert_eq!(look(&mut sweep, 100), "abcdefg");
        assert!(!sweep.is_under_way());
    }

    #[test]
    fn a_change_on_the_way_goes_once_around_from_there() {
        for before in 0..7 {
            let mut sweep = Sweep::default();
            sweep.start();
            let first = look(&mut sweep, before);
            sweep.start();
            let all = ALL.concat();
            let expected = [&all[before..], &first].concat();
            assert_eq!(look(&mut sweep, 100), expected, "{before}");
        }
    }

    #[test]
    fn whoever_has_come_since_names_were_fetched_has_its_turn_in_a_lap_of_its_own() {
        let mut sweep = Sweep::default();
        sweep.start_anew();
        // Those behind it are fetched already.
        assert_eq!(look(&mut sweep, 1), "a");
        for _ in 0..3 {
            sweep.start_anew();
        }
        assert_eq!(look(&mut sweep, 100), "bcdefgabcdefg");
        assert!(!sweep.is_under_way());
        sweep.start();
        assert_eq!(look(&mut sweep, 100), "abcdefg");
    }

    #[test]
    fn changes_that_never_end_keep_nobody_from_its_turn() {
        let mut sweep = Sweep::default();
        let mut looked = String::new();
        for _ in 0..9 {
            sweep.start();
            looked.push_str(&look(&mut sweep, 2));
        }
        assert_eq!(looked, "abcdefgabcdefgabcd");
        sweep.start();
        let rest = look(&mut sweep, 100);
        assert_eq!(rest, "efgabcd");
    }
}
