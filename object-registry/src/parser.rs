//! From a file's bytes to object models or an index.

use lwm2m_core::{ObjectModel, ResourceModel};

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::error::{ParseError, ParseFault};
use crate::index::{self, Index};
use crate::limits::Limits;
use crate::object::{self, Definition};
use crate::source::Source;
use crate::xml::{self, Element, Located};

/// What a file of object definitions holds.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Parsed {
    /// The objects, in the order of the file.
    pub models: Vec<ObjectModel>,
    /// Resources for objects to use, by id, ascending; only in a file of common resources.
    ///
    /// Such a file does not say how many instances they have and whether they are mandatory:
    /// both are false.
    pub reusable: Vec<ResourceModel>,
    /// What is wrong, or unusual, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

/// Whether mistakes are forgiven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strictness {
    /// For files of others: what is clear is understood, and reported.
    #[default]
    Lenient,
    /// For authors: a file with a finding above [`Severity::Note`] is refused.
    Strict,
}

/// Reads files of object definitions and indexes of them.
#[derive(Debug, Clone, Default)]
pub struct Parser {
    strictness: Strictness,
    limits: Limits,
}

impl Parser {
    /// A parser with the default limits.
    pub fn new(strictness: Strictness) -> Parser {
        Parser {
            strictness,
            limits: Limits::default(),
        }
    }

    /// The same parser with other limits.
    pub fn with_limits(self, limits: Limits) -> Parser {
        Parser { limits, ..self }
    }

    /// The limits that files are read with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Reads a file with the root `<LWM2M>`: objects, or reusable resources.
    ///
    /// `file` is only a name for messages.
    ///
    /// # Errors
    /// When the file is not well-formed XML, passes a limit, has no object, or has one without
    /// a clear id and version. In strict mode also when there is a finding above a note.
    pub fn parse(&self, xml: impl AsRef<[u8]>, file: &str) -> Result<Parsed, ParseError> {
        let source = Source::new(xml.as_ref(), file, &self.limits)?;
        let mut diagnostics = Diagnostics::new(source, self.limits.diagnostics_max);
        let mut parsed = root(source, "LWM2M", &self.limits)
            .and_then(|root| self.objects(&root, &mut diagnostics))
            .map_err(|(at, fault)| source.error(at, fault))?;
        parsed.diagnostics = self.judge(diagnostics)?;
        Ok(parsed)
    }

    /// Reads an index of object definitions, root `<DDFList>`.
    ///
    /// `file` is only a name for messages.
    ///
    /// # Errors
    /// When the file is not well-formed XML or passes a limit. In strict mode also when there is
    /// a finding above a note.
    pub fn parse_index(&self, xml: impl AsRef<[u8]>, file: &str) -> Result<Index, ParseError> {
        let source = Source::new(xml.as_ref(), file, &self.limits)?;
        let mut diagnostics = Diagnostics::new(source, self.limits.diagnostics_max);
        let rows = root(source, "DDFList", &self.limits)
            .and_then(|root| index::rows(&root, &self.limits, &mut diagnostics))
            .map_err(|(at, fault)| source.error(at, fault))?;
        let diagnostics = self.judge(diagnostics)?;
        Ok(Index { rows, diagnostics })
    }

    fn objects(
        &self,
        root: &Element<'_>,
        diagnostics: &mut Diagnostics<'_>,
    ) -> Result<Parsed, Located> {
        if !root.text.trim().is_empty() {
            diagnostics.warning(root.at, "there is stray text in <LWM2M>", "remove it");
        }
        let mut parsed = Parsed::default();
        let mut objects = 0;
        for element in &root.children {
            if element.name != "Object" {
                let message = format!("<{}> is not known in <LWM2M>", element.name);
                diagnostics.warning(element.at, message, "it is ignored; write <Object>");
                continue;
            }
            objects += 1;
            if objects > self.limits.objects_max {
                let max = self.limits.objects_max;
                let what = "objects in a file";
                return Err((element.at, ParseFault::OverLimit { what, max }));
            }
            match object::read(element, &self.limits, diagnostics)? {
                Definition::Object(model) => add(model, element.at, &mut parsed, diagnostics),
                Definition::Reusable(resources) => parsed.reusable.extend(resources),
            }
        }
        match objects {
            0 => Err((root.at, ParseFault::NoObject)),
            _ => Ok(parsed),
        }
    }

    /// The findings, or in strict mode the refusal that they lead to.
    fn judge(&self, diagnostics: Diagnostics<'_>) -> Result<Vec<Diagnostic>, ParseError> {
        let found = diagnostics.into_found();
        let first_grave = match self.strictness {
            Strictness::Lenient => None,
            Strictness::Strict => found.iter().find(|found| found.severity > Severity::Note),
        };
        match first_grave {
            None => Ok(found),
            Some(first) => Err(ParseError {
                file: first.file.clone(),
                line: first.line,
                column: first.column,
                fault: ParseFault::Rejected(found),
            }),
        }
    }
}

/// Reads a file of object definitions leniently and with the default limits.
///
/// `file` is only a name for messages.
///
/// ```
/// let xml = r#"<LWM2M><Object ObjectType="MODefinition">
///     <Name>Door</Name>
///     <ObjectID>32769</ObjectID>
///     <ObjectURN>urn:oma:lwm2m:x:32769</ObjectURN>
///     <MultipleInstances>Multiple</MultipleInstances>
///     <Mandatory>Optional</Mandatory>
///     <Resources><Item ID="1">
///         <Name>Open</Name>
///         <Operations>R</Operations>
///         <MultipleInstances>Single</MultipleInstances>
///         <Mandatory>Mandatory</Mandatory>
///         <Type>Boolean</Type>
///     </Item></Resources>
/// </Object></LWM2M>"#;
/// let parsed = lwm2m_registry::parse(xml, "door.xml")?;
/// assert_eq!(&*parsed.models[0].name, "Door");
/// assert!(parsed.diagnostics.is_empty());
/// # Ok::<(), lwm2m_registry::ParseError>(())
/// ```
///
/// # Errors
/// As [`Parser::parse`] in lenient mode.
pub fn parse(xml: impl AsRef<[u8]>, file: &str) -> Result<Parsed, ParseError> {
    Parser::default().parse(xml, file)
}

fn root<'x>(
    source: Source<'x>,
    expected: &'static str,
    limits: &Limits,
) -> Result<Element<'x>, Located> {
    let root = xml::read(source.text, limits)?;
    if root.name != expected {
        let found = root.name.to_owned();
        return Err((root.at, ParseFault::OtherRoot { expected, found }));
    }
    Ok(root)
}

fn add(model: ObjectModel, at: usize, parsed: &mut Parsed, diagnostics: &mut Diagnostics<'_>) {
    let (id, version) = (model.id, model.version);
    let is_known = |known: &ObjectModel| known.id == id && known.version == version;
    if parsed.models.iter().any(is_known) {
        let message = format!("object {id} version {version} is defined again");
        diagnostics.error(at, message, "the first one is used; remove the other");
        return;
    }
    parsed.models.push(model);
}
