//! Decides when an observed value is reported (Core 1.2.2 §6.4.1): a pure function.

use std::time::{Duration, Instant};

use lwm2m_core::{Edge, Record, Value};

/// The attributes that hold for one observed path.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Conditions {
    /// No notification earlier than this after the last one.
    pub pmin_s: u32,
    /// A notification at the latest this long after the last one.
    pub pmax_s: Option<u32>,
    /// Report when the value crosses this limit.
    pub gt: Option<f64>,
    /// Report when the value crosses this limit.
    pub lt: Option<f64>,
    /// Report when the value has moved this far.
    pub st: Option<f64>,
    /// Report this change of a Boolean.
    pub edge: Option<Edge>,
    /// Values are looked at no earlier than this after the last look.
    pub epmin_s: u32,
}

/// What is known of an observation when it is evaluated.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The time.
    pub now: Instant,
    /// When the last notification, or the first answer, was sent.
    pub notified_at: Instant,
    /// When the values were last looked at and found different; the first answer counts.
    pub evaluated_at: Instant,
    /// The values that were last reported.
    pub reported: &'a [Record<'static>],
    /// The values now.
    pub current: &'a [Record<'static>],
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send a notification.
    Notify,
    /// Nothing now; look again at this time at the latest, or when a value changes.
    Wait(Option<Instant>),
}

/// Decides whether to notify: pmax has elapsed, or something changed, a condition holds and pmin
/// has elapsed.
///
/// `gt`, `lt`, `st` and `edge` compare with the value that was last reported; any one that holds
/// suffices. A value that has no such attribute is reported on every change.
///
/// ```
/// use std::time::{Duration, Instant};
/// use lwm2m_core::{Path, Record};
/// use lwm2m_device::{Conditions, Situation, Verdict, evaluate};
///
/// let start = Instant::now();
/// let path = Path::resource(3303, 0, 5700);
/// let conditions = Conditions { gt: Some(30.0), ..Conditions::default() };
/// let situation = Situation {
///     now: start + Duration::from_secs(1),
///     notified_at: start,
///     evaluated_at: start,
///     reported: &[Record::new(path, 29.0)],
///     current: &[Record::new(path, 31.0)],
/// };
/// assert_eq!(evaluate(&conditions, &situation), Verdict::Notify);
/// ```
pub fn evaluate(conditions: &Conditions, situation: &Situation<'_>) -> Verdict {
    let after = |at: Instant, seconds: u32| at + Duration::from_secs(u64::from(seconds));
    let now = situation.now;
    let latest = conditions
        .pmax_s
        .map(|seconds| after(situation.notified_at, seconds));
    if latest.is_some_and(|at| at <= now) {
        return Verdict::Notify;
    }
    if situation.reported == situation.current {
        return Verdict::Wait(latest);
    }
    let earliest = |at: Instant| Verdict::Wait(Some(latest.map_or(at, |latest| latest.min(at))));
    let look_at = after(situation.evaluated_at, conditions.epmin_s);
    if look_at > now {
        return earliest(look_at);
    }
    if !conditions.hold(situation.reported, situation.current) {
        return Verdict::Wait(latest);
    }
    let allowed_at = after(situation.notified_at, conditions.pmin_s);
    if allowed_at > now {
        return earliest(allowed_at);
    }
    Verdict::Notify
}

impl Conditions {
    /// True when a change from `before` to `after` is worth a notification.
    fn hold(&self, before: &[Record<'static>], after: &[Record<'static>]) -> bool {
        let unconditional =
            self.gt.is_none() && self.lt.is_none() && self.st.is_none() && self.edge.is_none();
        if unconditional || before.len() != after.len() {
            return true;
        }
        let mut pairs = before.iter().zip(after);
        pairs.any(|(before, after)| {
            before.path != after.path || self.holds(&before.value, &after.value)
        })
    }

    fn holds(&self, before: &Value<'static>, after: &Value<'static>) -> bool {
        if before == after {
            return false;
        }
        if let (Value::Boolean(_), Value::Boolean(after)) = (before, after) {
            return match self.edge {
                None => true,
                Some(edge) => (edge == Edge::Rising) == *after,
            };
        }
        let (Some(before), Some(after)) = (number(before), number(after)) else {
            return true; // limits say nothing of texts and bytes
        };
        let crosses = |limit: f64| (before > limit) != (after > limit);
        let crosses_down = |limit: f64| (before < limit) != (after < limit);
        self.gt.is_some_and(crosses)
            || self.lt.is_some_and(crosses_down)
            || self.st.is_some_and(|step| (after - before).abs() >= step)
    }
}

fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Integer(number) | Value::Time(number) => Some(*number as f64),
        Value::Unsigned(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use lwm2m_core::Path;

    use super::*;

    const PATH: Path = Path::resource(3303, 0, 5700);

    struct Case {
        start: Instant,
        conditions: Conditions,
    }

    impl Case {
        fn new(conditions: Conditions) -> Case {
            let start = Instant::now();
            Case { start, conditions }
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        /// Last reported at second 0.
        fn verdict(
            &self,
            second: u64,
            before: impl Into<Value<'static>>,
            after: impl Into<Value<'static>>,
        ) -> Verdict {
            let situation = Situation {
                now: self.at(second),
                notified_at: self.start,
                evaluated_at: self.start,
                reported: &[Record::new(PATH, before)],
                current: &[Record::new(PATH, after)],
            };
            evaluate(&self.conditions, &situation)
        }
    }

    #[test]
    fn without_attributes_each_change_is_reported_at_once() {
        let case = Case::new(Conditions::default());
        assert_eq!(case.verdict(0, 1.0, 2.0), Verdict::Notify);
        assert_eq!(case.verdict(1_000_000, 1.0, 1.0), Verdict::Wait(None));
    }

    #[test]
    fn pmin_delays_and_pmax_forces() {
        let case = Case::new(Conditions {
            pmin_s: 10,
            pmax_s: Some(60),
            ..Conditions::default()
        });
        assert_eq!(case.verdict(9, 1.0, 2.0), Verdict::Wait(Some(case.at(10))));
        assert_eq!(case.verdict(10, 1.0, 2.0), Verdict::Notify);
        assert_eq!(case.verdict(59, 1.0, 1.0), Verdict::Wait(Some(case.at(60))));
        assert_eq!(case.verdict(60, 1.0, 1.0), Verdict::Notify);
    }

    #[test]
    fn gt_and_lt_fire_on_crossing_in_either_direction() {
        let case = Case::new(Conditions {
            gt: Some(30.0),
            lt: Some(10.0),
            ..Conditions::default()
        });
        for (before, after, expected) in [
            (20.0, 29.0, false),
            (20.0, 30.0, false),
            (30.0, 30.1, true),
            (31.0, 35.0, false),
            (31.0, 29.0, true),
            (20.0, 10.0, false),
            (10.0, 9.9, true),
            (9.0, 5.0, false),
            (9.0, 11.0, true),
            (9.0, 31.0, true),
        ] {
            let notify = case.verdict(1, before, after) == Verdict::Notify;
            assert_eq!(notify, expected, "{before} to {after}");
        }
    }

    #[test]
    fn st_fires_from_its_size_on_and_conditions_are_alternatives() {
        let case = Case::new(Conditions {
            gt: Some(30.0),
            st: Some(2.0),
            ..Conditions::default()
        });
        assert_eq!(case.verdict(1, 20.0, 21.9), Verdict::Wait(None));
        assert_eq!(case.verdict(1, 20.0, 22.0), Verdict::Notify);
        assert_eq!(case.verdict(1, 29.9, 30.1), Verdict::Notify);
    }

    #[test]
    fn edge_tells_directions_apart() {
        for (edge, falling, rising) in [
            (Some(Edge::Falling), true, false),
            (Some(Edge::Rising), false, true),
            (None, true, true),
        ] {
            let case = Case::new(Conditions {
                edge,
                ..Conditions::default()
            });
            assert_eq!(case.verdict(1, true, false) == Verdict::Notify, falling);
            assert_eq!(case.verdict(1, false, true) == Verdict::Notify, rising);
        }
    }

    #[test]
    fn epmin_delays_the_look() {
        let case = Case::new(Conditions {
            epmin_s: 5,
            pmax_s: Some(3),
            ..Conditions::default()
        });
        assert_eq!(
            case.verdict(1, 1.0, 2.0),
            Verdict::Wait(Some(case.at(3))),
            "pmax is sooner"
        );
        let case = Case::new(Conditions {
            epmin_s: 5,
            ..Conditions::default()
        });
        assert_eq!(case.verdict(4, 1.0, 2.0), Verdict::Wait(Some(case.at(5))));
        assert_eq!(case.verdict(5, 1.0, 2.0), Verdict::Notify);
    }

    #[test]
    fn an_integer_crosses_like_a_float_and_text_ignores_limits() {
        let case = Case::new(Conditions {
            gt: Some(50.0),
            ..Conditions::default()
        });
        assert_eq!(case.verdict(1, 49, 51), Verdict::Notify);
        assert_eq!(case.verdict(1, 51, 52), Verdict::Wait(None));
        assert_eq!(case.verdict(1, "a", "b"), Verdict::Notify);
    }

    #[test]
    fn resources_that_come_and_go_are_changes() {
        let conditions = Conditions {
            gt: Some(1000.0),
            ..Conditions::default()
        };
        let start = Instant::now();
        let reported = [Record::new(PATH, 1.0)];
        let situation = Situation {
            now: start,
            notified_at: start,
            evaluated_at: start,
            reported: &reported,
            current: &[],
        };
        assert_eq!(evaluate(&conditions, &situation), Verdict::Notify);
    }
}
