//! `cargo xtask registry new`: the definition of an object of one's own, to start from.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use lwm2m_core::ObjectModels;
use lwm2m_registry::{Parser, Registry, Strictness};

use super::id_class::IdClass;

/// Longest name of an object, in characters.
const NAME_CHARS_MAX: usize = 100;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The object id; 10241 to 32768 are for objects of vendors.
    id: u16,
    /// The object's name, as in "Water Meter".
    name: String,
    /// The folder that the file is written to.
    #[arg(long, default_value = "objects")]
    into: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (id, name) = (arguments.id, arguments.name.trim());
    let class = IdClass::of(id);
    if class == IdClass::Unassigned {
        bail!("object id {id} cannot be used: {}", class.advice());
    }
    if let Some(known) = Registry::embedded().object(id, None) {
        let advice = IdClass::Vendor.advice();
        bail!("object {id} is {} already: {advice}", known.name);
    }
    check_name(name)?;
    let xml = definition(id, name);
    let file = format!("{id}.xml");
    Parser::new(Strictness::Strict)
        .parse(&xml, &file)
        .context("the template does not fit this name: choose another")?;

    fs::create_dir_all(&arguments.into)
        .with_context(|| format!("cannot create {}", arguments.into.display()))?;
    let path = arguments.into.join(file);
    let shown = path.display();
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{shown} is there already: take another id, or remove the file")
        }
        opened => opened.with_context(|| format!("cannot create {shown}"))?,
    };
    file.write_all(xml.as_bytes())
        .with_context(|| format!("cannot write {shown}"))?;
    println!("{shown}: object {id}, {name}");
    println!("note: {}", class.advice());
    println!("next: describe your resources, then `cargo xtask registry check --strict {shown}`");
    Ok(())
}

fn check_name(name: &str) -> anyhow::Result<()> {
    if name.is_empty() {
        bail!("the name is empty: give one such as \"Water Meter\"");
    }
    if name.chars().count() > NAME_CHARS_MAX {
        bail!("the name has more than {NAME_CHARS_MAX} characters: take a shorter one");
    }
    if name.chars().any(char::is_control) {
        bail!("the name has control characters: write plain words");
    }
    Ok(())
}

/// A definition with one resource of each kind that people start with.
fn definition(id: u16, name: &str) -> String {
    let name = escape(name);
    let urn_word = IdClass::of(id).urn_word();
    let mut items = String::new();
    for item in &ITEMS {
        items.push_str(&item.xml());
    }
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<LWM2M>
  <Object ObjectType="MODefinition">
    <Name>{name}</Name>
    <Description1>What {name} is for, in a sentence or two.</Description1>
    <ObjectID>{id}</ObjectID>
    <ObjectURN>urn:oma:lwm2m:{urn_word}:{id}</ObjectURN>
    <LWM2MVersion>1.0</LWM2MVersion>
    <ObjectVersion>1.0</ObjectVersion>
    <!-- Multiple: a device may have several of it. -->
    <MultipleInstances>Multiple</MultipleInstances>
    <Mandatory>Optional</Mandatory>
    <!-- Ids 0 to 2047 are this object's own; take those from 2048 from the list of reusable
         resources, with their name and type. Once devices are out: add resources and raise the
         minor version; to change or remove one, raise the major version. -->
    <Resources>
{items}    </Resources>
    <Description2></Description2>
  </Object>
</LWM2M>
"#
    )
}

/// A resource of the template.
struct Item {
    id: u16,
    name: &'static str,
    operations: &'static str,
    mandatory: &'static str,
    data_type: &'static str,
    range: &'static str,
    units: &'static str,
    description: &'static str,
}

const ITEMS: [Item; 3] = [
    Item {
        id: 0,
        name: "Current Value",
        operations: "R",
        mandatory: "Mandatory",
        data_type: "Float",
        range: "",
        units: "Cel",
        description: "A value that a server reads and observes.",
    },
    Item {
        id: 1,
        name: "Reporting Interval",
        operations: "RW",
        mandatory: "Optional",
        data_type: "Unsigned Integer",
        range: "1..86400",
        units: "s",
        description: "A setting that a server reads and writes.",
    },
    Item {
        id: 2,
        name: "Reset",
        operations: "E",
        mandatory: "Optional",
        data_type: "",
        range: "",
        units: "",
        description: "An action that a server executes.",
    },
];

impl Item {
    fn xml(&self) -> String {
        let Item {
            id,
            name,
            operations,
            mandatory,
            data_type,
            range,
            units,
            description,
        } = self;
        format!(
            r#"      <Item ID="{id}">
        <Name>{name}</Name>
        <Operations>{operations}</Operations>
        <MultipleInstances>Single</MultipleInstances>
        <Mandatory>{mandatory}</Mandatory>
        <Type>{data_type}</Type>
        <RangeEnumeration>{range}</RangeEnumeration>
        <Units>{units}</Units>
        <Description>{description}</Description>
      </Item>
"#
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
