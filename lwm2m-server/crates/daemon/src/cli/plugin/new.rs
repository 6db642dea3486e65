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
    /// A component, built by componentize-js.
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

/// The contract that components are built with.
const WIT: &str = include_str!("../../../../../../plugins/wit/lwm2m-plugin.wit");

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
                ("build.mjs", template!("js/build.mjs")),
                ("package.json", template!("js/package.json")),
                ("README.md", template!("js/README.md")),
            ],
            Language::Python => &[
                ("app.py", template!("python/app.py")),
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
            .replace("{folder}", &folder.to_string_lossy())
    };
    let write = |file: &str, text: &str| {
        let path = folder.join(file);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&path, text))
            .with_context(|| format!("cannot write {}", path.display()))
    };
    for (file, text) in COMMON.iter().chain(language.files()) {
        write(&filled(file), &filled(text))?;
    }
    if language != Language::Rhai {
        write("wit/lwm2m-plugin.wit", WIT)?;
    }
    if json {
        println!("{}", json!({ "folder": folder }));
        return Ok(());
    }
    let place = folder.display();
    let build = match language {
        Language::Rhai => String::new(),
        _ => format!("  (build it as {place}/README.md says)\n"),
    };
    println!(
        "{place} is a plugin. Next:\n\n{build}  lwm2m-server plugin check {place}\n  lwm2m-server \
         plugin test {place}\n  lwm2m-server plugin run {place}\n\nA server whose folder of plugins \
         is {} loads it at once, and again whenever it is saved.",
        directory.display(),
    );
    Ok(())
}
