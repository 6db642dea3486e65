//! `#[lwm2m_object(xml = "…")]`

use lwm2m_core::{ObjectModel, ObjectVersion};
use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{ItemStruct, LitInt, LitStr};

use crate::load::Loaded;
use crate::{tracked, warning};

/// Which object a struct becomes.
#[derive(Default)]
struct Arguments {
    xml: Option<LitStr>,
    id: Option<u16>,
    version: Option<ObjectVersion>,
}

/// The struct with its fields, the module with the resources.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let span = arguments.span();
    let mut wanted = Arguments::default();
    syn::meta::parser(|meta| wanted.read(&meta)).parse2(arguments)?;
    let Some(xml) = &wanted.xml else {
        let message = "name the definition: #[lwm2m_object(xml = \"objects/meter.xml\")]";
        return Err(syn::Error::new(span, message));
    };
    let item: ItemStruct = syn::parse2(item)?;
    if !item.fields.is_empty() || !item.generics.params.is_empty() {
        let message = "the fields come from the XML: write a struct without any, `struct Meter;`";
        return Err(syn::Error::new(item.ident.span(), message));
    }
    let loaded = Loaded::read(xml)?;
    let model = wanted.choose(&loaded.models);
    let model = model.map_err(|message| syn::Error::new(xml.span(), message))?;
    let object = lwm2m_codegen::attached(model, &item);
    let tracked = tracked(&loaded);
    let allowed = item.attrs.iter().filter(|it| it.path().is_ident("allow"));
    let warning = warning(&loaded, xml.span());
    // Without a warning there is nothing that these could be about.
    let warning = (!warning.is_empty()).then(|| quote!(#(#allowed)* #warning));
    Ok(quote!(#object #tracked #warning))
}

impl Arguments {
    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        if meta.path.is_ident("xml") {
            self.xml = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("id") {
            self.id = Some(meta.value()?.parse::<LitInt>()?.base10_parse()?);
        } else if meta.path.is_ident("version") {
            let text: LitStr = meta.value()?.parse()?;
            let version = text.value().parse();
            self.version = Some(version.map_err(|error| syn::Error::new(text.span(), error))?);
        } else {
            return Err(meta.error("only `xml`, `id` and `version` are known here"));
        }
        Ok(())
    }

    /// The one object that is meant; its newest version unless one is named.
    fn choose<'m>(&self, models: &'m [ObjectModel]) -> Result<&'m ObjectModel, String> {
        let is_meant = |model: &&ObjectModel| {
            self.id.is_none_or(|id| id == model.id)
                && self.version.is_none_or(|version| version == model.version)
        };
        let meant: Vec<&ObjectModel> = models.iter().filter(is_meant).collect();
        let newest = meant.iter().max_by_key(|model| model.version);
        let newest = newest.ok_or("no object has this id and version")?;
        match meant.iter().find(|model| model.id != newest.id) {
            None => Ok(newest),
            Some(other) => Err(format!(
                "there are objects {} and {}: name one with `id = {}`",
                newest.id, other.id, newest.id
            )),
        }
    }
}
