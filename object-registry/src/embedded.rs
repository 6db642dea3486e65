//! The object definitions that this crate contains.
//!
//! They are ordinary XML files in `objects/`: `{id}.xml` holds the newest version of an object,
//! `{id}-{major}_{minor}.xml` an older one. Ids, names, types, operations, ranges and units are
//! those of the registered definitions; the descriptions are this project's own.

use std::sync::{Arc, LazyLock};

use crate::object_set::ObjectSet;
use crate::parser::{Parser, Strictness};

/// The built-in objects, parsed at the first call.
pub(crate) fn objects() -> Arc<ObjectSet> {
    static OBJECTS: LazyLock<Arc<ObjectSet>> = LazyLock::new(|| Arc::new(parse_all()));
    Arc::clone(&OBJECTS)
}

fn parse_all() -> ObjectSet {
    let parser = Parser::new(Strictness::Strict);
    let models = FILES.iter().flat_map(|(name, xml)| {
        let parsed = parser
            .parse(xml, name)
            .expect("invariant: the embedded files are free of faults, a test parses each");
        parsed.models.into_iter().map(Arc::new)
    });
    models.collect()
}

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../objects/", $name)))),*]
    };
}

/// The name and the text of each file in `objects/`, sorted by name.
const FILES: &[(&str, &str)] = files! {
    "0-1_0.xml"
    "0-1_1.xml"
    "0.xml"
    "1-1_0.xml"
    "1-1_1.xml"
    "1.xml"
    "10-1_0.xml"
    "10.xml"
    "11-1_0.xml"
    "11.xml"
    "12-1_0.xml"
    "12.xml"
    "13-1_0.xml"
    "13.xml"
    "14.xml"
    "15.xml"
    "16.xml"
    "19.xml"
    "2-1_0.xml"
    "2.xml"
    "20-1_0.xml"
    "20-2_0.xml"
    "20.xml"
    "21-1_0.xml"
    "21-1_1.xml"
    "21.xml"
    "22-1_0.xml"
    "22.xml"
    "23.xml"
    "24.xml"
    "25-1_0.xml"
    "25.xml"
    "26.xml"
    "27.xml"
    "28.xml"
    "3-1_0.xml"
    "3-1_1.xml"
    "3.xml"
    "3200-1_0.xml"
    "3200.xml"
    "3201-1_0.xml"
    "3201.xml"
    "3202-1_0.xml"
    "3202.xml"
    "3203-1_0.xml"
    "3203.xml"
    "3300-1_0.xml"
    "3300.xml"
    "3301-1_0.xml"
    "3301.xml"
    "3302-1_0.xml"
    "3302.xml"
    "3303-1_0.xml"
    "3303.xml"
    "3304-1_0.xml"
    "3304.xml"
    "3305-1_0.xml"
    "3305.xml"
    "3306-1_0.xml"
    "3306.xml"
    "3308-1_0.xml"
    "3308.xml"
    "3310-1_0.xml"
    "3310.xml"
    "3311.xml"
    "3312-1_0.xml"
    "3312.xml"
    "3313-1_0.xml"
    "3313.xml"
    "3314-1_0.xml"
    "3314.xml"
    "3315-1_0.xml"
    "3315.xml"
    "3316-1_0.xml"
    "3316.xml"
    "3317-1_0.xml"
    "3317.xml"
    "3320-1_0.xml"
    "3320.xml"
    "3321-1_0.xml"
    "3321.xml"
    "3322-1_0.xml"
    "3322.xml"
    "3323-1_0.xml"
    "3323.xml"
    "3324-1_0.xml"
    "3324.xml"
    "3325-1_0.xml"
    "3325.xml"
    "3326-1_0.xml"
    "3326.xml"
    "3327-1_0.xml"
    "3327.xml"
    "3328-1_0.xml"
    "3328.xml"
    "3329-1_0.xml"
    "3329.xml"
    "3330-1_0.xml"
    "3330.xml"
    "3331-1_0.xml"
    "3331.xml"
    "3332-1_0.xml"
    "3332.xml"
    "3333-1_0.xml"
    "3333.xml"
    "3334-1_0.xml"
    "3334.xml"
    "3335-1_0.xml"
    "3335.xml"
    "3336-1_0.xml"
    "3336-1_1.xml"
    "3336.xml"
    "3337-1_0.xml"
    "3337.xml"
    "3338-1_0.xml"
    "3338.xml"
    "3339.xml"
    "3340.xml"
    "3341.xml"
    "3342-1_0.xml"
    "3342.xml"
    "3343.xml"
    "3344.xml"
    "3345.xml"
    "3346-1_0.xml"
    "3346.xml"
    "3347-1_0.xml"
    "3347.xml"
    "3348-1_0.xml"
    "3348.xml"
    "3349-1_0.xml"
    "3349.xml"
    "3350-1_0.xml"
    "3350.xml"
    "3441.xml"
    "3442.xml"
    "4-1_0.xml"
    "4-1_1.xml"
    "4-1_2.xml"
    "4.xml"
    "5-1_0.xml"
    "5-1_1.xml"
    "5.xml"
    "500.xml"
    "6.xml"
    "7.xml"
    "8.xml"
    "9.xml"
};

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("objects");
        let mut present: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        present.sort();
        let listed: Vec<_> = FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(listed, present);
    }

    #[test]
    fn every_file_is_free_of_findings_and_named_after_its_object() {
        let parser = Parser::new(Strictness::Strict);
        let newest = objects();
        for (name, xml) in FILES {
            let parsed = parser.parse(xml, name).unwrap();
            assert_eq!(parsed.diagnostics, [], "{name}");
            let [model] = parsed.models.as_slice() else {
                panic!("{name} has not one object");
            };
            let is_newest = newest.object(model.id, None).unwrap().version == model.version;
            let version = model.version;
            let expected = match is_newest {
                true => format!("{}.xml", model.id),
                false => format!("{}-{}_{}.xml", model.id, version.major, version.minor),
            };
            assert_eq!(*name, expected);
        }
    }
}
