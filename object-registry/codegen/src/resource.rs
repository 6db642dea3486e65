//! What is generated for a resource.

use lwm2m_core::{DataType, Operations, ResourceModel};
use proc_macro2::{Literal, Span, TokenStream};
use quote::quote;
use syn::Ident;

use crate::labels::Labels;
use crate::words::Name;
use crate::{docs, range};

/// A resource with its names.
#[derive(Debug)]
pub(crate) struct Resource<'m> {
    model: &'m ResourceModel,
    object: u16,
    name: Name,
    labels: Option<Labels>,
}

impl<'m> Resource<'m> {
    pub(crate) fn new(object: u16, model: &'m ResourceModel, name: Name) -> Resource<'m> {
        Resource {
            model,
            object,
            name,
            labels: Labels::of(model),
        }
    }

    /// False for what is only executed.
    pub(crate) fn has_value(&self) -> bool {
        let Operations {
            read,
            write,
            execute,
        } = self.model.operations;
        read || write || !execute
    }

    pub(crate) fn id(&self) -> Literal {
        Literal::u16_unsuffixed(self.model.id)
    }

    pub(crate) fn field_name(&self) -> Ident {
        self.name.field()
    }

    /// The field of the object struct; `values` is where enums are.
    pub(crate) fn field(&self, values: &TokenStream) -> TokenStream {
        let scalar = self.scalar(values);
        let facts = self.facts();
        let (doc, name) = (docs::paragraphs([&*facts]), self.field_name());
        match self.model.multiple {
            false => quote!(#doc pub #name: ::core::option::Option<#scalar>),
            true => quote!(#doc pub #name: ::std::collections::BTreeMap<u16, #scalar>),
        }
    }

    /// The handle with its traits; `object` is the path of the object struct, and `visibility` no
    /// wider than the one of that.
    pub(crate) fn handle(&self, object: &TokenStream, visibility: &TokenStream) -> TokenStream {
        let facts = self.facts();
        let doc = docs::paragraphs([&*facts, &*self.model.description]);
        let (name, id) = (self.name.type_name(), self.id());
        let value = match (self.has_value(), self.model.multiple) {
            (false, _) => quote!(()),
            (true, false) => self.scalar(&quote!(values)),
            (true, true) => {
                let scalar = self.scalar(&quote!(values));
                quote!(::std::collections::BTreeMap<u16, #scalar>)
            }
        };
        let operations = self.model.operations;
        let read = operations.read.then_some(quote!(ReadResource));
        let write = operations.write.then_some(quote!(WriteResource));
        let execute = operations.execute.then_some(quote!(Executable));
        let traits = [read, write, execute].into_iter().flatten();
        quote! {
            #doc
            #visibility enum #name {}

            impl ::lwm2m_core::typed::Resource for #name {
                type Object = #object;
                type Value = #value;
                const ID: u16 = #id;
            }

            #(impl ::lwm2m_core::typed::#traits for #name {})*
        }
    }

    /// The enum of a labelled range.
    pub(crate) fn values(&self) -> Option<TokenStream> {
        let labels = self.labels.as_ref()?;
        Some(labels.tokens(&self.name.type_name(), self.model))
    }

    /// The row of the table; `ResourceDefinition`, `ValueRange` and the variants of `DataType` are
    /// in scope there.
    pub(crate) fn definition(&self) -> TokenStream {
        let ResourceModel {
            multiple,
            mandatory,
            ..
        } = self.model;
        let (id, name) = (self.id(), &*self.model.name);
        let head = head(self.model, self.has_value(), &id, name);
        let multiple = multiple.then_some(quote!(.multiple()));
        let mandatory = mandatory.then_some(quote!(.mandatory()));
        let range = range::expression(&self.model.range, self.model.data_type)
            .filter(|_| self.has_value())
            .map(|range| quote!(.range(#range)));
        let units = Some(&*self.model.units)
            .filter(|units| !units.is_empty())
            .map(|units| quote!(.units(#units)));
        quote!(ResourceDefinition::#head #multiple #mandatory #range #units)
    }

    /// The Rust type of one value.
    fn scalar(&self, values: &TokenStream) -> TokenStream {
        if self.labels.is_some() {
            let name = self.name.type_name();
            return quote!(#values::#name);
        }
        match self.model.data_type {
            None => quote!(::lwm2m_core::Value<'static>),
            Some(DataType::String) => quote!(::std::string::String),
            Some(DataType::Integer) => quote!(i64),
            Some(DataType::Unsigned) => quote!(u64),
            Some(DataType::Float) => quote!(f64),
            Some(DataType::Boolean) => quote!(bool),
            Some(DataType::Opaque) => quote!(::std::vec::Vec<u8>),
            Some(DataType::Time) => quote!(::lwm2m_core::typed::Time),
            Some(DataType::ObjectLink) => quote!(::lwm2m_core::ObjectLink),
            Some(DataType::CoreLink) => quote!(::lwm2m_core::typed::CoreLink),
        }
    }

    /// Name, place, type, operations, range and unit, for people.
    fn facts(&self) -> String {
        let model = self.model;
        let mut facts = format!("{} (/{}/x/{}): ", model.name, self.object, model.id);
        facts.push_str(match (self.has_value(), model.data_type) {
            (false, _) => "no value",
            (true, None) => "raw value, for the definition gives no type",
            (true, Some(data_type)) => data_type.as_str(),
        });
        facts.push_str(", ");
        facts.push_str(match operation_letters(model.operations).as_str() {
            "" => "for bootstrap servers only",
            letters => letters,
        });
        facts.push_str(match model.mandatory {
            true => ", mandatory",
            false => ", optional",
        });
        if model.multiple && self.has_value() {
            facts.push_str(", with instances");
        }
        if !model.range.is_empty() {
            let range: Vec<&str> = model.range.lines().collect();
            facts.push_str(&format!(", range {}", range.join("; ")));
        }
        if !model.units.is_empty() {
            facts.push_str(&format!(", in {}", model.units));
        }
        facts.push('.');
        facts
    }
}

fn operation_letters(operations: Operations) -> String {
    let all = [
        (operations.read, 'R'),
        (operations.write, 'W'),
        (operations.execute, 'E'),
    ];
    all.into_iter()
        .filter_map(|(allowed, letter)| allowed.then_some(letter))
        .collect()
}

/// The constructor of a row with its arguments.
fn head(model: &ResourceModel, has_value: bool, id: &Literal, name: &str) -> TokenStream {
    let data_type = model.data_type.filter(|_| has_value);
    let data_type =
        data_type.map(|data_type| Ident::new(&format!("{data_type:?}"), Span::call_site()));
    let letters = operation_letters(model.operations);
    match (letters.as_str(), &data_type) {
        ("R", Some(data_type)) => quote!(read(#id, #name, #data_type)),
        ("W", Some(data_type)) => quote!(write(#id, #name, #data_type)),
        ("RW", Some(data_type)) => quote!(read_write(#id, #name, #data_type)),
        ("", Some(data_type)) => quote!(hidden(#id, #name, #data_type)),
        ("E", _) => quote!(execute(#id, #name)),
        _ => {
            let Operations {
                read,
                write,
                execute,
            } = model.operations;
            let data_type = match data_type {
                Some(data_type) => quote!(::core::option::Option::Some(#data_type)),
                None => quote!(::core::option::Option::None),
            };
            quote!(new(#id, #name, ::lwm2m_core::Operations::new(#read, #write, #execute), #data_type))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_names_all_facts() {
        let mut model = ResourceModel {
            id: 9,
            name: "Flow Limit".into(),
            description: "Above it the valve closes.".into(),
            operations: Operations::new(true, true, false),
            multiple: true,
            mandatory: true,
            data_type: Some(DataType::Unsigned),
            range: "0..7\n9".into(),
            units: "l/s".into(),
        };
        let facts = |model: &ResourceModel| {
            let name = Name::new(&model.name, "resource", model.id);
            Resource::new(26241, model, name).facts()
        };
        assert_eq!(
            facts(&model),
            "Flow Limit (/26241/x/9): Unsigned Integer, RW, mandatory, with instances, range \
             0..7; 9, in l/s."
        );
        (model.range, model.units) = ("".into(), "".into());
        (model.mandatory, model.multiple) = (false, false);
        model.operations = Operations::default();
        let hidden = "Flow Limit (/26241/x/9): Unsigned Integer, for bootstrap servers only, \
                      optional.";
        assert_eq!(facts(&model), hidden);
        model.operations = Operations::new(false, false, true);
        assert_eq!(
            facts(&model),
            "Flow Limit (/26241/x/9): no value, E, optional."
        );
        model.operations = Operations::new(true, false, false);
        model.data_type = None;
        let raw = "raw value, for the definition gives no type, R, optional.";
        assert_eq!(facts(&model), format!("Flow Limit (/26241/x/9): {raw}"));
    }
}
