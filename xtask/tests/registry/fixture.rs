//! Small registries.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use lwm2m_registry::parse;

/// The definition of an object with one resource.
pub(crate) fn definition(id: u16, version: &str, name: &str) -> String {
    let word = match id {
        0..=1023 => "oma",
        1024..=10240 => "ext",
        _ => "x",
    };
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<LWM2M>
  <Object ObjectType="MODefinition">
    <Name>{name}</Name>
    <Description1>For tests.</Description1>
    <ObjectID>{id}</ObjectID>
    <ObjectURN>urn:oma:lwm2m:{word}:{id}:{version}</ObjectURN>
    <LWM2MVersion>1.0</LWM2MVersion>
    <ObjectVersion>{version}</ObjectVersion>
    <MultipleInstances>Single</MultipleInstances>
    <Mandatory>Optional</Mandatory>
    <Resources>
      <Item ID="0">
        <Name>Value</Name>
        <Operations>R</Operations>
        <MultipleInstances>Single</MultipleInstances>
        <Mandatory>Optional</Mandatory>
        <Type>Float</Type>
        <RangeEnumeration></RangeEnumeration>
        <Units></Units>
        <Description>A value.</Description>
      </Item>
    </Resources>
    <Description2></Description2>
  </Object>
</LWM2M>
"#
    )
}

/// An index with a row for each id, version and file.
pub(crate) fn index(rows: &[(u16, &str, &str)]) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DDFList>\n".to_owned();
    for (id, version, file) in rows {
        let urn = format!("urn:oma:lwm2m:oma:{id}:{version}");
        writeln!(
            text,
            "  <Item><ObjectID>{id}</ObjectID><URN>{urn}</URN><Name>N</Name>\
             <Description>D</Description><Owner>O</Owner><Source>0</Source><Ver>{version}</Ver>\
             <DDF>{file}</DDF><Vorto/><DDFLink>1</DDFLink><TS/><TSLink>1</TSLink></Item>"
        )
        .unwrap();
    }
    text.push_str("</DDFList>\n");
    text
}

/// Files by path.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Three objects, one of them in two versions, and a row without a file.
pub(crate) fn registry() -> Files {
    let rows = [
        (3, "1.0", "version_history/3-1_0.xml"),
        (3, "1.1", "3.xml"),
        (4, "1.0", ""),
        (5, "1.0", "5.xml"),
        (3303, "1.0", "3303.xml"),
    ];
    let files = [
        ("DDF.xml", index(&rows)),
        ("version_history/3-1_0.xml", definition(3, "1.0", "Old")),
        ("3.xml", definition(3, "1.1", "Device")),
        ("5.xml", definition(5, "1.0", "Firmware")),
        ("3303.xml", definition(3303, "1.0", "Temperature")),
    ];
    files
        .into_iter()
        .map(|(path, text)| (path.to_owned(), text.into_bytes()))
        .collect()
}

pub(crate) fn write(folder: &Path, files: &Files) {
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Every file below a folder.
pub(crate) fn read(folder: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(current).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
            files.insert(name.to_owned(), fs::read(&path).unwrap());
        }
    }
    files
}

/// The names in a folder, hidden ones too, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The embedded objects as a registry serves them, with an index.
pub(crate) fn embedded() -> Files {
    let objects = Path::new(env!("CARGO_MANIFEST_DIR")).join("../object-registry/objects");
    let mut files = read(&objects);
    let mut rows = Vec::new();
    for (name, content) in &files {
        let model = parse(content, name).unwrap().models.remove(0);
        rows.push((model.id, model.version.to_string(), name.clone()));
    }
    let rows: Vec<_> = rows
        .iter()
        .map(|(id, version, name)| (*id, version.as_str(), name.as_str()))
        .collect();
    files.insert("DDF.xml".to_owned(), index(&rows).into_bytes());
    files
}
