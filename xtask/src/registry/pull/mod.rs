//! `cargo xtask registry pull`: object definitions from a registry into a folder.

mod content;
mod fetch;
mod file_path;
mod http;
mod lock;
mod plan;
mod progress;
mod redirect;
mod retry_after;
mod selection;
mod source;
mod staging;
mod sum;
mod swap;
mod target;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use lwm2m_registry::{Index, Parser};

use self::file_path::FilePath;
use self::http::Patience;
use self::lock::Lock;
use self::plan::{Plan, Planned};
use self::progress::Progress;
use self::selection::Selection;
use self::source::{FetchError, PUBLIC_REGISTRY, Source};
use self::staging::Staging;
use self::sum::Sum;
use self::target::Target;

/// Most changed files that are named one by one.
const NAMED_MAX: usize = 20;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A folder with DDF.xml, or the URL of one; `{commit}` in it stands for the commit.
    ///
    /// Without it: the place in the lock with --locked, else the public registry of OMA.
    #[arg(long)]
    source: Option<String>,
    /// The commit to take, as 40 hexadecimal digits.
    #[arg(long)]
    commit: Option<String>,
    /// Only these objects, as in 3,5,3303..3310; all their versions.
    #[arg(long)]
    only: Option<Selection>,
    /// The folder to fill; its own files stay.
    #[arg(long, default_value = "objects")]
    into: PathBuf,
    /// Fails when the content differs from the lock in the folder.
    #[arg(long, conflicts_with = "partial")]
    locked: bool,
    /// Replaces definitions that were edited here, or that came from elsewhere.
    #[arg(long)]
    overwrite: bool,
    /// Takes what can be had when some files fail; still ends with an error.
    #[arg(long)]
    partial: bool,
    /// Files that are fetched at the same time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    jobs: u8,
    /// Attempts after the first one when a request fails.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=20))]
    retries: u32,
    /// Seconds that a request may take.
    #[arg(long, default_value = "30", value_parser = seconds)]
    timeout: Duration,
    /// Seconds before the second attempt; doubles with each one, and is longer when a server asks
    /// for it.
    #[arg(long, default_value = "1", value_parser = seconds)]
    retry_pause: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds <= 3600.0);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "write seconds, 0 to 3600".to_owned())
}

/// A file that could not be had: which, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    file: String,
    reason: String,
    advice: String,
}

impl Failure {
    fn of(file: &FilePath, error: &FetchError) -> Failure {
        Failure {
            file: file.to_string(),
            reason: error.to_string(),
            advice: error.advice().to_owned(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.file, self.reason, self.advice)
    }
}

/// What is otherwise in a folder than its lock says, by file; nothing when there is no lock.
pub(crate) fn departures(folder: &Path) -> anyhow::Result<Vec<(PathBuf, &'static str)>> {
    let Some(lock) = Lock::read(folder)? else {
        return Ok(Vec::new());
    };
    let mut departures = Vec::new();
    for (path, sum) in &lock.files {
        let file = path.under(folder);
        match lock::sum_of(&file)? {
            None => departures.push((file, "it was pulled, and is gone")),
            Some(found) if found != *sum => {
                departures.push((file, "it was edited since it was pulled"));
            }
            Some(_) => {}
        }
    }
    Ok(departures)
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    Pull::begin(arguments)?.run()
}

/// One run of the command.
struct Pull<'a> {
    arguments: &'a Arguments,
    target: Target,
    source: Source,
    /// What is being put together: where from and which objects, and the files so far.
    lock: Lock,
    only: Option<Selection>,
    failures: Vec<Failure>,
}

impl<'a> Pull<'a> {
    fn begin(arguments: &'a Arguments) -> anyhow::Result<Pull<'a>> {
        let target = Target::open(&arguments.into)?;
        let locked = match (arguments.locked, &target.lock) {
            (false, _) => None,
            (true, Some(lock)) => Some(lock),
            (true, None) => bail!(
                "--locked, but there is no {} in {}",
                lock::LOCK_NAME,
                arguments.into.display()
            ),
        };
        let of_lock = |field: fn(&Lock) -> &Option<String>| locked.and_then(|l| field(l).clone());
        let given = arguments.source.clone();
        let commit = arguments.commit.clone();
        let place = given.clone().or_else(|| of_lock(|lock| &lock.source));
        let place = match (place, locked) {
            (Some(place), _) => place,
            (None, None) => PUBLIC_REGISTRY.to_owned(),
            (None, Some(_)) => bail!("the lock names no place in the web: give --source"),
        };
        // The commit of the lock belongs to the place of the lock.
        let commit = commit.or_else(|| match given {
            None => of_lock(|lock| &lock.commit),
            Some(_) => None,
        });
        let only = match (&arguments.only, of_lock(|lock| &lock.only)) {
            (Some(only), _) => Some(only.clone()),
            (None, Some(text)) => {
                let only: Result<Selection, String> = text.parse();
                Some(only.map_err(anyhow::Error::msg).context("the lock")?)
            }
            (None, None) => None,
        };
        let patience = Patience {
            timeout: arguments.timeout,
            retries: arguments.retries,
            pause: arguments.retry_pause,
        };
        let source = Source::new(&place, commit.as_deref(), patience)?;
        let lock = Lock {
            // Where a folder was on this computer is nobody's business.
            source: matches!(source, Source::Http(_)).then_some(place),
            commit,
            only: only.as_ref().map(Selection::to_string),
            files: BTreeMap::new(),
        };
        Ok(Pull {
            arguments,
            target,
            source,
            lock,
            only,
            failures: Vec::new(),
        })
    }

    fn run(mut self) -> anyhow::Result<()> {
        let (index, content) = self.index()?;
        let sum = Sum::of(&content);
        self.compare_with_lock(&FilePath::index(), &sum)
            .map_err(anyhow::Error::msg)?;
        let plan = Plan::of(&index, self.only.as_ref());
        self.failures.extend(plan.failures);
        let names: Vec<&FilePath> = plan.files.iter().map(|file| &file.path).collect();
        self.target.may_replace(&names, self.arguments.overwrite)?;

        let (mut staging, resumed) = Staging::open(&self.target.path, &self.lock, &sum)?;
        if !resumed.contains_key(&FilePath::index()) {
            staging.store(&FilePath::index(), &content, &sum)?;
        }
        self.lock.files.insert(FilePath::index(), sum);
        self.fetch(&plan.files, resumed, &mut staging)?;
        self.missing_of_lock();
        self.finish(staging, plan.unpublished)
    }

    fn index(&self) -> anyhow::Result<(Index, Vec<u8>)> {
        let path = FilePath::index();
        let content = self
            .source
            .fetch(&path)
            .map_err(|error| anyhow::Error::msg(Failure::of(&path, &error).to_string()))?;
        let content = sum::normalised(content);
        let index = Parser::default().parse_index(&content, path.as_str());
        let index = index.context("this is no index of a registry: check --source")?;
        Ok((index, content))
    }

    fn fetch(
        &mut self,
        files: &[Planned],
        mut resumed: BTreeMap<FilePath, Sum>,
        staging: &mut Staging,
    ) -> anyhow::Result<()> {
        let mut missing = Vec::new();
        for file in files {
            match resumed.remove(&file.path) {
                Some(sum) if self.compare_with_lock(&file.path, &sum).is_ok() => {
                    self.lock.files.insert(file.path.clone(), sum);
                }
                _ => missing.push(file.clone()),
            }
        }
        let done = files.len() - missing.len();
        if done > 0 {
            eprintln!("going on after {done} of {} files", files.len());
        }
        let jobs = usize::from(self.arguments.jobs);
        let mut progress = Progress::new(done, files.len());
        let mut arrived = Vec::new();
        let mut failures = Vec::new();
        fetch::each(&self.source, &missing, jobs, |file, answer| {
            progress.step(file.path.as_str());
            let content = match answer {
                Ok(content) => sum::normalised(content),
                Err(FetchError::NotFound) if file.is_companion() => return Ok(()),
                Err(error) => {
                    failures.push(Failure::of(&file.path, &error));
                    return Ok(());
                }
            };
            let sum = Sum::of(&content);
            let checked = content::check(file, &content)
                .and_then(|()| self.compare_with_lock(&file.path, &sum));
            if let Err(failure) = checked {
                failures.push(failure);
                return Ok(());
            }
            staging.store(&file.path, &content, &sum)?;
            arrived.push((file.path.clone(), sum));
            Ok(())
        })?;
        progress.finish();
        self.failures.append(&mut failures);
        self.lock.files.extend(arrived);
        Ok(())
    }

    /// With `--locked`, whether a file is as the lock of the folder says.
    fn compare_with_lock(&self, path: &FilePath, sum: &Sum) -> Result<(), Failure> {
        let Some(lock) = self.target.lock.as_ref().filter(|_| self.arguments.locked) else {
            return Ok(());
        };
        let reason = match lock.files.get(path) {
            Some(expected) if expected == sum => return Ok(()),
            Some(expected) => format!("its sum is {sum}, the lock says {expected}"),
            None => "it is not in the lock".to_owned(),
        };
        Err(Failure {
            file: path.to_string(),
            reason,
            advice: "the registry changed: pull without --locked to accept it".to_owned(),
        })
    }

    /// With `--locked`, files of the lock that nothing names any more.
    fn missing_of_lock(&mut self) {
        let Some(lock) = self.target.lock.as_ref().filter(|_| self.arguments.locked) else {
            return;
        };
        let files = lock.files.keys();
        for path in files.filter(|path| !self.lock.files.contains_key(path)) {
            let file = path.to_string();
            if !self.failures.iter().any(|failure| failure.file == file) {
                self.failures.push(Failure {
                    file,
                    reason: "it is in the lock, but not in the registry".to_owned(),
                    advice: "the registry changed: pull without --locked to accept it".to_owned(),
                });
            }
        }
    }

    fn finish(mut self, staging: Staging, unpublished: usize) -> anyhow::Result<()> {
        self.failures.sort_by(|a, b| a.file.cmp(&b.file));
        for failure in &self.failures {
            eprintln!("error: {failure}");
        }
        let failed = self.failures.len();
        let into = self.arguments.into.display();
        if failed > 0 && !self.arguments.partial {
            if self.lock.source.is_none() {
                staging.discard()?;
                bail!("{failed} files failed, {into} is as it was");
            }
            let kept = staging.folder().display();
            bail!(
                "{failed} files failed, {into} is as it was; what arrived is in {kept}, and the \
                 same command goes on from there"
            );
        }
        let before = self.target.lock.clone().unwrap_or_default();
        let is_as_before = self.target.lock.as_ref() == Some(&self.lock);
        if is_as_before && self.lock.is_true_of(&self.target.path)? {
            staging.discard()?;
        } else {
            let carried = self.target.carried(&self.lock)?;
            staging.finish(&self.lock, &carried)?;
        }
        report(&before, &self.lock);
        println!(
            "{into}: files: {}, versions without a file: {unpublished}",
            self.lock.files.len()
        );
        match failed {
            0 => Ok(()),
            _ => bail!("{failed} files failed and are missing in {into}"),
        }
    }
}

/// Says what is different from the pull before.
fn report(before: &Lock, now: &Lock) {
    let files = now.files.iter();
    let added = files
        .clone()
        .filter(|(path, _)| !before.files.contains_key(path));
    let changed = files.filter(|(path, sum)| {
        let known = before.files.get(path);
        known.is_some_and(|known| known != *sum)
    });
    let removed = before
        .files
        .keys()
        .filter(|path| !now.files.contains_key(path));
    let changed: Vec<&FilePath> = changed.map(|(path, _)| path).collect();
    for path in changed.iter().take(NAMED_MAX) {
        println!("changed in place: {path}");
    }
    println!(
        "added: {}, changed: {}, removed: {}",
        added.count(),
        changed.len(),
        removed.count()
    );
}
