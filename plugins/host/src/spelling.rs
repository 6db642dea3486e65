//! What somebody may have meant who wrote a name that is not known.

/// The known name that is most like a wrong one; none when none is.
pub(crate) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &'a str| (distance(wrong, name), name);
    let (distance, name) = known.map(likeness).min()?;
    (distance <= 1 + name.len() / 4).then_some(name)
}

/// Reads what serde says of a name that is not known, as in "unknown field `a`, expected one of
/// `b`, `c`": the unknown name, and the nearest of the others when one is near.
///
/// None for any other message.
pub fn unknown_name(message: &str) -> Option<(&str, Option<&str>)> {
    let mut words = message.split('`').skip(1).step_by(2);
    let unknown = words.next().filter(|_| message.starts_with("unknown "))?;
    let nearest = words.min_by_key(|known| distance(unknown, known));
    let is_near = |known: &&str| distance(unknown, known) <= (unknown.len() / 3).max(1);
    Some((unknown, nearest.filter(is_near)))
}

/// How many letters must be changed, added, taken away, or exchanged with the next one; upper and lower
/// case, and `-` and `_`, are the same.
fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        let text = text.chars().map(|c| c.to_ascii_lowercase());
        text.map(|c| if c == '-' { '_' } else { c }).collect()
    };
    let (a, b) = (letters(a), letters(b));
    // Three rows of the table: the one before the last, the last, and the next.
    let mut older = vec![0; b.len() + 1];
    let mut old: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, to) in b.iter().enumerate() {
            row[j + 1] = (old[j + 1].min(row[j]) + 1).min(old[j] + usize::from(from != to));
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                row[j + 1] = row[j + 1].min(older[j - 1] + 1);
            }
        }
        older = std::mem::replace(&mut old, row);
    }
    old[b.len()]
}

#[cfg(test)]
mod tests {
    use lwm2m_server::Hook;

    use super::*;

    #[test]
    fn a_near_miss_finds_its_name() {
        let names = || Hook::ALL.into_iter().map(Hook::name);
        for (wrong, right) in [
            ("on_registr", Some("on_register")),
            ("onRegister", Some("on_register")),
            ("on-gone", Some("on_gone")),
            ("transfrom", Some("transform")),
            ("trnasofrm", Some("transform")),
            ("helper", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, names()), right, "{wrong}");
        }
    }

    #[test]
    fn a_message_of_serde_is_read() {
        let one_of = "unknown field `lifetme`, expected one of `bind`, `lifetime`";
        assert_eq!(unknown_name(one_of), Some(("lifetme", Some("lifetime"))));
        let variant = "unknown variant `optonal`, expected `required` or `optional`";
        assert_eq!(unknown_name(variant), Some(("optonal", Some("optional"))));
        let far = "unknown field `x`, expected one of `bind`";
        assert_eq!(unknown_name(far), Some(("x", None)));
        assert_eq!(unknown_name("invalid type: string `lifetme`"), None);
    }

    #[test]
    fn a_distance_counts_letters() {
        for (a, b, letters) in [
            ("", "abc", 3),
            ("abc", "ABC", 0),
            ("suits", "suites", 1),
            ("größe", "grosse", 3),
        ] {
            assert_eq!(distance(a, b), letters, "{a} {b}");
            assert_eq!(distance(b, a), letters, "{b} {a}");
        }
    }
}
