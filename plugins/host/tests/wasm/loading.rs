//! What is no plugin is refused, with a sentence that helps.

use wit_component::{
    ComponentEncoder, StringEncoding, WitPrinter, dummy_module, embed_component_metadata, metadata,
};
use wit_parser::{ManglingAndAbi, Resolve};

use super::guest::{FOR_EVER, Guest, WIT, answer_words};
use super::{Hosted, PATIENT};
use lwm2m_server::Decision;

async fn refused(bytes: Vec<u8>) -> String {
    let settings = format!("[[plugin]]\nname = 'p'\n{PATIENT}");
    Hosted::new(&[("p", bytes)], &settings).await.refused("p")
}

fn registration() -> Guest {
    Guest::of("registration-plugin")
}

#[tokio::test]
async fn other_files_are_said_to_be_what_they_are() {
    for (bytes, told) in [
        (Vec::new(), "no WebAssembly component"),
        (b"#!/bin/sh\n".to_vec(), "no WebAssembly component"),
        (
            wat::parse_str("(module)").expect("a module"),
            "and no component",
        ),
        (
            wat::parse_str("(component)").expect("a component"),
            "it exports no hook",
        ),
    ] {
        let refused = refused(bytes).await;
        assert!(refused.contains(told), "{refused}");
        assert!(refused.contains("p.wasm"), "{refused}");
    }
}

#[tokio::test]
async fn components_of_another_contract_say_of_which() {
    let refused = refused(registration().with_version("0.2.0").build()).await;
    let told = "made for version 0.2.0 of the contract; this server speaks 0.1.0";
    assert!(refused.contains(told), "{refused}");
}

#[tokio::test]
async fn components_of_a_compatible_contract_are_taken() {
    let hosted = Hosted::one(&registration().with_version("0.1.9")).await;
    assert_eq!(hosted.refused("p"), "");
    assert_eq!(hosted.on_register().await, Decision::Pass);
}

#[tokio::test]
async fn exports_that_are_nearly_hooks_say_which_is_meant() {
    let near =
        |component: &str| wat::parse_str(format!("(component {component})")).expect("a component");
    for (component, told) in [
        (
            "(instance $i) (export \"lwm2m:plugin/registratoin@0.1.0\" (instance $i))",
            "did you mean lwm2m:plugin/registration@0.1.0?",
        ),
        (
            "(instance $i) (export \"lwm2m:plugn/telemetry@0.1.0\" (instance $i))",
            "did you mean lwm2m:plugin/telemetry@0.1.0?",
        ),
        (
            "(instance $i) (export \"on-registr\" (instance $i))",
            "did you mean the function on-register of lwm2m:plugin/registration@0.1.0?",
        ),
        (
            "(instance $i) (export \"lwm2m:plugin/registration@0.1.0\" (instance $i))",
            "does not export lwm2m:plugin/lifecycle",
        ),
        (
            "(instance $i) (export \"lwm2m:plugin/registration@0.1.0\" (instance $i))
             (instance $j) (export \"lwm2m:plugin/lifecycle@0.1.0\" (instance $j))",
            "init",
        ),
        (
            "(import \"wasi:sockets/tcp@0.2.0\" (instance))
             (instance $i) (export \"lwm2m:plugin/registration@0.1.0\" (instance $i))",
            "plugins have no sockets",
        ),
        (
            "(import \"acme:thing/x@1.0.0\" (instance (export \"f\" (func))))
             (instance $i) (export \"lwm2m:plugin/registration@0.1.0\" (instance $i))
             (instance $j) (export \"lwm2m:plugin/lifecycle@0.1.0\" (instance $j))",
            "acme:thing/x",
        ),
    ] {
        let refused = refused(near(component)).await;
        assert!(refused.contains(told), "{refused}");
    }
}

#[tokio::test]
async fn an_init_that_fails_keeps_the_plugin_out() {
    let reason = "(i32.load offset=0 (i32.const 512))";
    let _ = reason;
    for (body, told) in [
        // err: the configuration that it got.
        (
            answer_words(&["(i32.const 1)", "(local.get $0)", "(local.get $1)"]),
            "its init refused: {\"limit\":7}",
        ),
        ("unreachable".to_owned(), "its init failed: wasm trap"),
        (
            FOR_EVER.to_owned(),
            "its init failed: it did not answer within 5000 ms",
        ),
    ] {
        let guest = registration().does("init", body);
        let hosted = Hosted::patient(&guest, "config = { limit = 7 }").await;
        let refused = hosted.refused("p");
        assert!(refused.contains(told), "{refused}");
        assert_eq!(hosted.status("p").generation, 0);
    }
}

#[tokio::test]
async fn a_damaged_component_is_refused_and_nothing_else() {
    let whole = registration().build();
    let step = whole.len() / 60 + 1;
    let mut plugins = Vec::new();
    for cut in (8..whole.len()).step_by(step) {
        plugins.push((format!("cut-{cut}"), whole[..cut].to_vec()));
        for bit in [0, 7] {
            let mut flipped = whole.clone();
            flipped[cut] ^= 1 << bit;
            plugins.push((format!("flip-{cut}-{bit}"), flipped));
        }
    }
    plugins.push(("whole".to_owned(), whole));
    let plugins: Vec<_> = plugins
        .iter()
        .map(|(name, b)| (name.as_str(), b.clone()))
        .collect();
    let hosted = Hosted::new(&plugins, "").await;
    assert_eq!(hosted.refused("whole"), "");
    let list = hosted.host.list();
    assert_eq!(list.len(), plugins.len());
    for status in list.iter().filter(|status| status.name.starts_with("cut")) {
        assert!(status.error.is_some(), "{}", status.name);
    }
}

#[tokio::test]
async fn a_component_is_loaded_beside_one_that_runs() {
    let hosted = Hosted::one(&registration()).await;
    let file = hosted.folder.path().join("q.wasm");
    std::fs::write(file, registration().build()).expect("a plugin");
    // The folder is watched as well: whoever is first loads it.
    hosted.host.reload();
    assert_eq!(hosted.refused("q"), "");
    assert_eq!(hosted.on_register().await, Decision::Pass);
    assert_eq!(hosted.status("q").figures[0].calls, 1);
}

/// A component of nothing but the types of a world: its functions trap.
fn dummy(wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("lwm2m-plugin.wit", wit)
        .expect("the contract");
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("a world");
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("a module");
    let encoder = ComponentEncoder::default().validate(true).module(&module);
    encoder
        .and_then(|mut encoder| encoder.encode())
        .expect("a component")
}

#[tokio::test]
async fn the_types_of_the_host_are_those_of_the_contract() {
    assert!(
        WIT.contains("package lwm2m:plugin@0.1.0;"),
        "the version that the host speaks"
    );
    let worlds = WIT.lines().filter_map(|line| line.strip_prefix("world "));
    let worlds = worlds
        .filter_map(|line| line.split_once(' '))
        .map(|(world, _)| world);
    let mut checked = 0;
    for world in worlds {
        let refused = refused(dummy(WIT, world)).await;
        let told = match world {
            "imports" => "it exports no hook",
            // Its types are good, up to its first function, which traps.
            _ => "its init failed: wasm trap",
        };
        assert!(refused.contains(told), "{world}: {refused}");
        checked += 1;
    }
    assert_eq!(checked, 9);

    let other = WIT.replacen("lifetime-s: u32,", "lifetime-s: u64,", 1);
    let refused = refused(dummy(&other, "registration-plugin")).await;
    assert!(
        refused.contains("lifetime-s") && refused.contains("u32"),
        "{refused}"
    );
}

/// What `plugin new --lang c` writes is generated and committed; its object file says of which contract.
#[test]
fn a_plugin_in_c_begins_with_this_contract() {
    const OBJECT: &[u8] = include_bytes!(
        "../../../../lwm2m-server/crates/daemon/templates/plugin/c/bindings/\
         registration_plugin_component_type.o"
    );
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", WIT).expect("a contract");
    let world = resolve.select_world(&[package], Some("registration-plugin"));
    let world = world.expect("its world");
    let mut module = wat::parse_str("(module)").expect("a module");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("the types are embedded");
    let types = |module: &[u8]| {
        let (_, bindgen) = metadata::decode(module).expect("types");
        let mut printer = WitPrinter::default();
        for (package, _) in &bindgen.resolve.packages {
            let printed = printer.print(&bindgen.resolve, package, &[]);
            printed.expect("a package");
        }
        printer.output.to_string()
    };
    let (committed, current) = (types(OBJECT), types(&module));
    assert!(current.contains("interface registration"), "{current}");
    assert_eq!(committed, current, "run `cargo xtask codegen`");
}
