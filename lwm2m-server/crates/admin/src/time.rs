//! Times as RFC 3339 in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

/// From this on a SenML time counts from 1970, below it from now (RFC 8428 §4.5.3).
const ABSOLUTE_S: f64 = 268_435_456.0;

/// The last second that RFC 3339 can write: the year 9999.
const LAST_S: f64 = 253_402_300_799.0;

/// `2023-11-14T22:13:20.000Z`; times before 1970 are 1970.
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (day, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, date) = civil(day);
    format!(
        "{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

/// The time of a record that came at `now`; the bare number when it is no time of our calendar.
pub(crate) fn of_record(time: f64, now: SystemTime) -> Json {
    let now_s = now
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64());
    let unix_s = if time < ABSOLUTE_S {
        now_s + time
    } else {
        time
    };
    if (0.0..=LAST_S).contains(&unix_s) {
        Json::String(rfc3339(UNIX_EPOCH + Duration::from_secs_f64(unix_s)))
    } else {
        json!(time)
    }
}

/// Year, month and day of a day since 1970 (the algorithm of Howard Hinnant's "chrono-compatible
/// low-level date algorithms").
fn civil(day: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01, in eras of 400 years.
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn writes_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000, "2023-11-14T22:13:20.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(rfc3339(at(seconds)), text);
        }
        let late = UNIX_EPOCH + Duration::from_millis(1_700_000_000_042);
        assert_eq!(rfc3339(late), "2023-11-14T22:13:20.042Z");
    }

    #[test]
    fn record_times_are_absolute_or_relative() {
        let now = at(1_700_000_000);
        for (time, text) in [
            (1_700_000_000.0, json!("2023-11-14T22:13:20.000Z")),
            (-20.0, json!("2023-11-14T22:13:00.000Z")),
            (1.5, json!("2023-11-14T22:13:21.500Z")),
            (1e18, json!(1e18)),
            (-1e18, json!(-1e18)),
        ] {
            assert_eq!(of_record(time, now), text, "{time}");
        }
        assert_eq!(of_record(f64::NAN, now), Json::Null);
    }
}
