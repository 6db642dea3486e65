//! What is remembered of a device, beside what its shard knows.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_core::{Attributes, Path};
use tokio::time::Instant;

use super::planning::{Fix, Group, Planned, Splits, Written, is_registered};
use crate::{ObservationTarget, Registration};

/// What is remembered of a device while its registration lasts.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) planned: Option<Arc<Planned>>,
    /// What plans have written.
    pub(super) written: Option<Written>,
    /// The plan has begun: its delay is over.
    pub(super) begun: bool,
    /// What was cancelled by hand has yet to become the plan's again.
    pub(super) restores: bool,
    /// It has observed a composite.
    pub(super) has_composites: bool,
    /// What did not go well, for the devices where something did not.
    trouble: Option<Box<Trouble>>,
    /// What has been done since the plan was last established.
    tally: Option<Box<Tally>>,
}

/// What it took to establish a plan. A run that is interrupted leaves it to the next one.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) made: usize,
    pub(super) cancelled: usize,
    pub(super) failed: usize,
}

/// What did not go well on a device.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    pub(super) splits: Splits,
    pub(super) repairs: Vec<(ObservationTarget, Fix)>,
    /// Groups that are not tried again for now.
    pub(super) failed: Vec<ObservationTarget>,
    retries: Vec<Retry>,
}

/// Requests that were not answered, and go out again later.
#[derive(Debug)]
struct Retry {
    of: Asked,
    /// How many were not answered, one after the other.
    attempts: u32,
    due: Instant,
}

/// What counts as the same request when it is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// All Observe-Composites of a device: who does not answer one answers none.
    Composite,
    Single(Path),
    Attributes(Path),
}

/// When what was not answered is asked again.
#[derive(Debug, Clone, Copy)]
pub(super) struct BackOff {
    /// How often.
    pub(super) retries_max: u32,
    /// After the first attempt; doubled each time.
    pub(super) delay: Duration,
    pub(super) delay_max: Duration,
}

impl Memory {
    /// True when there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.planned.is_none() && self.written.is_none() && self.tally.is_none()
    }

    pub(super) fn tally_mut(&mut self) -> &mut Tally {
        self.tally.get_or_insert_default()
    }

    /// What has been done, once the plan is established.
    pub(super) fn take_tally(&mut self) -> Option<Tally> {
        self.tally.take().map(|tally| *tally)
    }

    pub(super) fn trouble(&self) -> &Trouble {
        const NONE: &Trouble = &Trouble {
            splits: Splits {
                all: false,
                recalled: false,
                some: Vec::new(),
            },
            repairs: Vec::new(),
            failed: Vec::new(),
            retries: Vec::new(),
        };
        self.trouble.as_deref().unwrap_or(NONE)
    }

    pub(super) fn trouble_mut(&mut self) -> &mut Trouble {
        self.trouble.get_or_insert_default()
    }

    /// Whether the device is known, from earlier registrations, to answer no composite.
    pub(super) fn recall(&mut self, answers_none: bool) {
        if answers_none || self.trouble.is_some() {
            self.trouble_mut().splits.recalled = answers_none;
        }
    }

    /// Takes a plan that was made anew; true when it is another one. What failed is tried again; what
    /// was repaired stays so while the plan is the same.
    pub(super) fn take(&mut self, planned: Option<Arc<Planned>>) -> bool {
        let same = match (&planned, &self.planned) {
            (Some(new), Some(old)) => new.plan == old.plan,
            (None, None) => true,
            _ => false,
        };
        if let Some(trouble) = &mut self.trouble {
            if !same {
                trouble.repairs.clear();
            }
            trouble.failed.clear();
            trouble.retries.clear();
        }
        if let Some(tally) = &mut self.tally {
            tally.failed = 0;
        }
        self.planned = planned;
        !same
    }

    /// What the device has been told at a path.
    pub(super) fn write(&mut self, path: Path, told: Attributes) {
        let mut written = self.written.as_deref().unwrap_or_default().to_vec();
        written.retain(|(at, _)| *at != path);
        if !told.is_empty() {
            written.push((path, told));
            written.sort_by_key(|(path, _)| *path);
        }
        let shared = self.planned.as_ref().map(|planned| &planned.attributes);
        self.written = match shared {
            _ if written.is_empty() => None,
            Some(shared) if **shared == *written => Some(Arc::clone(shared)),
            _ => Some(written.into()),
        };
    }

    /// Attributes go with their instance.
    pub(super) fn forget_missing(&mut self, registration: &Registration) {
        let objects = &registration.objects;
        let gone = |(path, _): &&(Path, Attributes)| !is_registered(objects, path);
        let written = self.written.as_deref().unwrap_or_default();
        let gone: Vec<Path> = written.iter().filter(gone).map(|(path, _)| *path).collect();
        for path in gone {
            self.write(path, Attributes::default());
        }
    }

    /// A request was answered, whatever the answer says.
    pub(super) fn answered(&mut self, asked: Asked) {
        if let Some(trouble) = &mut self.trouble {
            trouble.retries.retain(|retry| retry.of != asked);
        }
    }

    /// A request was not answered: how many were not, and when the next one is due; no time when it
    /// was the last.
    pub(super) fn unanswered(
        &mut self,
        asked: Asked,
        back_off: BackOff,
        now: Instant,
    ) -> (u32, Option<Duration>) {
        let retries = &mut self.trouble_mut().retries;
        let known = retries.iter().position(|retry| retry.of == asked);
        let before = known.map_or(0, |at| retries.swap_remove(at).attempts);
        let attempts = before.saturating_add(1);
        if attempts > back_off.retries_max {
            return (attempts, None);
        }
        let doubled = 2_u32.saturating_pow(before);
        let delay = back_off.delay.saturating_mul(doubled);
        let delay = delay.min(back_off.delay_max);
        retries.push(Retry {
            of: asked,
            attempts,
            due: now + delay,
        });
        (attempts, Some(delay))
    }

    /// When something is asked again next; what was due already was not needed any more.
    pub(super) fn next_retry(&self, now: Instant) -> Option<Instant> {
        let due = self.trouble().retries.iter().map(|retry| retry.due);
        due.filter(|due| *due > now).min()
    }

    /// True when a request has to wait for its time.
    fn waits(&self, asked: Asked, now: Instant) -> bool {
        let mut retries = self.trouble().retries.iter();
        retries.any(|retry| retry.of == asked && retry.due > now)
    }

    /// The groups that are left alone for now.
    pub(super) fn set_aside(&self, groups: &[Group], now: Instant) -> Vec<ObservationTarget> {
        let failed = &self.trouble().failed;
        let is_aside = |group: &&Group| {
            failed.contains(&group.target) || self.waits(Asked::of(&group.target), now)
        };
        let aside = groups.iter().filter(is_aside);
        aside.map(|group| group.target.clone()).collect()
    }

    /// The paths whose attributes are left alone for now.
    pub(super) fn unwritten(&self, now: Instant) -> Vec<Path> {
        let waiting = |retry: &Retry| match retry.of {
            Asked::Attributes(path) if retry.due > now => Some(path),
            _ => None,
        };
        self.trouble().retries.iter().filter_map(waiting).collect()
    }
}

impl Asked {
    pub(super) fn of(target: &ObservationTarget) -> Asked {
        match target {
            ObservationTarget::Single(path) => Asked::Single(*path),
            ObservationTarget::Composite(_) => Asked::Composite,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACK_OFF: BackOff = BackOff {
        retries_max: 3,
        delay: Duration::from_secs(60),
        delay_max: Duration::from_secs(100),
    };

    #[tokio::test]
    async fn what_is_not_answered_is_asked_later_and_later_and_not_for_ever() {
        let mut memory = Memory::default();
        let mut now = Instant::now();
        let composite = ObservationTarget::Composite(vec![Path::object(3)]);
        let group = Group {
            target: composite.clone(),
            format: None,
            attributes: Vec::new(),
        };
        for (attempts, seconds) in [(1, 60), (2, 100), (3, 100)] {
            let delay = Duration::from_secs(seconds);
            let said = memory.unanswered(Asked::Composite, BACK_OFF, now);
            assert_eq!(said, (attempts, Some(delay)));
            assert_eq!(memory.next_retry(now), Some(now + delay));
            let before = now + delay - Duration::from_millis(1);
            let groups = std::slice::from_ref(&group);
            let aside = memory.set_aside(groups, before);
            assert_eq!(aside, std::slice::from_ref(&composite));
            now += delay;
            assert!(memory.set_aside(groups, now).is_empty());
            assert_eq!(memory.next_retry(now), None);
        }
        // One more than the limit.
        let said = memory.unanswered(Asked::Composite, BACK_OFF, now);
        assert_eq!(said, (4, None));
        assert_eq!(memory.next_retry(now - BACK_OFF.delay), None);
    }

    #[test]
    fn what_an_interrupted_run_has_done_counts_for_the_next_one() {
        let mut memory = Memory::default();
        assert_eq!(memory.take_tally(), None);
        memory.tally_mut().made += 1;
        memory.tally_mut().failed += 1;
        assert!(!memory.is_empty());
        // With a plan that was made anew, what failed is tried again.
        assert!(!memory.take(None));
        memory.tally_mut().made += 1;
        let tally = Tally {
            made: 2,
            ..Tally::default()
        };
        assert_eq!(memory.take_tally(), Some(tally));
        assert!(memory.is_empty());
    }

    #[tokio::test]
    async fn an_answer_ends_the_count() {
        let mut memory = Memory::default();
        let (now, path) = (Instant::now(), Path::object(3));
        memory.unanswered(Asked::Attributes(path), BACK_OFF, now);
        memory.unanswered(Asked::Single(path), BACK_OFF, now);
        assert_eq!(memory.unwritten(now), [path]);
        memory.answered(Asked::Attributes(path));
        assert!(memory.unwritten(now).is_empty());
        let said = memory.unanswered(Asked::Attributes(path), BACK_OFF, now);
        assert_eq!(said.0, 1);
        let said = memory.unanswered(Asked::Single(path), BACK_OFF, now);
        assert_eq!(said.0, 2);
    }
}
