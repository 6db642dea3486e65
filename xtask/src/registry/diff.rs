//! `cargo xtask registry diff`: what changed between two folders of definitions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use lwm2m_core::{ObjectModel, ObjectVersion};
use lwm2m_registry::ObjectKey;
use serde::Serialize;

use super::compare::{self, Change};
use super::definitions;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The folder, or the file, as it was.
    old: PathBuf,
    /// The folder, or the file, as it is now.
    new: PathBuf,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

type Models = BTreeMap<ObjectKey, ObjectModel>;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let old = definitions::models(&arguments.old)?;
    let new = definitions::models(&arguments.new)?;
    let difference = Difference::between(&old, &new);
    match arguments.json {
        true => println!("{}", serde_json::to_string_pretty(&difference)?),
        false => println!("{difference}"),
    }
    Ok(())
}

/// The differences by id and version, and how many versions they are about.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Difference {
    versions: Vec<VersionDifference>,
    added: usize,
    removed: usize,
    changed: usize,
    /// Changes inside a version or a major version that break those who have the old one.
    breaking: usize,
}

/// What became of one version of an object.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct VersionDifference {
    what: What,
    object: u16,
    version: String,
    name: String,
    /// The version that an added one is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    changes: Vec<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Added,
    Removed,
    Changed,
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
                    difference.push(What::Removed, key, &before.name);
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
        self.breaking += changes.iter().filter(|change| change.is_breaking).count();
        self.push(What::Changed, key, &now.name).changes = changes;
    }

    /// A version that was not there, compared with the one before it.
    fn add(&mut self, key: ObjectKey, now: &ObjectModel, old: &Models, new: &Models) {
        self.added += 1;
        let lowest = ObjectKey {
            id: key.id,
            version: ObjectVersion { major: 0, minor: 0 },
        };
        let before =
            |models: &'_ Models| models.range(lowest..key).next_back().map(|(key, _)| *key);
        let previous = before(old).max(before(new));
        let model = previous.and_then(|key| old.get(&key).or_else(|| new.get(&key)));
        let mut changes = model.map_or(Vec::new(), |model| compare::changes(model, now));
        let since = previous.map(|key| key.version);
        if since.is_some_and(|since| since.major != key.version.major) {
            // A new major version may break: that is what it is for.
            changes
                .iter_mut()
                .for_each(|change| change.is_breaking = false);
        }
        self.breaking += changes.iter().filter(|change| change.is_breaking).count();
        let version = self.push(What::Added, key, &now.name);
        version.since = since.map(|since| since.to_string());
        version.changes = changes;
    }

    fn push(&mut self, what: What, key: ObjectKey, name: &str) -> &mut VersionDifference {
        self.versions.push_mut(VersionDifference {
            what,
            object: key.id,
            version: key.version.to_string(),
            name: name.to_owned(),
            since: None,
            changes: Vec::new(),
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for version in &self.versions {
            writeln!(f, "{version}")?;
        }
        write!(
            f,
            "versions added: {}, removed: {}, changed: {}; breaking changes: {}",
            self.added, self.removed, self.changed, self.breaking
        )
    }
}

impl fmt::Display for VersionDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.what {
            What::Added => '+',
            What::Removed => '-',
            What::Changed => '~',
        };
        let VersionDifference {
            object,
            version,
            name,
            ..
        } = self;
        write!(f, "{sign} object {object} version {version}: {name}")?;
        if let Some(since) = &self.since {
            write!(f, "\n    since {since}:")?;
        }
        self.changes
            .iter()
            .try_for_each(|change| write!(f, "\n    {change}"))
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
        let text = difference.to_string();
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "~ object 3 version 1.0: Device!",
                "    object name: `Device` -> `Device!`",
                "+ object 3 version 1.1: Device",
                "    since 1.0:",
                "- object 4 version 1.0: Gone",
                "+ object 6 version 1.0: New",
                "versions added: 2, removed: 1, changed: 1; breaking changes: 0",
            ]
        );
        assert_eq!(Difference::between(&old, &old), Difference::default());
    }
}
