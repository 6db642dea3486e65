//! Enums of labelled ranges.

use lwm2m_core::{DataType, ResourceModel};
use proc_macro2::{Literal, TokenStream};
use quote::quote;
use syn::Ident;

use crate::docs;
use crate::names::unique;
use crate::words::Name;

/// The enum for a resource whose range gives names to numbers, as in `0: off`, `1: on`.
#[derive(Debug)]
pub(crate) struct Labels {
    integer: TokenStream,
    variants: Vec<(i128, Ident, String)>,
}

impl Labels {
    /// The labels of a resource; none unless every line of its range is a number and a label.
    pub(crate) fn of(resource: &ResourceModel) -> Option<Labels> {
        let integer = match resource.data_type? {
            DataType::Integer => quote!(i64),
            DataType::Unsigned => quote!(u64),
            _ => return None,
        };
        let mut labels: Vec<(i128, String)> = Vec::new();
        for line in resource.range.lines() {
            let (number, label) = line.split_once(':')?;
            let number: i128 = number.trim().parse().ok()?;
            let label = label.trim().trim_end_matches([',', ';']).trim();
            let fits = match resource.data_type {
                Some(DataType::Unsigned) => u64::try_from(number).is_ok(),
                _ => i64::try_from(number).is_ok(),
            };
            if label.is_empty() || !fits || labels.iter().any(|(known, _)| *known == number) {
                return None;
            }
            labels.push((number, label.to_owned()));
        }
        if labels.is_empty() {
            return None;
        }
        let names = labels.iter().map(|(number, label)| {
            let id = number.unsigned_abs();
            (id, Name::new(label, "value", id))
        });
        let names = unique(names.collect(), &["Other"]);
        let variants = labels
            .into_iter()
            .zip(names)
            .map(|((number, label), name)| (number, name.type_name(), label));
        Some(Labels {
            integer,
            variants: variants.collect(),
        })
    }

    /// The enum and what makes it a value.
    pub(crate) fn tokens(&self, name: &Ident, resource: &ResourceModel) -> TokenStream {
        let integer = &self.integer;
        let title = format!("A value of {}.", resource.name);
        let title = docs::paragraphs([&*title]);
        let variants = self.variants.iter().map(|(number, variant, label)| {
            let text = format!("{number}: {label}");
            let doc = docs::paragraphs([&*text]);
            quote!(#doc #variant)
        });
        let pairs: Vec<(Literal, &Ident)> = self
            .variants
            .iter()
            .map(|(number, variant, _)| (Literal::i128_unsuffixed(*number), variant))
            .collect();
        let read = pairs
            .iter()
            .map(|(number, variant)| quote!(#number => #name::#variant));
        let write = pairs
            .iter()
            .map(|(number, variant)| quote!(#name::#variant => #number));
        quote! {
            #title
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            #[non_exhaustive]
            pub enum #name {
                #(#variants,)*
                /// Any other value.
                Other(#integer),
            }

            impl ::core::convert::From<#integer> for #name {
                fn from(number: #integer) -> #name {
                    match number {
                        #(#read,)*
                        other => #name::Other(other),
                    }
                }
            }

            impl ::core::convert::From<#name> for #integer {
                fn from(value: #name) -> #integer {
                    match value {
                        #(#write,)*
                        #name::Other(other) => other,
                    }
                }
            }

            impl ::lwm2m_core::typed::Scalar for #name {
                fn from_value(
                    value: &::lwm2m_core::Value<'_>,
                ) -> ::core::result::Result<#name, ::lwm2m_core::ValueError> {
                    <#integer as ::lwm2m_core::typed::Scalar>::from_value(value).map(#name::from)
                }

                fn to_value(&self) -> ::lwm2m_core::Value<'_> {
                    ::lwm2m_core::Value::from(#integer::from(*self))
                }
            }
        }
    }
}
