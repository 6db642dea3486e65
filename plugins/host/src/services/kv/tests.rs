//! What has expired makes room.

use super::*;

fn set(kv: &Kv, key: &str, len: usize, ttl_s: Option<u32>) -> Result<(), KvError> {
    let plugin: Arc<str> = "p".into();
    let key = [&prefix(&plugin), key.as_bytes()].concat();
    let change = |_: Option<&KvEntry>| Ok((Change::Set(vec![0; len], ttl_s), ()));
    kv.change(&plugin, &key, 300, change).map(|_| ())
}

fn is_there(kv: &Kv, key: &str) -> bool {
    let key = [&prefix("p"), key.as_bytes()].concat();
    kv.backend.get(&key).expect("a backend").is_some()
}

#[test]
fn what_has_expired_makes_room_when_it_is_wanted() {
    let folder = tempfile::tempdir().expect("a folder");
    for kv in [Kv::in_memory(), Kv::open(folder.path()).expect("a store")] {
        // Each takes 100 bytes: 81 of value, 16 before it, 3 of key.
        set(&kv, "a", 81, Some(0)).expect("room");
        set(&kv, "b", 81, None).expect("room");
        set(&kv, "c", 81, Some(0)).expect("room");
        assert!(is_there(&kv, "a"), "nobody has wanted its room");
        set(&kv, "d", 81, Some(3600)).expect("the room of a and c");
        assert!(!is_there(&kv, "a") && !is_there(&kv, "c"));
        set(&kv, "e", 81, None).expect("room");
        assert_eq!(set(&kv, "f", 1, None), Err(KvError::Quota));
        // One that has expired and is written anew gives its own room.
        set(&kv, "e", 81, Some(0)).expect("its own room");
        set(&kv, "e", 81, Some(0)).expect("its own room");
        assert_eq!(set(&kv, "e", 82, None), Err(KvError::Quota));
        set(&kv, "f", 81, None).expect("the room of e");
        assert!(is_there(&kv, "b") && is_there(&kv, "d") && !is_there(&kv, "e"));
    }
}
