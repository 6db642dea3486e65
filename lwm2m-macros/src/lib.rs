//! Rust types of LwM2M objects from their XML, at compile time.
//!
//! - [`lwm2m_objects!`] makes a module for each object of a file or folder.
//! - [`#[lwm2m_object]`](macro@lwm2m_object) makes a struct of yours an object.
//!
//! Paths are relative to the folder of the package, or else to the source file. What is generated
//! needs `lwm2m-core` as a dependency under this name; [`lwm2m_codegen`] says how names and types
//! come about.
//!
//! # When definitions change
//!
//! Cargo builds anew when a file changes or goes away that a macro has read. A file that is *new*
//! in a folder it does not notice by itself: no macro can make it look at a folder. A build script,
//! `build.rs` beside `Cargo.toml`, can. This is all of its `main`, with the name of the folder:
//!
//! ```
//! println!("cargo::rerun-if-changed=objects");
//! ```
//!
//! # When definitions have faults
//!
//! What is not understood is an error at the macro, with file, line and advice. What is wrong and
//! understood is a warning, one for each macro, with the first findings in it. A macro can warn
//! only by the use of something deprecated, so that is what the compiler says, and
//! `#[allow(deprecated)]` on the module around the macro, or on the struct, says that you know.
//! `cargo xtask registry check` lists all findings, and those that are mere advice.

mod attribute;
mod load;

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{LitStr, parse_macro_input};

use load::Loaded;

/// Findings that a warning of the compiler names.
const WARNINGS_MAX: usize = 10;

/// Makes a module for each object of an XML file, or of all XML files in a folder and below it.
///
/// A changed file makes cargo build anew; for new files in a folder see
/// [the build script](crate#when-definitions-change).
///
/// ```
/// mod objects {
///     lwm2m_macros::lwm2m_objects!("tests/objects/water-meter.xml");
/// }
/// use lwm2m_core::typed::{Resource, TypedObject};
/// use objects::water_meter::{Volume, WaterMeter};
///
/// assert_eq!(Volume::path(0).to_string(), "/26241/0/1");
/// let meter = WaterMeter { volume: Some(12.5), ..WaterMeter::default() };
/// assert_eq!(meter.missing_mandatory(), [2]);
/// ```
///
/// It does not compile when a file is not understood, and says where and why:
///
/// ```compile_fail
/// lwm2m_macros::lwm2m_objects!("tests/objects/broken.xml");
/// ```
#[proc_macro]
pub fn lwm2m_objects(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let path = parse_macro_input!(input as LitStr);
    match Loaded::read(&path) {
        Err(error) => error.into_compile_error().into(),
        Ok(loaded) => {
            let objects = lwm2m_codegen::expand(&loaded.models);
            let tracked = tracked(&loaded);
            let warning = warning(&loaded, path.span());
            quote!(#objects #tracked #warning).into()
        }
    }
}

/// Makes a struct an object: it gets a field for each resource, and a module of the same name in
/// snake case gets the resources as types.
///
/// `xml` is the file; where that has several objects, `id` and `version` name one.
///
/// ```
/// use lwm2m_core::ContentFormat;
/// use lwm2m_core::typed::TypedObject;
///
/// #[lwm2m_macros::lwm2m_object(xml = "tests/objects/water-meter.xml")]
/// pub struct Meter;
///
/// fn main() {
///     let meter = Meter { volume: Some(12.5), ..Meter::default() };
///     assert!(meter.encode(ContentFormat::SenmlJson, 0).is_ok());
///     let _: Option<meter::Volume> = None;
/// }
/// ```
///
/// The struct stands in a module, not in a function: the module beside it must find it.
#[proc_macro_attribute]
pub fn lwm2m_object(
    arguments: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    attribute::expand(arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes the compiler look at the files again when they change.
fn tracked(loaded: &Loaded) -> TokenStream {
    let files = loaded
        .files
        .iter()
        .map(|file| LitStr::new(file, Span::call_site()));
    quote!(#(const _: &[u8] = ::core::include_bytes!(#files);)*)
}

/// Makes the compiler warn of what is wrong in the files, at the place that names them.
fn warning(loaded: &Loaded, place: Span) -> TokenStream {
    if loaded.warnings.is_empty() {
        return TokenStream::new();
    }
    let named = loaded.warnings.iter().take(WARNINGS_MAX);
    let mut note: String = named.map(|warning| format!("\n{warning}")).collect();
    if loaded.warnings.len() > WARNINGS_MAX {
        let more = loaded.warnings.len() - WARNINGS_MAX;
        note.push_str(&format!("\nand {more} more"));
    }
    quote_spanned! {place=>
        const _: () = {
            #[deprecated(note = #note)]
            const DOUBTFUL_DEFINITION: () = ();
            DOUBTFUL_DEFINITION
        };
    }
}
