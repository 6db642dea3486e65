//! `cargo xtask registry diff`: what changed between two folders of definitions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use lwm2m_core::{ObjectModel, ObjectVersion};
use lwm2m_registry::ObjectKey;

use super::compare::{self, Change};
use super::definitions;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The folder, or the file, as it was.
    old: PathBuf,
    /// The folder, or the file, as it is now.
    new: PathBuf,
}

type Models = BTreeMap<ObjectKey, ObjectModel>;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let old = definitions::models(&arguments.old)?;
    let new = definitions::models(&arguments.new)?;
    let difference = Difference::between(&old, &new);
    for line in &difference.lines {
        println!("{line}");
    }
    let Difference {
        added,
        removed,
        changed,
        breaking,
        ..
    } = difference;
    println!(
        "versions added: {added}, removed: {removed}, changed: {changed}; breaking changes: {breaking}"
    );
    Ok(())
}

/// The differences in lines, and how many versions they are about.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    lines: Vec<String>,
    added: usize,
    removed: usize,
    changed: usize,
    /// Changes inside a version or a major version that break those who have the old one.
    breaking: usize,
}

impl Difference {
    fn between(old: &Models, new: &Models) -> Difference {
        let mut difference = Difference::default();
        let keys: BTreeSet<ObjectKey> = old.keys().chain(new.keys()).copied().collect();
        for key in keys {
            match (old.get(&key), new.get(&key)) {
                (Some(before), Some(now)) => difference.change(key, before, now),
                (Some(before), None) => {
                    difference.removed += 1;
                    difference.line('-', key, &before.name);
                }
                (None, Some(now)) => difference.add(key, now, old, new),
                (None, None) => {}
            }
        }
        difference
    }

    /// The same version, edited in place.
    fn change(&mut self, key: ObjectKey, before: &ObjectModel, now: &ObjectModel) {
        let changes = compare::changes(before, now);
        if changes.is_empty() {
            return;
        }
        self.changed += 1;
        self.line('~', key, &now.name);
        self.details(&changes, true);
    }

    /// A version that was not there, compared with the one before it.
    fn add(&mut self, key: ObjectKey, now: &ObjectModel, old: &Models, new: &Models) {
        self.added += 1;
        self.line('+', key, &now.name);
        let lowest = ObjectKey {
            id: key.id,
            version: ObjectVersion { major: 0, minor: 0 },
        };
        let before =
            |models: &'_ Models| models.range(lowest..key).next_back().map(|(key, _)| *key);
        let Some(previous) = before(old).max(before(new)) else {
            return;
        };
        if let Some(model) = old.get(&previous).or_else(|| new.get(&previous)) {
            self.lines.push(format!("    since {}:", previous.version));
            let is_same_major = previous.version.major == key.version.major;
            self.details(&compare::changes(model, now), is_same_major);
        }
    }

    fn line(&mut self, sign: char, key: ObjectKey, name: &str) {
        self.lines.push(format!("{sign} {key}: {name}"));
    }

    /// A new major version may break: that is what it is for.
    fn details(&mut self, changes: &[Change], is_same_major: bool) {
        for change in changes {
            let is_breaking = change.is_breaking && is_same_major;
            self.breaking += usize::from(is_breaking);
            let change = Change {
                is_breaking,
                ..change.clone()
            };
            self.lines.push(format!("    {change}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(definitions: &[(u16, &str, &str)]) -> Models {
        let model = |(id, version, name): &(u16, &str, &str)| ObjectModel {
            id: *id,
            version: version.parse().unwrap(),
            name: (*name).into(),
            description: "".into(),
            multiple: false,
            mandatory: false,
            resources: Vec::new(),
        };
        let models = definitions.iter().map(model);
        models.map(|model| (ObjectKey::of(&model), model)).collect()
    }

    #[test]
    fn compares_each_version_with_itself_or_with_the_one_before() {
        let old = models(&[(3, "1.0", "Device"), (4, "1.0", "Gone"), (5, "1.0", "Same")]);
        let new = models(&[
            (3, "1.0", "Device!"),
            (3, "1.1", "Device"),
            (5, "1.0", "Same"),
            (6, "1.0", "New"),
        ]);
        let difference = Difference::between(&old, &new);
        assert_eq!(
            difference.lines,
            [
                "~ object 3 version 1.0: Device!",
                "    object name: `Device` -> `Device!`",
                "+ object 3 version 1.1: Device",
                "    since 1.0:",
                "- object 4 version 1.0: Gone",
                "+ object 6 version 1.0: New",
            ]
        );
        let counts = (difference.added, difference.removed, difference.changed);
        assert_eq!(counts, (2, 1, 1));
        assert_eq!(Difference::between(&old, &old), Difference::default());
    }
}
