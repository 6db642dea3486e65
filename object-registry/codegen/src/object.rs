//! What is generated for one version of an object.

use lwm2m_core::ObjectModel;
use proc_macro2::{Literal, TokenStream};
use quote::quote;
use syn::{Ident, ItemStruct, Visibility};

use crate::docs;
use crate::names::unique;
use crate::resource::Resource;
use crate::words::Name;

/// The name of an object.
pub(crate) fn object_name(model: &ObjectModel) -> Name {
    Name::new(&model.name, "object", model.id)
}

/// The content of the module of a version: the struct, the handles, the enums.
pub(crate) fn version(model: &ObjectModel) -> TokenStream {
    let name = object_name(model).type_name();
    let resources = resources(model, &name);
    let docs = docs(model);
    let object = object(
        model,
        &resources,
        &name,
        &quote!(values),
        &docs,
        &quote!(pub),
    );
    let members = members(&resources, &quote!(#name), &quote!(pub));
    quote!(#object #members)
}

/// The struct of the caller's with the fields of an object, and beside it a module with the
/// handles, named as the struct in snake case.
pub fn attached(model: &ObjectModel, item: &ItemStruct) -> TokenStream {
    let ItemStruct {
        attrs, vis, ident, ..
    } = item;
    let module = Name::new(&ident.to_string(), "object", model.id).field();
    let resources = resources(model, ident);
    let docs = docs(model);
    let docs = quote!(#(#attrs)* #docs);
    let values = quote!(#module::values);
    let object = object(model, &resources, ident, &values, &docs, &quote!(#vis));
    let members = members(&resources, &quote!(super::#ident), &one_below(vis));
    let title = format!("The resources of {}.", model.name);
    let title = docs::paragraphs([&*title]);
    let allowed = allowed();
    quote! {
        #object

        #title
        #allowed
        #vis mod #module {
            #members
        }
    }
}

/// What generated names and tables may do that others may not.
pub(crate) fn allowed() -> TokenStream {
    quote! {
        #[allow(non_camel_case_types, non_snake_case, rustdoc::bare_urls, clippy::all)]
    }
}

fn resources<'m>(model: &'m ObjectModel, own: &Ident) -> Vec<Resource<'m>> {
    let names = model.resources.iter().map(|resource| {
        let name = Name::new(&resource.name, "resource", resource.id);
        (resource.id, name)
    });
    let names = unique(names.collect(), &[&own.to_string()]);
    let resources = model.resources.iter().zip(names);
    resources
        .map(|(resource, name)| Resource::new(model.id, resource, name))
        .collect()
}

/// The same visibility for what is in a module beside.
fn one_below(visibility: &Visibility) -> TokenStream {
    match visibility {
        Visibility::Inherited => quote!(pub(super)),
        Visibility::Restricted(within) if within.path.is_ident("self") => quote!(pub(super)),
        Visibility::Restricted(within) if within.path.is_ident("super") => {
            quote!(pub(in super::super))
        }
        other => quote!(#other),
    }
}

fn members(
    resources: &[Resource<'_>],
    object: &TokenStream,
    visibility: &TokenStream,
) -> TokenStream {
    let handles = resources
        .iter()
        .map(|resource| resource.handle(object, visibility));
    let values: Vec<TokenStream> = resources.iter().filter_map(Resource::values).collect();
    let values = (!values.is_empty()).then(|| {
        quote! {
            /// Values that have names.
            pub mod values {
                #(#values)*
            }
        }
    });
    quote!(#(#handles)* #values)
}

fn object(
    model: &ObjectModel,
    resources: &[Resource<'_>],
    name: &Ident,
    values: &TokenStream,
    docs: &TokenStream,
    visibility: &TokenStream,
) -> TokenStream {
    let with_value = || resources.iter().filter(|resource| resource.has_value());
    let fields = with_value().map(|resource| resource.field(values));
    let field = with_value().map(|resource| {
        let (id, field) = (resource.id(), resource.field_name());
        quote!(#id => &mut self.#field)
    });
    let shown = with_value().map(|resource| {
        let (id, field) = (resource.id(), resource.field_name());
        quote!(visitor(#id, &self.#field);)
    });
    let definition = definition(model, resources);
    // An object without values leaves these without use.
    let is_empty = with_value().next().is_none();
    let unused = is_empty.then_some(quote!(#[allow(unused_variables, unreachable_code)]));
    quote! {
        #docs
        #[derive(Debug, Clone, PartialEq, Default)]
        #visibility struct #name {
            #(#fields,)*
        }

        impl ::lwm2m_core::typed::TypedObject for #name {
            const DEFINITION: &'static ::lwm2m_core::typed::ObjectDefinition = {
                #definition
            };

            #unused
            fn field(
                &mut self,
                resource: u16,
            ) -> ::core::option::Option<&mut dyn ::lwm2m_core::typed::Field> {
                ::core::option::Option::Some(match resource {
                    #(#field,)*
                    _ => return ::core::option::Option::None,
                })
            }

            #unused
            fn fields(&self, visitor: &mut dyn ::core::ops::FnMut(u16, &dyn ::lwm2m_core::typed::Field)) {
                #(#shown)*
            }
        }

        ::lwm2m_core::typed_instance!(#name);
    }
}

fn definition(model: &ObjectModel, resources: &[Resource<'_>]) -> TokenStream {
    let id = Literal::u16_unsuffixed(model.id);
    let major = Literal::u16_unsuffixed(model.version.major);
    let minor = Literal::u16_unsuffixed(model.version.minor);
    let (name, multiple) = (&*model.name, model.multiple);
    let rows = resources.iter().map(Resource::definition);
    quote! {
        #[allow(unused_imports)]
        use ::lwm2m_core::{DataType::*, ObjectVersion};
        #[allow(unused_imports)]
        use ::lwm2m_core::typed::{ObjectDefinition, ResourceDefinition, ValueRange};
        const RESOURCES: &[ResourceDefinition] = &[#(#rows,)*];
        &ObjectDefinition {
            id: #id,
            version: ObjectVersion { major: #major, minor: #minor },
            name: #name,
            multiple: #multiple,
            resources: RESOURCES,
        }
    }
}

fn docs(model: &ObjectModel) -> TokenStream {
    let instances = match model.multiple {
        true => "may have several instances",
        false => "has one instance",
    };
    let (name, id, version) = (&model.name, model.id, model.version);
    let facts = format!("{name}: object {id}, version {version}, {instances}.");
    docs::paragraphs([&*facts, &*model.description])
}
