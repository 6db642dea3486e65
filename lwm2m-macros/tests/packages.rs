//! A changed definition makes cargo build a package anew, and nothing else does; and all
//! definitions compile together.
//!
//! `LWM2M_REGISTRY` names the folder that is compiled as a whole, such as a pulled registry; without
//! it that is the one of the repository. Each test writes a package and runs it with cargo as its author would. All of them build in the
//! target folder of the workspace, where the crates from the registry are built already.

#![allow(clippy::unwrap_used)] // tests

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Prints what the macros made of the definitions of a door.
const BY_FILE_FOLDER_AND_STRUCT: &str = r#"
use lwm2m_core::typed::{ObjectDefinition, TypedObject};

mod file {
    lwm2m_macros::lwm2m_objects!("objects/door.xml");
}
mod folder {
    lwm2m_macros::lwm2m_objects!("objects/");
}
#[lwm2m_macros::lwm2m_object(xml = "objects/door.xml")]
struct Gate;

fn main() {
    show(file::door::Door::DEFINITION);
    show(folder::door::Door::DEFINITION);
    show(Gate::DEFINITION);
}

fn show(door: &ObjectDefinition) {
    println!("{} {}", door.version, door.resources[0].name);
}
"#;

const BY_FOLDER: &str = r#"
use lwm2m_core::typed::TypedObject;

mod objects {
    lwm2m_macros::lwm2m_objects!("objects/");
}

fn main() {
    println!("{}", objects::door::Door::DEFINITION.version);
}
"#;

/// The newest of all versions of the Device object.
const ALL_OF_A_FOLDER: &str = r#"
#![deny(warnings)]

use lwm2m_core::typed::TypedObject;

#[allow(deprecated)] // says what is doubtful in the definitions
mod objects {
    lwm2m_macros::lwm2m_objects!("FOLDER");
}

fn main() {
    println!("{}", objects::device_3::Device::DEFINITION.version);
}
"#;

/// What the documentation of the macros tells to write.
const BUILD_SCRIPT: &str = r#"
fn main() {
    println!("cargo::rerun-if-changed=objects");
}
"#;

#[test]
fn a_changed_file_makes_the_package_build_anew() {
    let package = Package::new("lwm2m-package-file", BY_FILE_FOLDER_AND_STRUCT);
    package.define("door.xml", "1.0", "State");
    let state = "1.0 State\n".repeat(3);
    assert_eq!(package.run(), (state.clone(), Built::Anew));
    assert_eq!(package.run(), (state, Built::Before));

    package.define("door.xml", "1.0", "Position");
    assert_eq!(package.run(), ("1.0 Position\n".repeat(3), Built::Anew));
}

#[test]
fn a_build_script_notices_files_that_come_and_go() {
    let package = Package::new("lwm2m-package-folder", BY_FOLDER);
    fs::write(package.folder.join("build.rs"), BUILD_SCRIPT).unwrap();
    package.define("door.xml", "1.0", "State");
    assert_eq!(package.run(), ("1.0\n".to_owned(), Built::Anew));
    assert_eq!(package.run(), ("1.0\n".to_owned(), Built::Before));

    package.define("below/door-1_1.xml", "1.1", "State");
    assert_eq!(package.run(), ("1.1\n".to_owned(), Built::Anew));
    assert_eq!(package.run(), ("1.1\n".to_owned(), Built::Before));

    fs::remove_file(package.objects().join("below/door-1_1.xml")).unwrap();
    assert_eq!(package.run(), ("1.0\n".to_owned(), Built::Anew));
}

#[test]
fn all_definitions_of_a_folder_compile_in_one_crate() {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("../object-registry/objects");
    let folder = std::env::var_os("LWM2M_REGISTRY").map_or(built_in, PathBuf::from);
    let folder = fs::canonicalize(folder).unwrap();
    let literal = format!("{:?}", folder.to_str().unwrap());
    let main = ALL_OF_A_FOLDER.replace("\"FOLDER\"", &literal);
    let package = Package::new("lwm2m-package-all", &main);
    let (newest, _) = package.run();
    let device = fs::read(folder.join("3.xml")).unwrap();
    let device = lwm2m_registry::parse(device, "3.xml").unwrap().models;
    assert_eq!(newest, format!("{}\n", device[0].version));
}

/// Whether a run compiled the package.
#[derive(Debug, PartialEq, Eq)]
enum Built {
    Anew,
    Before,
}

/// A package of one program, in the folder that cargo keeps for tests.
struct Package {
    name: &'static str,
    folder: PathBuf,
}

impl Package {
    fn new(name: &'static str, main: &str) -> Package {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(folder.join("src")).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        // The profile is that of the workspace, so that what was built there serves here.
        let ours = ["core", "registry", "codegen", "macros"]
            .map(|name| format!("[profile.dev.package.lwm2m-{name}]\nopt-level = 0\n\n"))
            .concat();
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n\n\
             [dependencies]\nlwm2m-core.path = {core:?}\nlwm2m-macros.path = {macros:?}\n\n\
             [profile.dev]\ndebug = \"line-tables-only\"\n\n\
             [profile.dev.package.\"*\"]\nopt-level = 2\ndebug = false\n\n\
             {ours}[workspace]\n",
            core = root.join("lwm2m-server/crates/core"),
            macros = env!("CARGO_MANIFEST_DIR"),
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs::write(folder.join("src/main.rs"), main).unwrap();
        fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        Package { name, folder }
    }

    fn objects(&self) -> PathBuf {
        self.folder.join("objects")
    }

    /// Writes the definition of a door with one resource.
    fn define(&self, file: &str, version: &str, resource: &str) {
        let urn_version = match version {
            "1.0" => String::new(),
            later => format!(":{later}"),
        };
        let xml = format!(
            "<LWM2M><Object ObjectType=\"MODefinition\"><Name>Door</Name>\
             <Description1>A door.</Description1><ObjectID>26243</ObjectID>\
             <ObjectURN>urn:oma:lwm2m:x:26243{urn_version}</ObjectURN>\
             <LWM2MVersion>1.1</LWM2MVersion><ObjectVersion>{version}</ObjectVersion>\
             <MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory>\
             <Resources><Item ID=\"1\"><Name>{resource}</Name><Operations>R</Operations>\
             <MultipleInstances>Single</MultipleInstances><Mandatory>Optional</Mandatory>\
             <Type>Integer</Type><RangeEnumeration></RangeEnumeration><Units></Units>\
             <Description>Where it is.</Description></Item></Resources>\
             <Description2></Description2></Object></LWM2M>"
        );
        let path = self.objects().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, xml).unwrap();
    }

    /// What the program prints, and whether cargo compiled it for that.
    fn run(&self) -> (String, Built) {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("..");
        let output = Command::new(env!("CARGO"))
            .args(["run", "--offline", "--color=never", "--target-dir"])
            .arg(target)
            .current_dir(&self.folder)
            .env("CARGO_TERM_QUIET", "false")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let built = match errors.contains(&format!("Compiling {} ", self.name)) {
            true => Built::Anew,
            false => Built::Before,
        };
        (String::from_utf8(output.stdout).unwrap(), built)
    }
}
