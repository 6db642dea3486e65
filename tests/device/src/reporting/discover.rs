//! Links: the answer to a Discover, and the object list of a registration.

use std::fmt::Write;

use lwm2m_core::{Attributes, ContentFormat, Path, PathLevel, Version};

use super::AttributeTable;
use super::attributes::parameters;
use crate::tree::{closed, implied_version, is_present};
use crate::{Definition, Object, ObjectTree, Refusal, ResourceValue};

/// The answer to a Discover (Core 1.2.2 §6.3.3).
///
/// On an object each link shows what is attached to it; on an instance or a resource the first
/// link shows all that holds for it, inherited or default.
pub(crate) fn discover(
    tree: &ObjectTree,
    attributes: &AttributeTable,
    defaults: &Attributes,
    links: Links<'_>,
    target: &Path,
    depth: Option<u8>,
) -> Result<String, Refusal> {
    tree.check_target(target)?;
    let level = target.level();
    let depth = depth.unwrap_or(if level == PathLevel::Object { 2 } else { 1 });
    let mut walk = Walk {
        attributes,
        links,
        out: String::new(),
        deepest: target.ids().len() + usize::from(depth),
    };
    let object = tree.object(target)?;
    let first = match level {
        PathLevel::Root | PathLevel::ResourceInstance => {
            return Err(Refusal::not_allowed(
                "Discover is for objects, instances, resources",
            ));
        }
        // The defaults of the Server object hold for the object as a whole (int-264).
        PathLevel::Object => {
            let mut own = attributes.own(target);
            own.pmin = own.pmin.or(defaults.pmin);
            own.pmax = own.pmax.or(defaults.pmax);
            own
        }
        _ => attributes.effective(target, defaults),
    };
    match (target.instance_id(), target.resource_id()) {
        (None, _) => walk.object(object, &first),
        (Some(instance), None) => walk.instance(object, instance, &first),
        (Some(instance), Some(_)) => {
            walk.resource(object, instance, tree.definition(target)?, &first);
        }
    }
    Ok(walk.out)
}

/// How links are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links<'a> {
    /// The enabler version, which implies object versions.
    pub(crate) version: Version,
    /// The alternate path, empty for none.
    pub(crate) prefix: &'a str,
    /// Ends targets with a slash, as some devices do.
    pub(crate) trailing_slash: bool,
}

impl Links<'_> {
    fn open(&self, out: &mut String, path: &Path) {
        let comma = if out.is_empty() { "" } else { "," };
        let slash = if self.trailing_slash { "/" } else { "" };
        push(out, format_args!("{comma}<{}{path}{slash}>", self.prefix));
    }

    fn object_version(&self, out: &mut String, object: &dyn Object) {
        let store = object.store();
        let version = store.object_version();
        if version != implied_version(self.version, store.object()) {
            push(out, format_args!(";ver={version}"));
        }
    }
}

/// The object list of a Register or Update (Core 1.2.2 §6.2.1).
pub(crate) fn object_list(
    tree: &ObjectTree,
    links: Links<'_>,
    formats: &[ContentFormat],
) -> String {
    let mut out = String::new();
    if !formats.is_empty() || !links.prefix.is_empty() {
        let root = if links.prefix.is_empty() {
            "/"
        } else {
            links.prefix
        };
        push(&mut out, format_args!("<{root}>;rt=\"oma.lwm2m\""));
        let numbers: Vec<String> = formats.iter().map(|f| f.number().to_string()).collect();
        if !numbers.is_empty() {
            push(&mut out, format_args!(";ct=\"{}\"", numbers.join(" ")));
        }
    }
    for object in tree.objects() {
        let store = object.store();
        if closed(store.object()).is_err() {
            continue; // they are not in the list (Core 1.2.2 §6.2.1)
        }
        let path = Path::object(store.object());
        let implied = implied_version(links.version, store.object());
        if store.object_version() != implied || store.instances().next().is_none() {
            links.open(&mut out, &path);
            links.object_version(&mut out, object);
        }
        for instance in store.instances() {
            links.open(&mut out, &Path::instance(store.object(), instance));
        }
    }
    out
}

struct Walk<'a> {
    attributes: &'a AttributeTable,
    links: Links<'a>,
    out: String,
    deepest: usize,
}

impl Walk<'_> {
    fn object(&mut self, object: &dyn Object, shown: &Attributes) {
        let path = Path::object(object.store().object());
        self.links.open(&mut self.out, &path);
        self.links.object_version(&mut self.out, object);
        self.attributes(shown);
        if self.deepest < 2 {
            return;
        }
        for instance in object.store().instances() {
            let own = self
                .attributes
                .own(&Path::instance(path.ids()[0], instance));
            self.instance(object, instance, &own);
        }
    }

    fn instance(&mut self, object: &dyn Object, instance: u16, shown: &Attributes) {
        let path = Path::instance(object.store().object(), instance);
        self.links.open(&mut self.out, &path);
        self.attributes(shown);
        if self.deepest < 3 {
            return;
        }
        for definition in object.store().definitions() {
            if is_present(object, instance, definition) {
                let resource = Path::resource(path.ids()[0], instance, definition.id);
                let own = self.attributes.own(&resource);
                self.resource(object, instance, definition, &own);
            }
        }
    }

    fn resource(
        &mut self,
        object: &dyn Object,
        instance: u16,
        definition: &Definition,
        shown: &Attributes,
    ) {
        let id = object.store().object();
        self.links
            .open(&mut self.out, &Path::resource(id, instance, definition.id));
        let value = object.read(instance, definition.id);
        let items = match &value {
            Some(ResourceValue::Multiple(items)) => items.as_slice(),
            _ => &[],
        };
        if definition.multiple {
            push(&mut self.out, format_args!(";dim={}", items.len()));
        }
        self.attributes(shown);
        if self.deepest < 4 {
            return;
        }
        for (item, _) in items {
            let path = Path::resource_instance(id, instance, definition.id, *item);
            self.links.open(&mut self.out, &path);
            self.attributes(&self.attributes.own(&path));
        }
    }

    fn attributes(&mut self, shown: &Attributes) {
        for (key, value) in parameters(shown) {
            push(&mut self.out, format_args!(";{key}={value}"));
        }
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String never fails.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests;
