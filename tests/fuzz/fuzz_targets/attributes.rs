//! Notification attributes, as in a query.

#![no_main]

use lwm2m_core::{Attributes, DataType, PathLevel, Version};

const LEVELS: [PathLevel; 5] = [
    PathLevel::Root,
    PathLevel::Object,
    PathLevel::ObjectInstance,
    PathLevel::Resource,
    PathLevel::ResourceInstance,
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(attributes) = Attributes::from_query(text.split('&')) else {
        return;
    };
    let items = attributes.query_items();
    let again = Attributes::from_query(items.iter().map(String::as_str));
    assert_eq!(again.as_ref(), Ok(&attributes), "{items:?}");
    for level in LEVELS {
        let _ = attributes.validate(Version::V1_1, level, Some(DataType::Float));
        let _ = attributes.validate(Version::V1_2, level, None);
    }
});
