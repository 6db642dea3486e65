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

#[cfg(test)]
mod tests {
    use lwm2m_core::Operations;
    use syn::Item;

    use super::*;

    fn resource(data_type: Option<DataType>, range: &str) -> ResourceModel {
        ResourceModel {
            id: 2,
            name: "Valve".into(),
            description: "".into(),
            operations: Operations::new(true, true, false),
            multiple: false,
            mandatory: false,
            data_type,
            range: range.into(),
            units: "".into(),
        }
    }

    #[test]
    fn an_enum_is_made_of_numbers_with_labels_only() {
        let integer = Some(DataType::Integer);
        for range in ["0: off", "0: off\n1: on", "-1 : down,\n1: up;", "7:7"] {
            assert!(Labels::of(&resource(integer, range)).is_some(), "{range}");
        }
        for range in [
            "",
            "0..255",
            "0,1,2",
            "16",
            "ON;OFF",
            "8-Bits",
            "0: off\n1..9: on",
            "0: off\nother",
            "0:",
            "0: off\n0: closed",
            "99999999999999999999: many",
        ] {
            assert!(Labels::of(&resource(integer, range)).is_none(), "{range}");
        }
        let labels = "0: off\n1: on";
        for data_type in [DataType::String, DataType::Float, DataType::Boolean] {
            assert!(Labels::of(&resource(Some(data_type), labels)).is_none());
        }
        assert!(Labels::of(&resource(None, labels)).is_none());
        let unsigned = Some(DataType::Unsigned);
        assert!(Labels::of(&resource(unsigned, labels)).is_some());
        assert!(Labels::of(&resource(unsigned, "-1: off")).is_none());
    }

    #[test]
    fn an_enum_leaves_room_for_values_of_the_future() {
        let resource = resource(Some(DataType::Integer), "0: closed\n2: half open");
        let labels = Labels::of(&resource).unwrap();
        let name = Ident::new("Valve", proc_macro2::Span::call_site());
        let file: syn::File = syn::parse2(labels.tokens(&name, &resource)).unwrap();
        let Item::Enum(item) = &file.items[0] else {
            unreachable!("the enum comes first");
        };
        let is_open = |attribute: &syn::Attribute| attribute.path().is_ident("non_exhaustive");
        assert!(item.attrs.iter().any(is_open));
        let names = item
            .variants
            .iter()
            .map(|variant| variant.ident.to_string());
        assert_eq!(names.collect::<Vec<_>>(), ["Closed", "HalfOpen", "Other"]);
    }
}
