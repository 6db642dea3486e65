//! Makes of the contract of plugins what `plugin new --lang c` writes: a header, its code, and an object
//! file with the types. Takes the folder of the contract, the world, and the folder to write into.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context("CONTRACT WORLD FOLDER");
    let (contract, world, folder) = (next()?, next()?, PathBuf::from(next()?));
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(contract)?;
    let world = resolve.select_world(&[package], Some(&world))?;
    let mut files = Files::default();
    let mut generator = wit_bindgen_c::Opts::default().build();
    generator.generate(&mut resolve, world, &mut files)?;
    for (name, content) in files.iter() {
        fs::write(folder.join(name), content).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}
