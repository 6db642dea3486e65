//! `plugin new`: a plugin to begin with, in a folder of its own.

use std::path::Path;

use anyhow::{Context, bail};
use lwm2m_plugins::check_name;
use serde_json::json;

/// The languages that there is a beginning for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// A script: nothing to build.
    Rhai,
    /// A component, built by cargo.
    Rust,
    /// A component, built by clang.
    C,
    /// A component, built by componentize-qjs.
    Js,
    /// A component, built by componentize-py.
    Python,
}

/// The files of a language, by their names; `{name}` and the like are put in.
type Files = &'static [(&'static str, &'static str)];

macro_rules! template {
    ($file:literal) => {
        include_str!(concat!("../../../templates/plugin/", $file))
    };
}

macro_rules! sdk {
    ($file:literal) => {
        include_str!(concat!("../../../../../../plugins/sdk/", $file))
    };
}

/// The contract that components are built with.
const WIT: &str = include_str!("../../../../../../plugins/wit/lwm2m-plugin.wit");

/// The crate that Rust is written with: it is not published, so each plugin has it beside itself.
const SDK: Files = &[
    ("sdk/Cargo.toml", sdk!("Cargo.toml")),
    ("sdk/src/lib.rs", sdk!("src/lib.rs")),
];

/// What is generated of the contract for C (`cargo xtask codegen`), one of them an object file.
const BINDINGS: &[(&str, &[u8])] = &[
    (
        "bindings/registration_plugin.h",
        include_bytes!("../../../templates/plugin/c/bindings/registration_plugin.h"),
    ),
    (
        "bindings/registration_plugin.c",
        include_bytes!("../../../templates/plugin/c/bindings/registration_plugin.c"),
    ),
    (
        "bindings/registration_plugin_component_type.o",
        include_bytes!("../../../templates/plugin/c/bindings/registration_plugin_component_type.o"),
    ),
];

const COMMON: Files = &[
    ("plugin.toml", template!("plugin.toml")),
    ("tests/registration.toml", template!("registration.toml")),
];

impl Language {
    fn files(self) -> Files {
        match self {
            Language::Rhai => &[
                ("{name}.rhai", template!("rhai/plugin.rhai")),
                ("README.md", template!("rhai/README.md")),
            ],
            Language::Rust => &[
                ("Cargo.toml", template!("rust/Cargo.toml")),
                ("Cargo.lock", template!("rust/Cargo.lock")),
                ("src/lib.rs", template!("rust/lib.rs")),
                ("README.md", template!("rust/README.md")),
            ],
            Language::C => &[
                ("plugin.c", template!("c/plugin.c")),
                ("Makefile", template!("c/Makefile")),
                ("README.md", template!("c/README.md")),
            ],
            Language::Js => &[
                ("plugin.js", template!("js/plugin.js")),
                ("package.json", template!("js/package.json")),
                ("README.md", template!("js/README.md")),
            ],
            Language::Python => &[
                ("app.py", template!("python/app.py")),
                ("requirements.txt", template!("python/requirements.txt")),
                ("README.md", template!("python/README.md")),
            ],
        }
    }
}

pub(super) fn run(
    name: &str,
    language: Language,
    directory: &Path,
    json: bool,
) -> anyhow::Result<()> {
    let folder = directory.join(name);
    if folder.exists() {
        bail!("{} is there already; choose another name", folder.display());
    }
    // The name stands in the files: one that cannot be is refused before anything is written.
    if let Err(why) = check_name(name) {
        bail!("{name:?} is no name of a plugin: {why}");
    }
    if language == Language::Rust && !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        bail!("{name:?} is no name of a crate: it begins with a letter");
    }
    let ending = match language {
        Language::Rhai => "rhai",
        _ => "wasm",
    };
    let filled = |text: &str| {
        text.replace("{name}", name)
            .replace("{snake}", &name.replace('-', "_"))
            .replace("{lower}", &name.to_ascii_lowercase())
            .replace("{ending}", ending)
    };
    let write = |file: &str, content: &[u8]| {
        let path = folder.join(file);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&path, content))
            .with_context(|| format!("cannot write {}", path.display()))
    };
    for (file, text) in COMMON.iter().chain(language.files()) {
        write(&filled(file), filled(text).as_bytes())?;
    }
    if language == Language::Rust {
        for (file, text) in SDK {
            write(file, text.as_bytes())?;
        }
    }
    if language == Language::C {
        for (file, content) in BINDINGS {
            write(file, content)?;
        }
    }
    if language != Language::Rhai {
        write("wit/lwm2m-plugin.wit", WIT.as_bytes())?;
    }
    if json {
        say!("{}", json!({ "folder": folder }));
        return Ok(());
    }
    let place = folder.display();
    let build = match language {
        Language::Rhai => String::new(),
        _ => format!("  (build it as {place}/README.md says)\n"),
    };
    say!(
        "{place} is a plugin. Next:\n\n{build}  lwm2m-server plugin check {place}\n  lwm2m-server \
         plugin test {place}\n  lwm2m-server plugin run {place}\n\nA server whose folder of plugins \
         is {} loads it at once, and again whenever it is saved.",
        directory.display(),
    );
    Ok(())
}
