//! `--only`: which objects to pull.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Object ids and ranges of them, as in `3,5,3303..3310`; ranges include both ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selection {
    ranges: Vec<RangeInclusive<u16>>,
}

/// Most parts of a selection.
const PARTS_MAX: usize = 1000;

impl Selection {
    pub(super) fn contains(&self, id: u16) -> bool {
        self.ranges.iter().any(|range| range.contains(&id))
    }

    /// The parts that select none of these ids.
    pub(super) fn without(&self, ids: impl Iterator<Item = u16> + Clone) -> Vec<String> {
        self.ranges
            .iter()
            .filter(|range| !ids.clone().any(|id| range.contains(&id)))
            .map(shown)
            .collect()
    }
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Selection, String> {
        let id = |text: &str| match text.trim().parse::<u16>() {
            Ok(id) if id < u16::MAX => Ok(id),
            _ => Err(format!(
                "`{text}` is not an object id: write numbers and ranges, as in 3,5,3303..3310"
            )),
        };
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let range = match part.split_once("..") {
                None => {
                    let id = id(part)?;
                    id..=id
                }
                Some((first, last)) => id(first)?..=id(last.strip_prefix('=').unwrap_or(last))?,
            };
            if range.is_empty() {
                return Err(format!("`{part}` is empty: write the lower id first"));
            }
            if ranges.len() >= PARTS_MAX {
                return Err(format!("there are more than {PARTS_MAX} parts"));
            }
            ranges.push(range);
        }
        Ok(Selection { ranges })
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.ranges.iter().map(shown).collect();
        f.write_str(&parts.join(","))
    }
}

fn shown(range: &RangeInclusive<u16>) -> String {
    match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}..{}", range.start(), range.end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ids_and_ranges_with_both_ends() {
        let selection: Selection = "3, 5,3303..3310,7..=8".parse().unwrap();
        let inside = [3, 5, 7, 8, 3303, 3310];
        let outside = [0, 4, 6, 9, 3302, 3311];
        assert!(inside.iter().all(|id| selection.contains(*id)));
        assert!(!outside.iter().any(|id| selection.contains(*id)));
        assert_eq!(selection.to_string(), "3,5,3303..3310,7..8");
        assert_eq!(selection.without([3, 8, 3304].into_iter()), ["5"]);
    }

    #[test]
    fn refuses_what_is_no_selection() {
        for text in [
            "", ",", "3,", "a", "-1", "65535", "70000", "5..3", "..", "3..",
        ] {
            assert!(text.parse::<Selection>().is_err(), "{text}");
        }
        let parts = |count| vec!["3"; count].join(",");
        assert!(parts(PARTS_MAX).parse::<Selection>().is_ok());
        assert!(parts(PARTS_MAX + 1).parse::<Selection>().is_err());
    }
}
