//! CoRE links: as they stand, as the list of a registration, as the answer to a Discover.

#![no_main]

use lwm2m_core::link::{self, Link};
use lwm2m_core::{ObjectList, Path, PathLevel};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(links) = link::parse(data)
        && links.iter().all(is_plain)
    {
        let mut out = String::new();
        link::write(&links, &mut out);
        assert_eq!(link::parse(out.as_bytes()).as_ref(), Ok(&links), "{out}");
    }
    if let Ok(list) = ObjectList::parse(data) {
        let out = list.to_link_format();
        let again = ObjectList::parse(out.as_bytes()).map(comparable);
        assert_eq!(again.as_ref(), Ok(&comparable(list)), "{out}");
    }
    for prefix in ["", "/lwm2m"] {
        let _ = link::parse_discover(data, prefix);
    }
});

/// True when target and keys keep their form: spaces around a target and one slash at its end are
/// cut off, and here there are more; so is what C programs leave at the end of the text.
fn is_plain(link: &Link<'_>) -> bool {
    let target = link.target.trim();
    let keys_are_text = link
        .params
        .iter()
        .all(|(key, _)| !key.contains(|c: char| c.is_control() || c.is_whitespace()));
    keys_are_text && target == link.target && (target == "/" || !target.ends_with('/'))
}

/// Without what is not written, and without the links that an object gets for its version though
/// it has instances.
fn comparable(mut list: ObjectList) -> ObjectList {
    list.ignored.clear();
    let paths = list.paths.clone();
    let has_instances = |object: &Path| paths.iter().any(|path| path.parent() == Some(*object));
    list.paths
        .retain(|path| path.level() != PathLevel::Object || !has_instances(path));
    list
}
