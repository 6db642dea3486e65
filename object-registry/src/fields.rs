//! The named children of an element, and what is unexpected among them.

use crate::diagnostic::Diagnostics;
use crate::words::{self, Word};
use crate::xml::Element;

/// An element whose children are looked up by name.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'e, 'x> {
    element: &'e Element<'x>,
}

impl<'e, 'x> Fields<'e, 'x> {
    /// Takes an element and reports children that are not known, children that are there twice,
    /// and text between them.
    pub(crate) fn of(
        element: &'e Element<'x>,
        known: &[&str],
        diagnostics: &mut Diagnostics<'_>,
    ) -> Fields<'e, 'x> {
        if !element.text.trim().is_empty() {
            let message = format!("there is stray text in <{}>", element.name);
            diagnostics.warning(element.at, message, "remove it");
        }
        // A bit for each known name: no element has more than 64 of them.
        let mut seen = 0u64;
        for child in &element.children {
            let place = known.iter().position(|name| *name == child.name);
            let Some(place) = place else {
                let message = format!("<{}> is not known in <{}>", child.name, element.name);
                diagnostics.warning(child.at, message, "it is ignored; check the spelling");
                continue;
            };
            let bit = 1u64.checked_shl(u32::try_from(place).unwrap_or(u32::MAX));
            let bit = bit.unwrap_or_default();
            if seen & bit != 0 {
                let message = format!("<{}> is there twice", child.name);
                diagnostics.warning(child.at, message, "the first one is used; remove the other");
            }
            seen |= bit;
        }
        Fields { element }
    }

    /// Where the element starts.
    pub(crate) fn at(&self) -> usize {
        self.element.at
    }

    /// The first child of a name.
    pub(crate) fn child(&self, name: &str) -> Option<&'e Element<'x>> {
        self.element
            .children
            .iter()
            .find(|child| child.name == name)
    }

    /// Where a child starts, else the element itself.
    pub(crate) fn at_child(&self, name: &str) -> usize {
        self.child(name).map_or(self.at(), |child| child.at)
    }

    /// The collapsed text of a child; none when it is missing or blank.
    pub(crate) fn text(&self, name: &str, diagnostics: &mut Diagnostics<'_>) -> Option<String> {
        let text = words::collapse(self.raw(name, diagnostics)?);
        (!text.is_empty()).then_some(text)
    }

    /// The text of a child with its lines collapsed one by one; empty when it is missing.
    pub(crate) fn lines(&self, name: &str, diagnostics: &mut Diagnostics<'_>) -> String {
        self.raw(name, diagnostics)
            .map(words::collapse_lines)
            .unwrap_or_default()
    }

    /// A child that holds one of two words; false when nothing is clear.
    pub(crate) fn choice(
        &self,
        name: &'static str,
        word: fn(&str) -> Word<bool>,
        expected: &str,
        diagnostics: &mut Diagnostics<'_>,
    ) -> bool {
        let text = self.text(name, diagnostics).unwrap_or_default();
        let at = self.at_child(name);
        let advice = format!("write {expected}");
        match word(&text) {
            Word::Exact(value) => value,
            Word::Meant(value) => {
                diagnostics.warning(at, format!("`{text}` is no word for <{name}>"), &advice);
                value
            }
            Word::Unknown if text.is_empty() => {
                let message = format!("<{name}> is missing in <{}>", self.element.name);
                diagnostics.warning(at, message, &advice);
                false
            }
            Word::Unknown => {
                diagnostics.warning(at, format!("`{text}` is no word for <{name}>"), &advice);
                false
            }
        }
    }

    fn raw(&self, name: &str, diagnostics: &mut Diagnostics<'_>) -> Option<&'e str> {
        let child = self.child(name)?;
        if let Some(inner) = child.children.first() {
            let message = format!("<{}> is not allowed in the text of <{name}>", inner.name);
            diagnostics.warning(inner.at, message, "write `&lt;` for a literal `<`");
        }
        Some(&child.text)
    }
}
