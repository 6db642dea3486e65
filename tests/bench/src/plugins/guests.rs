//! The plugin that is measured, in each form.

#[path = "../../../it/tests/components.rs"]
mod components;

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use lwm2m_plugins::{PluginHost, PluginsConfig};
use tempfile::TempDir;

use components::guest::{Guest, answer_words};
use components::text::{Data, HELPERS};

/// A form of the plugin.
///
/// *on_register* counts the links of object 3303 and annotates the sum; with an endpoint name that
/// begins with `loop` it never comes back, in a component when it is told so. *transform* takes each number times
/// 1.8 and adds 32.
pub(super) enum Form {
    Script,
    /// With all hooks, and with those of registration alone.
    Source {
        all: Vec<u8>,
        alone: Vec<u8>,
    },
    Text,
}

/// The case of a component that is asked about registrations and nothing else.
pub(super) const ALONE: &str = "alone";

const SCRIPT: &str = r#"
fn on_register(registration) {
    if registration.endpoint.starts_with("loop") { loop {} }
    let sensors = registration.instances(3303).len();
    annotate(#{ sensors: sensors })
}
fn transform(batch) {
    let changed = [];
    for m in batch.measurements {
        m.value = m.value * 1.8 + 32.0;
        changed.push(m);
    }
    replace(changed)
}
"#;

impl Form {
    /// The script, and components in all ways that there are here.
    pub(super) fn all() -> Vec<Form> {
        let source = components::source::built()
            .zip(components::source::alone())
            .map(|(all, alone)| Form::Source { all, alone });
        [Form::Script, Form::Text]
            .into_iter()
            .chain(source)
            .collect()
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Form::Script => "rhai",
            Form::Source { .. } => "wasm, Rust",
            Form::Text => "wasm, text",
        }
    }

    /// What it is.
    pub(super) fn told(&self) -> String {
        match self {
            Form::Script => "a script in Rhai".to_owned(),
            Form::Source { all, alone } => format!(
                "a component of {} KiB, of {} KiB with on_register alone, built from tests/guest \
                 for wasm32-wasip2",
                all.len() / 1024,
                alone.len() / 1024
            ),
            Form::Text => "a component of WebAssembly text, built without a toolchain".to_owned(),
        }
    }

    pub(super) fn file(&self) -> &'static str {
        match self {
            Form::Script => "bench.rhai",
            _ => "bench.wasm",
        }
    }

    /// What is in its file.
    pub(super) fn code(&self, case: &str) -> Vec<u8> {
        match self {
            Form::Script => SCRIPT.as_bytes().to_vec(),
            Form::Source { alone, .. } if case == ALONE => alone.clone(),
            Form::Source { all, .. } => all.clone(),
            Form::Text => text(case).build(),
        }
    }
}

fn text(case: &str) -> Guest {
    let mut data = Data::default();
    let (name, len) = data.text("sensors");
    // "loop"
    let loops = match case {
        "loop" => {
            "(if (i32.eq (i32.load (i32.load offset=8 (local.get $0))) (i32.const 0x706f6f6c))
               (then (loop $again (br $again))))"
        }
        _ => "",
    };
    let counts = format!(
        "{loops}
         (call $begin)
         (local.set $a (i32.load offset=104 (local.get $0)))
         (local.set $b (i32.load offset=108 (local.get $0)))
         (local.set $l (i64.const 0))
         (block $end (loop $next
           (br_if $end (i32.eqz (local.get $b)))
           (if (i32.eq (i32.load16_u offset=2 (local.get $a)) (i32.const 3303))
             (then (local.set $l (i64.add (local.get $l) (i64.const 1)))))
           (local.set $a (i32.add (local.get $a) (i32.const 4)))
           (local.set $b (i32.sub (local.get $b) (i32.const 1)))
           (br $next)))
         (call $number (local.get $l))
         (call $annotate {name} {len})"
    );
    let replace = [
        "(i32.const 2)",
        "(i32.load offset=56 (local.get $0))",
        "(i32.load offset=60 (local.get $0))",
    ];
    let converts = format!(
        "(local.set $a (i32.load offset=56 (local.get $0)))
         (local.set $b (i32.load offset=60 (local.get $0)))
         (block $end (loop $next
           (br_if $end (i32.eqz (local.get $b)))
           (if (i32.eq (i32.load8_u offset=32 (local.get $a)) (i32.const 4))
             (then (f64.store offset=40 (local.get $a) (f64.add (f64.const 32)
               (f64.mul (f64.const 1.8) (f64.load offset=40 (local.get $a)))))))
           (local.set $a (i32.add (local.get $a) (i32.const 48)))
           (local.set $b (i32.sub (local.get $b) (i32.const 1)))
           (br $next)))
         {}",
        answer_words(&replace)
    );
    let registers = |world| {
        let guest = Guest::of(world).helpers(HELPERS);
        guest.does("on-register", counts).data(data.bytes())
    };
    match case {
        ALONE => registers("registration-plugin"),
        _ => registers("plugin").does("transform", converts),
    }
}

/// A folder with the plugin, and settings for it.
pub(super) struct Hosted {
    pub(super) folder: TempDir,
}

impl Hosted {
    /// The plugin alone, doing this. Its time limits are none that a busy machine meets, but for one
    /// that loops, which keeps those that are the default and lets devices in.
    pub(super) fn new(form: &Form, case: &str) -> anyhow::Result<Hosted> {
        let folder = tempfile::tempdir()?;
        let plugins = folder.path().join("plugins");
        fs::create_dir(&plugins)?;
        fs::write(plugins.join(form.file()), form.code(case))?;
        let limits = match case {
            "loop" => "fail = 'open'\nbreaker = { failures = 0 }",
            _ => "timeout_ms = { on_register = 60000, transform = 60000 }",
        };
        let operations = match case {
            "loop" => "limits = { operations_max = 0 }",
            _ => "",
        };
        let settings = format!(
            "directory = '{}'\ncache = '{}'\n[[plugin]]\nname = 'bench'\n{limits}\n{operations}\n\
             config = {{ case = '{case}' }}\n",
            plugins.display(),
            folder.path().join("cache").display()
        );
        let hosted = Hosted { folder };
        fs::write(hosted.settings(), settings)?;
        Ok(hosted)
    }

    /// The file with the settings.
    pub(super) fn settings(&self) -> PathBuf {
        self.folder.path().join("plugins.toml")
    }

    /// Its configuration.
    pub(super) fn config(&self) -> anyhow::Result<PluginsConfig> {
        let text = fs::read_to_string(self.settings())?;
        toml::from_str(&text).context("the settings of the plugin")
    }

    /// The host, when the plugin could be loaded.
    pub(super) async fn open(config: PluginsConfig) -> anyhow::Result<PluginHost> {
        let host = PluginHost::with(config).await?;
        for status in host.list() {
            if let Some(error) = status.error {
                anyhow::bail!("{error}");
            }
        }
        Ok(host)
    }
}
