//! A module for each object, with its versions.

use std::collections::BTreeMap;

use lwm2m_core::ObjectModel;
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::Ident;

use crate::words::Name;
use crate::{docs, object};

/// The module of an object: all its versions.
#[derive(Debug)]
#[non_exhaustive]
pub struct ObjectModule {
    /// `device_3`
    pub name: Ident,
    /// `device`, when no other module has this name.
    pub alias: Option<Ident>,
    /// The documentation, as attributes.
    pub docs: TokenStream,
    /// What is inside: `v1_0`, `v1_1` … and the newest re-exported.
    pub content: TokenStream,
}

/// A module for each object, by object id, ascending.
///
/// Of two models of the same object and version the first one counts.
pub fn modules(models: &[ObjectModel]) -> Vec<ObjectModule> {
    let mut objects: BTreeMap<u16, Vec<&ObjectModel>> = BTreeMap::new();
    for model in models {
        let versions = objects.entry(model.id).or_default();
        if !versions.iter().any(|known| known.version == model.version) {
            versions.push(model);
        }
    }
    let mut modules: Vec<(Name, ObjectModule)> = Vec::new();
    for (id, mut versions) in objects {
        versions.sort_by_key(|model| model.version);
        let Some(newest) = versions.last() else {
            continue;
        };
        let name = object::object_name(newest);
        let title = format!("{} (object {id}), version {}.", newest.name, newest.version);
        let module = ObjectModule {
            name: name.with_suffix(id).field(),
            alias: None,
            docs: docs::paragraphs([&*title]),
            content: content(&versions),
        };
        modules.push((name, module));
    }
    name_shortly(&mut modules);
    modules.into_iter().map(|(_, module)| module).collect()
}

/// The modules one after the other, as the macro inserts them.
pub fn expand(models: &[ObjectModel]) -> TokenStream {
    let allowed = object::allowed();
    let modules = modules(models).into_iter().map(|module| {
        let ObjectModule {
            name,
            alias,
            docs,
            content,
        } = module;
        let alias = alias.map(|alias| quote!(#[allow(unused_imports)] pub use #name as #alias;));
        quote! {
            #docs
            #allowed
            pub mod #name {
                #content
            }
            #alias
        }
    });
    quote!(#(#modules)*)
}

/// Gives each module its short name, unless that stands for another as well.
fn name_shortly(modules: &mut [(Name, ObjectModule)]) {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for (name, module) in modules.iter() {
        for own in [name.field().to_string(), module.name.to_string()] {
            *taken.entry(own).or_default() += 1;
        }
    }
    for (name, module) in modules {
        let short = name.field();
        let is_alone = taken.get(&short.to_string()) == Some(&1);
        module.alias = is_alone.then_some(short);
    }
}

fn content(versions: &[&ObjectModel]) -> TokenStream {
    let modules = versions.iter().map(|model| {
        let name = version_name(model);
        let title = format!("Version {} of {}.", model.version, model.name);
        let title = docs::paragraphs([&*title]);
        let content = object::version(model);
        quote!(#title pub mod #name { #content })
    });
    let newest = versions.last().map(|model| version_name(model));
    quote! {
        #(#modules)*
        #[doc(inline)]
        pub use #newest::*;
    }
}

fn version_name(model: &ObjectModel) -> Ident {
    let version = model.version;
    Ident::new(
        &format!("v{}_{}", version.major, version.minor),
        Span::call_site(),
    )
}
