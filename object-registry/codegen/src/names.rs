//! Names that stand side by side.

use std::collections::BTreeMap;

use crate::words::Name;

/// Gives every name of a scope that is too alike another, or a reserved one, its id as a suffix.
///
/// All of them get it: which resource has the plain name must not depend on their order.
pub(crate) fn unique<Id: Copy + std::fmt::Display>(
    names: Vec<(Id, Name)>,
    reserved: &[&str],
) -> Vec<Name> {
    let mut suffixed = vec![false; names.len()];
    loop {
        let current: Vec<Name> = names
            .iter()
            .zip(&suffixed)
            .map(|((id, name), suffixed)| match suffixed {
                true => name.with_suffix(id),
                false => name.clone(),
            })
            .collect();
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        for key in current.iter().map(Name::key) {
            *taken.entry(key).or_default() += 1;
        }
        for key in reserved {
            *taken.entry((*key).to_lowercase()).or_default() += 1;
        }
        let mut settled = true;
        for (name, suffixed) in current.iter().zip(&mut suffixed) {
            let is_alike = taken.get(&name.key()).is_some_and(|count| *count > 1);
            if is_alike && !*suffixed {
                *suffixed = true;
                settled = false;
            }
        }
        if settled {
            return current;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snakes(names: &[(u16, &str)], reserved: &[&str]) -> Vec<String> {
        let names = names
            .iter()
            .map(|(id, text)| (*id, Name::new(text, "resource", id)));
        let unique = unique(names.collect(), reserved);
        unique.into_iter().map(|name| name.snake).collect()
    }

    #[test]
    fn every_one_of_the_same_name_gets_its_id() {
        let names = [(4, "Object Enabled"), (5, "Object-Enabled"), (6, "Other")];
        let expected = ["object_enabled_4", "object_enabled_5", "other"];
        assert_eq!(snakes(&names, &[]), expected);
    }

    #[test]
    fn a_suffix_does_not_make_a_new_collision() {
        let names = [(1, "On"), (2, "ON"), (3, "On 1"), (4, "On_1")];
        let found = snakes(&names, &[]);
        let distinct: std::collections::BTreeSet<_> = found.iter().collect();
        assert_eq!(distinct.len(), 4, "{found:?}");
    }

    #[test]
    fn the_name_of_the_object_is_reserved() {
        let names = [(5700, "Temperature")];
        assert_eq!(snakes(&names, &["Temperature"]), ["temperature_5700"]);
    }
}
