//! From files to plugins: find them, read them, check what they ask for, compile them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use lwm2m_server::{Hook, Reason};
use sha2::{Digest, Sha256};

use crate::config::{PluginConfig, PluginsConfig, check_name};
use crate::context::Allowance;
use crate::guest::Guest;
use crate::host::OpenError;
use crate::manifest::Manifest;
use crate::plugin::Version;
use crate::services::Services;
use crate::workers::Workers;
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
    pub(crate) manifest: Manifest,
    /// Where the manifest is; that of a single file is made up.
    pub(crate) manifest_file: Option<PathBuf>,
    pub(crate) config: PluginConfig,
    /// Of all of it.
    pub(crate) digest: [u8; 32],
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

/// The plugins whose files can be read, by name, and what is wrong with the others.
pub(crate) fn find(config: &PluginsConfig) -> (Vec<Source>, Vec<(String, LoadError)>) {
    let mut candidates: Vec<(String, PathBuf)> = Vec::new();
    let mut errors = Vec::new();
    if let Some(directory) = &config.directory {
        match candidates_in(directory) {
            Ok(found) => candidates = found,
            // The folder that nobody has named need not be there.
            Err(_) if !directory.exists() && !config.plugin.is_empty() => {}
            Err(error) => {
                let error = LoadError::new(directory, error.to_string());
                errors.push((
                    String::new(),
                    error.hint("make the folder, or name another"),
                ));
            }
        }
    }
    for named in &config.plugin {
        if let Some(source) = &named.source {
            candidates.retain(|(name, _)| *name != named.name);
            candidates.push((named.name.clone(), source.clone()));
        }
    }
    candidates.sort();
    let mut sources: Vec<Source> = Vec::new();
    for (name, place) in candidates {
        match read(&name, &place, config) {
            Ok(None) => {}
            Ok(Some(source)) if sources.iter().any(|known| known.name == source.name) => {
                let what = format!("there is another plugin called {}", source.name);
                errors.push((source.name, LoadError::new(&place, what)));
            }
            Ok(Some(source)) => sources.push(source),
            Err(error) => errors.push((name, error)),
        }
    }
    for named in config.plugin.iter().filter(|named| named.enabled) {
        let is_there = sources.iter().any(|source| source.name == named.name)
            || errors.iter().any(|(name, _)| *name == named.name);
        if !is_there {
            let place = config.directory.clone().unwrap_or_default();
            let what = format!("there is no plugin called {}", named.name);
            let hint = "put its file into the folder, or name it as its source";
            errors.push((named.name.clone(), LoadError::new(&place, what).hint(hint)));
        }
    }
    (sources, errors)
}

/// Where changes matter.
pub(crate) fn places(config: &PluginsConfig) -> Vec<PathBuf> {
    let sources = config
        .plugin
        .iter()
        .filter_map(|named| named.source.clone());
    config.directory.iter().cloned().chain(sources).collect()
}

/// The files and folders of a folder that may be plugins, with the names that they have.
fn candidates_in(directory: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_plugin = match path.is_dir() {
            true => path.join("plugin.toml").is_file(),
            false => Language::of(&path).is_some(),
        };
        if let (Some(stem), true) = (stem, is_plugin) {
            found.push((stem.to_owned(), path.clone()));
        }
    }
    Ok(found)
}

/// Reads a plugin; none for one that the configuration leaves out.
fn read(name: &str, place: &Path, config: &PluginsConfig) -> Result<Option<Source>, LoadError> {
    let folder = place.is_dir();
    let manifest_file = folder.then(|| place.join("plugin.toml"));
    let manifest = match &manifest_file {
        None => Manifest::of_file(name, place.into()),
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| LoadError::new(file, error.to_string()))?;
            Manifest::parse(&text).map_err(|error| LoadError::new(file, error))?
        }
    };
    check_name(&manifest.name).map_err(|why| LoadError::new(place, why))?;
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
    let length = std::fs::metadata(&file).map(|metadata| metadata.len());
    if length.is_ok_and(|length| length > CODE_MAX) {
        let what = format!("it is larger than {} MiB", CODE_MAX >> 20);
        return Err(LoadError::new(&file, what));
    }
    let code = std::fs::read(&file).map_err(|error| LoadError::new(&file, error.to_string()))?;
    let mut digest = Sha256::new();
    digest.update(&code);
    digest.update(format!("{manifest:?}{config:?}{language:?}"));
    Ok(Some(Source {
        name: manifest.name.clone(),
        language,
        file,
        code,
        manifest,
        manifest_file,
        config,
        digest: digest.finalize().into(),
    }))
}

/// The longest script or component, in bytes: components of some languages bring their runtime.
const CODE_MAX: u64 = 64 << 20;

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
}

/// Looks a plugin over, a file or a folder, as the server does when it loads it: with all
/// permissions that it asks for, and these settings.
///
/// # Errors
/// What is wrong, with the place where it is known.
pub fn check(place: &Path, settings: &toml::Table) -> Result<Checked, LoadError> {
    let refuse = |error: &dyn fmt::Display| LoadError::new(place, error.to_string());
    let (source, config) = alone(place, settings)?;
    let workers = Workers::new(2).map_err(|error| refuse(&error))?;
    let services = Services::open(&config, workers.handle()).map_err(|error| refuse(&error))?;
    let loader = Loader::new(&config, Arc::new(services)).map_err(|error| refuse(&error))?;
    let version = loader.load(&source, 1)?;
    let has = version.guest.hooks();
    Ok(Checked {
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
    let first = read(stem, place, &config)?;
    let first = first.ok_or_else(|| LoadError::new(place, "it is left out"))?;
    // Its manifest may give it another name than its folder has.
    let own = PluginConfig {
        grant: first.manifest.permissions.clone(),
        ..named(&first.name)
    };
    let source = Source {
        config: own,
        ..first
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

    /// The same compiler for plugins with other services.
    pub(crate) fn with(&self, services: &Arc<Services>) -> Loader {
        Loader {
            services: Arc::clone(services),
            #[cfg(feature = "wasm")]
            wasm: Arc::clone(&self.wasm),
        }
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
        });
        let guest: Arc<dyn Guest> = match source.language {
            #[cfg(feature = "rhai")]
            Language::Rhai => Arc::new(crate::script::Script::load(
                source,
                &allowance,
                &self.services,
            )?),
            #[cfg(feature = "wasm")]
            Language::Wasm => Arc::new(self.wasm.load(source, &allowance, &self.services)?),
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
            digest: source.digest,
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
