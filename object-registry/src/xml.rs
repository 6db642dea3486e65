//! XML as a small tree of elements with their places.
//!
//! quick-xml finds the markup; this module adds what it leaves to its callers: one root, nothing
//! but white space around it, a declaration only at the start, names that are names, references
//! that resolve, and the limits. A document type declaration is refused, so that no entity can
//! grow.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::errors::IllFormedError;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::error::ParseFault;
use crate::limits::Limits;
use crate::source::is_xml_char;

/// An element with its text and its children, in the order of the file.
#[derive(Debug)]
pub(crate) struct Element<'x> {
    /// The tag's name.
    pub(crate) name: &'x str,
    /// The byte offset of its start tag.
    pub(crate) at: usize,
    /// The attributes, references resolved.
    pub(crate) attributes: Vec<Attribute>,
    /// The text directly inside it: character data, CDATA and resolved references.
    pub(crate) text: Cow<'x, str>,
    /// The elements directly inside it.
    pub(crate) children: Vec<Element<'x>>,
}

impl Element<'_> {
    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|found| &*found.name == name)?;
        Some(&found.value)
    }
}

/// `name="value"` in a start tag.
#[derive(Debug)]
pub(crate) struct Attribute {
    name: Box<str>,
    value: Box<str>,
}

/// A fault at a byte offset.
pub(crate) type Located = (usize, ParseFault);

/// Reads a document and returns its root.
pub(crate) fn read<'x>(text: &'x str, limits: &Limits) -> Result<Element<'x>, Located> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    let mut tree = Tree {
        text,
        limits,
        open: Vec::new(),
        root: None,
        elements: 0,
    };
    loop {
        let at = offset(reader.buffer_position());
        let event = reader.read_event().map_err(|error| {
            let at = offset(reader.error_position());
            ill(at, explain(&error))
        })?;
        match event {
            Event::Start(start) => tree.open(at, &start)?,
            Event::Empty(start) => {
                tree.open(at, &start)?;
                tree.close();
            }
            Event::End(_) => tree.close(),
            Event::Text(text) => {
                let text = text.into_inner();
                if let Some(inside) = text.find("]]>") {
                    return Err(ill(at + inside, "`]]>` in text must be written `]]&gt;`"));
                }
                tree.text(at, text)?;
            }
            Event::CData(data) => tree.text(at, data.into_inner())?,
            Event::GeneralRef(reference) => {
                let c = resolve(&reference).map_err(|message| ill(at, message))?;
                tree.text(at, Cow::Owned(c.to_string()))?;
            }
            Event::Decl(_) if at == 0 => {}
            Event::Decl(_) => {
                let message = "the XML declaration `<?xml ...?>` must be the first thing";
                return Err(ill(at, message));
            }
            Event::DocType(_) => {
                return Err(ill(at, "a document type declaration is not allowed"));
            }
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return tree.finish(),
        }
    }
}

/// The elements that are open, and the limits that they keep.
struct Tree<'x, 'l> {
    text: &'x str,
    limits: &'l Limits,
    open: Vec<Element<'x>>,
    root: Option<Element<'x>>,
    elements: usize,
}

impl<'x> Tree<'x, '_> {
    fn open(&mut self, at: usize, start: &BytesStart<'_>) -> Result<(), Located> {
        if self.root.is_some() {
            return Err(ill(at, "there is a second root element"));
        }
        if self.open.len() >= self.limits.depth_max {
            return Err(over(
                at,
                "elements inside each other",
                self.limits.depth_max,
            ));
        }
        self.elements += 1;
        if self.elements > self.limits.elements_max {
            return Err(over(at, "elements", self.limits.elements_max));
        }
        // The event borrows from itself, the tree from the text: the name stands after the `<`.
        let name_at = at + 1;
        let name_end = name_at + start.name().as_ref().len();
        let name = self.text.get(name_at..name_end).unwrap_or_default();
        if !is_name(name) {
            return Err(ill(at, "a `<` that starts no tag must be written `&lt;`"));
        }
        let attributes = attributes(start, at, self.limits)?;
        self.open.push(Element {
            name,
            at,
            attributes,
            text: Cow::Borrowed(""),
            children: Vec::new(),
        });
        Ok(())
    }

    fn close(&mut self) {
        // quick-xml answers an end tag without start tag with an error, so one is open.
        if let Some(element) = self.open.pop() {
            match self.open.last_mut() {
                Some(parent) => parent.children.push(element),
                None => self.root = Some(element),
            }
        }
    }

    fn text(&mut self, at: usize, text: Cow<'x, str>) -> Result<(), Located> {
        let Some(element) = self.open.last_mut() else {
            return match text.find(|c| !matches!(c, ' ' | '\t' | '\r' | '\n')) {
                None => Ok(()),
                Some(inside) => Err(ill(at + inside, "there is text outside the root element")),
            };
        };
        if element.text.len() + text.len() > self.limits.text_bytes_max {
            let max = self.limits.text_bytes_max;
            return Err(over(at, "bytes of text in an element", max));
        }
        match element.text.is_empty() {
            true => element.text = text,
            false => element.text.to_mut().push_str(&text),
        }
        Ok(())
    }

    fn finish(self) -> Result<Element<'x>, Located> {
        if let Some(element) = self.open.last() {
            let message = format!("<{}> is never closed", element.name);
            return Err(ill(element.at, message));
        }
        self.root
            .ok_or_else(|| ill(self.text.len(), "there is no element"))
    }
}

fn attributes(
    start: &BytesStart<'_>,
    at: usize,
    limits: &Limits,
) -> Result<Vec<Attribute>, Located> {
    let mut found = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| ill(at, error.to_string()))?;
        if found.len() >= limits.attributes_max {
            return Err(over(at, "attributes of an element", limits.attributes_max));
        }
        if attribute.value.contains('<') {
            return Err(ill(at, "`<` in an attribute must be written `&lt;`"));
        }
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|error| ill(at, error.to_string()))?;
        found.push(Attribute {
            name: attribute.key.as_ref().into(),
            value: value.as_ref().into(),
        });
    }
    Ok(found)
}

/// The character that `&name;` or `&#number;` stands for.
fn resolve(reference: &BytesRef<'_>) -> Result<char, String> {
    let number = reference
        .resolve_char_ref()
        .map_err(|error| error.to_string())?;
    if let Some(c) = number {
        return match is_xml_char(c) {
            true => Ok(c),
            false => Err(format!("U+{:04X} is not allowed in XML", c as u32)),
        };
    }
    match reference.as_ref() {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        name => Err(format!(
            "`&{name};` is not known; a bare `&` must be written `&amp;`"
        )),
    }
}

/// What quick-xml found, without what the fault says already, and with the usual cause.
fn explain(error: &quick_xml::Error) -> String {
    match error {
        quick_xml::Error::IllFormed(IllFormedError::UnclosedReference) => {
            "a bare `&` must be written `&amp;`".to_owned()
        }
        quick_xml::Error::IllFormed(error) => error.to_string(),
        quick_xml::Error::Syntax(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// True for a name of XML 1.0 §2.3, with any character above ASCII taken for a letter.
fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':') || !c.is_ascii();
    let is_later = |c: char| is_letter(c) || c.is_ascii_digit() || matches!(c, '-' | '.');
    name.starts_with(is_letter) && name.chars().all(is_later)
}

fn ill(at: usize, message: impl Into<String>) -> Located {
    (at, ParseFault::IllFormed(message.into()))
}

fn over(at: usize, what: &'static str, max: usize) -> Located {
    (at, ParseFault::OverLimit { what, max })
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(text: &str) -> Result<Element<'_>, Located> {
        read(text, &Limits::default())
    }

    #[test]
    fn joins_text_cdata_and_references() {
        let text = "<a>x &amp; <![CDATA[<dir> & ]]>&#8364;<!-- no --> y</a>";
        assert_eq!(root(text).unwrap().text, "x & <dir> & € y");
    }

    #[test]
    fn keeps_names_places_and_attributes() {
        let root = root("<?xml version=\"1.0\"?>\n<a>\n <b c='1 &lt; 2'/><é/></a>\n").unwrap();
        assert_eq!((root.name, root.at), ("a", 22));
        let names: Vec<_> = root.children.iter().map(|c| (c.name, c.at)).collect();
        assert_eq!(names, [("b", 27), ("é", 44)]);
        assert_eq!(root.children[0].attribute("c"), Some("1 < 2"));
        assert_eq!(root.children[0].attribute("d"), None);
    }

    #[test]
    fn refuses_what_is_not_well_formed() {
        for (text, at) in [
            ("", 0),
            ("<!-- only -->", 13),
            ("<a>", 0),
            ("<a><b></a></b>", 6),
            ("<a/><b/>", 4),
            ("<a/>x", 4),
            ("x<a/>", 0),
            ("\n<?xml version=\"1.0\"?><a/>", 1),
            ("<a>1 < 2</a>", 5),
            ("<a>&unknown;</a>", 3),
            ("<a>AT&T</a>", 5),
            ("<a>&#1;</a>", 3),
            ("<a>&#xD800;</a>", 3),
            ("<a>]]></a>", 3),
            ("<a b='1' b='2'/>", 0),
            ("<a b='<'/>", 0),
            ("<a b=1/>", 0),
            ("<1a/>", 0),
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", 0),
            ("<a><!-- x -- y --></a>", 10),
            ("<a><![CDATA[x</a>", 3),
        ] {
            let (found, fault) = root(text).unwrap_err();
            assert!(
                matches!(fault, ParseFault::IllFormed(_)),
                "{text}: {fault:?}"
            );
            assert_eq!(found, at, "{text}");
        }
    }

    #[test]
    fn keeps_each_limit() {
        let limits = Limits {
            depth_max: 3,
            elements_max: 4,
            attributes_max: 2,
            text_bytes_max: 5,
            ..Limits::default()
        };
        for (within, beyond, what) in [
            (
                "<a><b><c/></b></a>",
                "<a><b><c><d/></c></b></a>",
                "elements inside each other",
            ),
            ("<a><b/><b/><b/></a>", "<a><b/><b/><b/><b/></a>", "elements"),
            (
                "<a b='' c=''/>",
                "<a b='' c='' d=''/>",
                "attributes of an element",
            ),
            (
                "<a>12&amp;<b/>45</a>",
                "<a>12&amp;<b/>456</a>",
                "bytes of text in an element",
            ),
        ] {
            assert!(read(within, &limits).is_ok(), "{within}");
            let (_, fault) = read(beyond, &limits).unwrap_err();
            assert!(
                matches!(fault, ParseFault::OverLimit { what: found, .. } if found == what),
                "{beyond}: {fault:?}"
            );
        }
    }
}
