//! Components made here, of the contract and of WebAssembly text: no toolchain is needed.
//!
//! The text is a module as compilers make them for the canonical ABI: it has a memory, an allocator
//! and one function for each function of the world. Those that a test says nothing about answer that
//! they have no opinion: their answer is at [`ANSWER`], where everything is zero.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The contract.
pub(crate) const WIT: &str = include_str!("../../../wit/lwm2m-plugin.wit");

/// Where functions put their answer, or leave the zeros that mean "no opinion".
pub(crate) const ANSWER: u32 = 1024;

/// Where [`Guest::data`] is.
pub(crate) const DATA: u32 = 4096;

/// What a component is made of.
#[derive(Clone)]
pub(crate) struct Guest {
    wit: String,
    world: String,
    /// The version in the names.
    version: String,
    imports: String,
    functions: Vec<(String, String)>,
    helpers: String,
    data: Vec<u8>,
    pages: u32,
}

/// The interfaces that worlds export; their functions, with the signature that the canonical ABI
/// gives them, and whether they answer by a pointer.
const FUNCTIONS: [(&str, &str, &str, bool); 15] = [
    ("lifecycle", "init", "(param $0 i32) (param $1 i32)", true),
    ("registration", "on-register", "(param $0 i32)", true),
    ("registration", "on-update", "(param $0 i32)", true),
    ("devices", "on-registered", "(param $0 i32)", false),
    ("devices", "on-updated", "(param $0 i32)", false),
    ("devices", "on-gone", "(param $0 i32)", false),
    ("credentials", "lookup", "(param $0 i32)", true),
    ("observe", "plan", "(param $0 i32)", true),
    ("observe", "on-failure", "(param $0 i32)", true),
    ("telemetry", "transform", "(param $0 i32)", true),
    ("firmware", "select", "(param $0 i32)", true),
    ("firmware-driver", "step", "(param $0 i32)", true),
    ("bootstrap", "configure", "(param $0 i32)", true),
    (
        "bootstrap",
        "on-finished",
        "(param $0 i32) (param $1 i32) (param $2 i32) (param $3 i32) (param $4 i32)",
        false,
    ),
    ("extra", "extra", "", false),
];

/// Host functions as modules import them: interface, function, name in the text, signature.
const IMPORTS: [(&str, &str, &str, &str); 11] = [
    ("log", "write", "$log", "(param i32 i32 i32 i32 i32)"),
    ("clock", "now-ms", "$now", "(result i64)"),
    ("clock", "monotonic-ns", "$elapsed", "(result i64)"),
    (
        "kv",
        "increment",
        "$increment",
        "(param i32 i32 i32 i64 i32)",
    ),
    ("kv", "get", "$kv-get", "(param i32 i32 i32 i32)"),
    (
        "kv",
        "set",
        "$kv-set",
        "(param i32 i32 i32 i32 i32 i32 i32 i32)",
    ),
    ("metrics", "add", "$add", "(param i32 i32 f64 i32 i32)"),
    ("registry", "get", "$registered", "(param i32 i32 i32)"),
    ("device", "read", "$read", "(param i32 i32 i32 i32 i32)"),
    (
        "http",
        "send",
        "$send",
        "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)",
    ),
    (
        "events",
        "emit",
        "$emit",
        "(param i32 i32 i32 i32 i32 i32 i32 i32)",
    ),
];

impl Guest {
    /// One of a world of the contract that has no opinion about anything.
    pub(crate) fn of(world: &str) -> Guest {
        Guest {
            wit: WIT.to_owned(),
            world: world.to_owned(),
            version: "0.1.0".to_owned(),
            imports: String::new(),
            functions: Vec::new(),
            helpers: String::new(),
            data: Vec::new(),
            pages: 3,
        }
    }

    /// The same of another version of the contract.
    pub(crate) fn with_version(mut self, version: &str) -> Guest {
        self.wit = self
            .wit
            .replace("lwm2m:plugin@0.1.0", &format!("lwm2m:plugin@{version}"));
        self.version = version.to_owned();
        self
    }

    /// What a function does, as text: its parameters are `$0` and so on. One that answers leaves a
    /// pointer.
    pub(crate) fn does(mut self, function: &str, body: impl Into<String>) -> Guest {
        self.functions.push((function.to_owned(), body.into()));
        self
    }

    /// Host functions that the text calls, by their names in it.
    pub(crate) fn imports(mut self, names: &[&str]) -> Guest {
        for name in names {
            let import = IMPORTS.iter().find(|(_, _, known, _)| known == name);
            let (interface, function, name, signature) = import.expect("an import of the list");
            let version = &self.version;
            self.imports += &format!(
                "(import \"lwm2m:plugin/{interface}@{version}\" \"{function}\" \
                 (func {name} {signature}))\n"
            );
        }
        self
    }

    /// Functions that the others call.
    pub(crate) fn helpers(mut self, text: &str) -> Guest {
        self.helpers += text;
        self
    }

    /// What is at [`DATA`].
    pub(crate) fn data(mut self, data: impl Into<Vec<u8>>) -> Guest {
        self.data = data.into();
        self
    }

    /// Pages of memory to begin with, of 64 KiB each.
    pub(crate) fn pages(mut self, pages: u32) -> Guest {
        self.pages = pages;
        self
    }

    /// The module, as text.
    fn text(&self) -> String {
        let mut functions = String::new();
        let world = self.wit.split(&format!("world {} {{", self.world)).nth(1);
        let world = world.expect("a world of the contract");
        let world = &world[..world.find('}').expect("its end")];
        for (interface, function, signature, answers) in FUNCTIONS {
            if !world.contains(&format!("export {interface};")) {
                continue;
            }
            let body = self
                .functions
                .iter()
                .rev()
                .find(|(name, _)| name == function);
            let body = match (body, answers) {
                (Some((_, body)), _) => body.clone(),
                (None, true) => format!("i32.const {ANSWER}"),
                (None, false) => String::new(),
            };
            let result = if answers { "(result i32)" } else { "" };
            let export = format!("lwm2m:plugin/{interface}@{}#{function}", self.version);
            functions += &format!(
                "(func (export \"{export}\") {signature} {result}
                   (local $a i32) (local $b i32) (local $l i64)
                   {body})\n"
            );
            let after = if answers { "(param i32)" } else { "" };
            functions += &format!(
                "(func (export \"cabi_post_{export}\") {after} (global.set $top (global.get $heap)))\n"
            );
        }
        let data: String = self
            .data
            .iter()
            .map(|byte| format!("\\{byte:02x}"))
            .collect();
        let Guest {
            imports,
            helpers,
            pages,
            ..
        } = self;
        format!(
            "(module
               {imports}
               (memory (export \"memory\") {pages})
               (global $heap i32 (i32.const 65536))
               (global $top (mut i32) (i32.const 65536))
               (global $calls (mut i32) (i32.const 0))
               (func $allocate (export \"cabi_realloc\")
                 (param $old i32) (param $old-size i32) (param $align i32) (param $size i32)
                 (result i32) (local $at i32)
                 (local.set $at (i32.and
                   (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
                   (i32.sub (i32.const 0) (local.get $align))))
                 (global.set $top (i32.add (local.get $at) (local.get $size)))
                 (block $fits
                   (br_if $fits (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
                   (br_if $fits (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))
                   unreachable)
                 (local.get $at))
               {helpers}
               {functions}
               (data (i32.const {DATA}) \"{data}\"))"
        )
    }

    /// The component.
    pub(crate) fn build(&self) -> Vec<u8> {
        let text = self.text();
        let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let mut resolve = Resolve::default();
        let package = resolve
            .push_str("lwm2m-plugin.wit", &self.wit)
            .expect("the contract");
        let world = resolve
            .select_world(&[package], Some(&self.world))
            .expect("a world of the contract");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .expect("a module");
        ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .and_then(|mut encoder| encoder.encode())
            .unwrap_or_else(|error| panic!("{error:#}\n{text}"))
    }
}

/// Text that puts bytes at [`ANSWER`], and answers with them.
pub(crate) fn answer(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        let at = ANSWER as usize + at;
        text += &format!("(i32.store8 (i32.const {at}) (i32.const {byte}))\n");
    }
    format!("{text} i32.const {ANSWER}")
}

/// Text that puts numbers at [`ANSWER`] in steps of four bytes, and answers with them: expressions.
pub(crate) fn answer_words(words: &[&str]) -> String {
    let mut text = String::new();
    for (at, word) in words.iter().enumerate() {
        let at = ANSWER as usize + 4 * at;
        text += &format!("(i32.store (i32.const {at}) {word})\n");
    }
    format!("{text} i32.const {ANSWER}")
}

/// Text that traps when all is well only if it never ends.
pub(crate) const FOR_EVER: &str = "(loop $again (br $again)) unreachable";
