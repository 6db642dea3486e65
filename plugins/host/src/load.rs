//! From the files of a plugin to the plugin: read them, check what it asks for, compile it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use lwm2m_server::{Hook, Reason};

use crate::checksum::{Checksum, checksum, combined};
use crate::config::{PluginConfig, PluginsConfig, check_name};
use crate::context::Allowance;
use crate::guest::{Doubt, Guest};
use crate::host::OpenError;
use crate::manifest::Manifest;
use crate::pace::Pace;
use crate::plugin::Version;
use crate::services::Services;
use crate::stamp::Stamp;
use crate::{Permission, config};

/// The languages of plugins, by the endings of their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// `.rhai`
    Rhai,
    /// `.wasm`
    Wasm,
}

impl Language {
    pub(crate) fn of(file: &Path) -> Option<Language> {
        match file.extension()?.to_str()? {
            "rhai" => Some(Language::Rhai),
            "wasm" => Some(Language::Wasm),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Language::Rhai => "rhai",
            Language::Wasm => "wasm",
        }
    }
}

/// A plugin as its files have it.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) language: Language,
    pub(crate) file: PathBuf,
    pub(crate) code: Vec<u8>,
    pub(crate) seen: Seen,
    pub(crate) manifest: Manifest,
    /// Where the manifest is; that of a single file is made up.
    pub(crate) manifest_file: Option<PathBuf>,
    pub(crate) config: PluginConfig,
    /// Of all of it.
    pub(crate) checksum: Checksum,
}

/// The code of a plugin, as it was when it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// What its file looked like; none where that says nothing.
    pub(crate) stamp: Option<Stamp>,
    pub(crate) checksum: Checksum,
}

/// What the files of a plugin are now.
pub(crate) enum Read {
    /// As those of the one of this name that is in service.
    AsBefore(String),
    Other(Box<Source>),
}

impl Read {
    pub(crate) fn name(&self) -> &str {
        match self {
            Read::AsBefore(name) => name,
            Read::Other(source) => &source.name,
        }
    }
}

/// Why a plugin, or a fixture of one, is not loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LoadError {
    /// The file that is wrong.
    pub file: PathBuf,
    /// From 1, where it is known.
    pub line: Option<usize>,
    /// From 1, where it is known.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl LoadError {
    pub(crate) fn new(file: &Path, message: impl Into<String>) -> LoadError {
        LoadError {
            file: file.to_owned(),
            line: None,
            column: None,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn at(mut self, line: Option<usize>, column: Option<usize>) -> LoadError {
        (self.line, self.column) = (line, column);
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> LoadError {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn reason(&self) -> Reason {
        let reason = Reason::new("plugin-refused", self.to_string());
        let hint =
            "the version before it stays in service, if there was one; mend the file and save";
        reason.hint(self.hint.clone().unwrap_or_else(|| hint.to_owned()))
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        write!(f, ": {}", self.message)
    }
}

/// Reads a plugin; none for one that the configuration leaves out.
pub(crate) fn read(
    name: &str,
    place: &Path,
    config: &PluginsConfig,
    in_service: &dyn Fn(&str) -> Option<Arc<Version>>,
) -> Result<Option<Read>, LoadError> {
    if !place.exists() {
        let error = LoadError::new(place, "there is no such file or folder");
        return Err(error.hint("`lwm2m-server plugin new NAME` begins a plugin in plugins/NAME"));
    }
    let folder = place.is_dir();
    let manifest_file = folder.then(|| place.join("plugin.toml"));
    let manifest = match &manifest_file {
        None => Manifest::of_file(name, place.into()),
        Some(file) => {
            let text =
                crate::file::text(file, MANIFEST_MAX).map_err(|error| match file.exists() {
                    true => error,
                    false => error.hint(
                        "the folder of a plugin has one; `lwm2m-server plugin new NAME` writes it",
                    ),
                })?;
            Manifest::parse(file, &text)?
        }
    };
    check_name(&manifest.name).map_err(|why| {
        LoadError::new(place, format!("its name is that of a plugin: {why}"))
            .hint("call it something else, as in my-plugin.rhai")
    })?;
    let file = match folder {
        true => place.join(&manifest.source),
        false => place.to_owned(),
    };
    let named = config.plugin.iter().find(|own| own.name == manifest.name);
    let config = named
        .cloned()
        .unwrap_or_else(|| PluginConfig::new(&manifest.name));
    if !config.enabled {
        return Ok(None);
    }
    let language = Language::of(&file).ok_or_else(|| {
        LoadError::new(&file, "this is no plugin").hint("plugins end in .rhai or .wasm")
    })?;
    let settings = format!("{file:?}{manifest:?}{config:?}{language:?}");
    let now = SystemTime::now();
    let stamp = std::fs::metadata(&file).ok();
    let stamp = stamp.and_then(|metadata| Stamp::of(&metadata, now));
    let before = in_service(&manifest.name);
    if let Some(version) = &before
        && stamp.is_some()
        && version.seen.stamp == stamp
        && version.checksum == combined(version.seen.checksum, &settings)
    {
        return Ok(Some(Read::AsBefore(manifest.name)));
    }
    let code = crate::file::bytes(&file, CODE_MAX).map_err(|error| match (folder, language) {
        _ if file.exists() => error,
        (true, Language::Wasm) => error.hint(
            "build it first, as the README.md of `plugin new` says, and copy it beside its manifest",
        ),
        (true, Language::Rhai) => error.hint("plugin.toml names it as its source"),
        (false, _) => error,
    })?;
    let seen = Seen {
        stamp,
        checksum: checksum(&code),
    };
    let checksum = combined(seen.checksum, &settings);
    if before.is_some_and(|version| version.checksum == checksum) {
        return Ok(Some(Read::AsBefore(manifest.name)));
    }
    Ok(Some(Read::Other(Box::new(Source {
        name: manifest.name.clone(),
        language,
        file,
        code,
        seen,
        manifest,
        manifest_file,
        config,
        checksum,
    }))))
}

/// The longest script or component, in bytes: components of some languages bring their runtime.
const CODE_MAX: u64 = 64 << 20;

/// The longest manifest, in bytes.
const MANIFEST_MAX: u64 = 256 << 10;

/// A plugin that could be loaded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Checked {
    /// What it says about itself.
    pub manifest: Manifest,
    /// `rhai` or `wasm`.
    pub language: &'static str,
    /// The hooks that it has.
    pub hooks: Vec<Hook>,
    /// What is doubtful in it, although it loads.
    pub doubts: Vec<LoadError>,
}

/// Looks a plugin over, a file or a folder, as the server does when it loads it: with all
/// permissions that it asks for, and these settings. A component that was compiled is kept in `cache`, as
/// in [`PluginsConfig::cache`]; a folder that cannot be used costs time, and is no error.
///
/// # Errors
/// What is wrong, with the place where it is known.
pub fn check(
    place: &Path,
    settings: &toml::Table,
    cache: Option<&Path>,
) -> Result<Checked, LoadError> {
    let refuse = |error: &dyn fmt::Display| LoadError::new(place, error.to_string());
    let (source, config) = alone(place, settings)?;
    let services = Services::open(&config).map_err(|error| refuse(&error))?;
    let loader = Loader::alone(&source, &config, cache, Arc::new(services));
    let version = loader.map_err(|error| refuse(&error))?.load(&source, 1)?;
    let has = version.guest.hooks();
    let doubts = version.guest.doubts(&version.allowance.permissions);
    let doubt =
        |doubt: Doubt| LoadError::new(&source.file, doubt.what).at(doubt.line, doubt.column);
    Ok(Checked {
        doubts: doubts.into_iter().map(doubt).collect(),
        manifest: source.manifest,
        language: source.language.name(),
        hooks: Hook::ALL
            .into_iter()
            .filter(|hook| has.contains(*hook))
            .collect(),
    })
}

/// A plugin without any other: with all permissions that it asks for, and these settings.
///
/// # Errors
/// It cannot be read.
pub(crate) fn alone(
    place: &Path,
    settings: &toml::Table,
) -> Result<(Source, PluginsConfig), LoadError> {
    let stem = place.file_stem().and_then(|stem| stem.to_str());
    let stem = stem.unwrap_or_default();
    let mut config = PluginsConfig {
        directory: None,
        ..PluginsConfig::default()
    };
    let named = |name: &str| PluginConfig {
        config: settings.clone(),
        ..PluginConfig::new(name)
    };
    config.plugin.push(named(stem));
    let Some(Read::Other(first)) = read(stem, place, &config, &|_| None)? else {
        return Err(LoadError::new(place, "it is left out"));
    };
    // Its manifest may give it another name than its folder has.
    let own = PluginConfig {
        grant: first.manifest.permissions.clone(),
        ..named(&first.name)
    };
    let source = Source {
        config: own,
        ..*first
    };
    Ok((source, config))
}

/// Compiles plugins.
pub(crate) struct Loader {
    services: Arc<Services>,
    #[cfg(feature = "wasm")]
    wasm: Arc<crate::wasm::Runtime>,
}

impl Loader {
    pub(crate) fn new(
        config: &PluginsConfig,
        services: Arc<Services>,
    ) -> Result<Loader, OpenError> {
        let _ = config;
        Ok(Loader {
            services,
            #[cfg(feature = "wasm")]
            wasm: crate::wasm::Runtime::new(config.cache.as_deref(), config.fuel)
                .map(Arc::new)
                .map_err(|error| OpenError::Engine(error.to_string()))?,
        })
    }

    /// A compiler for a plugin without any other, which does without a cache that cannot be used.
    pub(crate) fn alone(
        source: &Source,
        config: &PluginsConfig,
        cache: Option<&Path>,
        services: Arc<Services>,
    ) -> Result<Loader, OpenError> {
        if let (Language::Wasm, Some(cache)) = (source.language, cache) {
            let with_cache = PluginsConfig {
                cache: Some(cache.to_owned()),
                ..config.clone()
            };
            match Loader::new(&with_cache, Arc::clone(&services)) {
                Ok(loader) => return Ok(loader),
                Err(error) => tracing::debug!(%error, "compiled plugins are not kept"),
            }
        }
        Loader::new(config, services)
    }

    /// The same compiler for plugins with other services.
    pub(crate) fn with(&self, services: &Arc<Services>) -> Loader {
        Loader {
            services: Arc::clone(services),
            #[cfg(feature = "wasm")]
            wasm: Arc::clone(&self.wasm),
        }
    }

    /// Keeps what was compiled last: the same is loaded again.
    pub(crate) fn remember_compiled(&self) {
        #[cfg(feature = "wasm")]
        self.wasm.remember_compiled();
    }

    /// Compiles a plugin, checks it, and calls its `init`.
    ///
    /// # Errors
    /// What is wrong, with the place where it is known. Nothing is in service then.
    pub(crate) fn load(&self, source: &Source, generation: u64) -> Result<Version, LoadError> {
        let permissions = granted(source)?;
        let allowance = Arc::new(Allowance {
            plugin: source.name.as_str().into(),
            permissions,
            limits: source.config.limits,
            services: Arc::clone(&self.services),
        });
        let guest = match source.language {
            #[cfg(feature = "rhai")]
            Language::Rhai => {
                Guest::Script(Box::new(crate::script::Script::load(source, &allowance)?))
            }
            #[cfg(feature = "wasm")]
            Language::Wasm => Guest::Component(self.wasm.load(source, &allowance)?),
            #[allow(unreachable_patterns)]
            _ => {
                let what = format!("this server has no {}", source.language.name());
                let hint = "build it with the feature of this name";
                return Err(LoadError::new(&source.file, what).hint(hint));
            }
        };
        Ok(Version {
            guest,
            language: source.language,
            config: source.config.clone(),
            manifest: source.manifest.clone(),
            allowance,
            pace: Pace::new(Instant::now(), source.config.limits.shard()),
            seen: source.seen,
            checksum: source.checksum,
            generation,
            loaded_at: SystemTime::now(),
        })
    }
}

/// What a plugin asks for and gets: all of it, or it is not loaded.
fn granted(source: &Source) -> Result<Vec<Permission>, LoadError> {
    let file = source.manifest_file.as_deref().unwrap_or(&source.file);
    let refuse = |what: String| LoadError::new(file, what);
    let asked = source.manifest.permissions().map_err(refuse)?;
    let granted: Result<Vec<Permission>, _> = source
        .config
        .grant
        .iter()
        .map(|text| text.parse())
        .collect();
    let granted = granted
        .map_err(|error| refuse(format!("plugins.plugin {:?}, grant: {error}", source.name)))?;
    for wanted in &asked {
        if !granted.iter().any(|has| has.covers(wanted)) {
            let what = format!("it needs {wanted}, which it is not granted");
            let hint = format!(
                "when you trust it with that, write grant = [\"{wanted}\"] in its \
                 [[plugins.plugin]], name = {:?}",
                source.name
            );
            return Err(refuse(what).hint(hint));
        }
    }
    Ok(asked)
}

/// What a plugin's `init` gets: its own table as JSON.
pub(crate) fn config_json(config: &config::PluginConfig) -> String {
    serde_json::to_string(&config.config).unwrap_or_else(|_| "{}".to_owned())
}
