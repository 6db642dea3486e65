//! The file over restarts, power cuts and damage.

use super::*;

const LATE: u64 = 7 * 1024;

fn clock() -> SystemTime {
    super::super::tests::at(7)
}

fn name(id: &[u8], context: Option<&[u8]>) -> ContextName {
    ContextName {
        recipient_id: KeyId::new(id).expect("an id"),
        id_context: context.map(|id| IdContext::new(id).expect("a context")),
    }
}

fn open(path: &Path) -> FileSequences {
    FileSequences::open_with(path, 100, clock).expect("sound")
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).expect("there").len()
}

#[test]
fn whatever_was_granted_does_not_come_again_after_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sequences");
    let names = [
        name(b"", None),
        name(b"a", Some(b"")),
        name(b"a", Some(b"c")),
    ];
    let mut granted = [0; 3];
    for life in 0..5 {
        // Never closed: dropping it writes nothing.
        let store = open(&path);
        for (name, granted) in names.iter().zip(&mut granted) {
            let start = store.start(name);
            assert!(start >= *granted, "life {life}: {start} < {granted}");
            for step in 1..10 {
                let limit = start + 64 * step;
                assert_eq!(store.reserve(name, limit), limit);
                *granted = limit;
            }
            assert_eq!(store.start(name), *granted, "dropped and derived anew");
        }
    }
}

#[test]
fn a_block_is_written_once_and_a_restart_spares_the_first_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sequences");
    let store = open(&path);
    assert!(!path.exists(), "nothing to keep");
    let a = name(b"a", None);
    let start = store.start(&a);
    assert_eq!(start, LATE, "where the clock says");
    store.reserve(&a, start + 1);
    let one = length(&path);
    store.reserve(&a, start + 101);
    assert_eq!(length(&path), one, "within the block");
    store.reserve(&a, start + 102);
    assert!(length(&path) > one, "the next one");
    drop(store);

    let store = open(&path);
    let before = length(&path);
    let start = store.start(&a);
    assert_eq!(store.reserve(&a, start + 100), start + 100);
    assert_eq!(length(&path), before);
}

#[test]
fn half_a_line_at_the_end_is_passed_over_and_a_damaged_file_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sequences");
    let (a, b) = (name(b"a", None), name(b"b", None));
    let store = open(&path);
    store.reserve(&a, 20_000);
    let good = std::fs::read_to_string(&path).expect("text");
    store.reserve(&b, 30_000);
    let both = std::fs::read_to_string(&path).expect("text");
    for cut in good.len()..both.len() {
        std::fs::write(&path, &both[..cut]).expect("written");
        let store = open(&path);
        assert_eq!(store.start(&a), 20_100);
        assert_eq!(store.start(&b), LATE, "never granted");
    }
    std::fs::write(&path, both.replacen("20", "10", 1)).expect("written");
    let refused = FileSequences::open(&path, 100).expect_err("damaged");
    assert!(
        matches!(refused, SequenceFileError::Damaged { line: 1, .. }),
        "{refused}"
    );
}

#[test]
fn what_is_no_file_of_ours_is_refused_before_it_is_read_as_a_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sequences");
    let line_max = FileSequences::LINE_MAX as usize;
    std::fs::write(&path, vec![b'x'; line_max]).expect("written");
    open(&path);
    for other in [vec![b'x'; line_max + 1], vec![0xff; 10 * line_max]] {
        std::fs::write(&path, other).expect("written");
        let refused = FileSequences::open(&path, 100).expect_err("no file of ours");
        assert!(
            matches!(refused, SequenceFileError::Damaged { line: 1, .. }),
            "{refused}"
        );
    }
}

#[test]
fn the_longest_line_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sequences");
    let longest = name(&[0xff; KeyId::MAX], Some(&[0xff; IdContext::MAX]));
    let keys = KeyFingerprint([0xff; KeyFingerprint::LEN]);
    let received = ReceivedRequests {
        highest: u64::MAX - 1,
        numbers: u32::MAX,
    };
    let store = open(&path);
    store.received(&longest, &keys, 1);
    store.settle(&longest, &keys, received);
    // An orderly end: with the numbers received, and not how far they may go.
    let key = (longest.clone(), keys);
    let line = step(&key, 0, Some(received));
    assert!(line.len() as u64 <= FileSequences::LINE_MAX / 2, "{line}");
    store.flush();
    assert_eq!(
        open(&path).replay(&longest, &keys),
        ReplayState::Received(received)
    );
}

#[test]
fn a_file_that_cannot_be_written_grants_nothing_and_one_that_can_again_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("none").join("sequences");
    let store = open(&path);
    let a = name(b"a", None);
    let start = store.start(&a);
    assert!(store.reserve(&a, start + 64) <= start, "nothing to use");
    std::fs::create_dir(path.parent().expect("a folder")).expect("made");
    assert_eq!(store.reserve(&a, start + 64), start + 64);
    drop(store);
    assert!(open(&path).start(&a) >= start + 64);
}

#[test]
fn many_blocks_do_not_make_a_long_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sequences");
    let a = name(b"a", None);
    let store = FileSequences::open_with(&path, 1, clock).expect("sound");
    store.reserve(&a, LATE);
    store.state().lines = FileSequences::LINES_SPARE + 2;
    for step in 1..10 {
        store.reserve(&a, LATE + 10 * step);
    }
    // Written anew with one line, and nine behind it.
    let text = std::fs::read_to_string(&path).expect("text");
    assert_eq!(text.lines().count(), 10);
    drop(store);
    assert!(open(&path).start(&a) >= LATE + 90);
}

const KEYS: KeyFingerprint = KeyFingerprint([1; KeyFingerprint::LEN]);
const OTHER_KEYS: KeyFingerprint = KeyFingerprint([2; KeyFingerprint::LEN]);

#[test]
fn a_window_is_written_ahead_and_what_it_says_holds_after_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sequences");
    let a = name(b"a", Some(b"c"));
    let store = open(&path);
    assert_eq!(store.replay(&a, &KEYS), ReplayState::Unknown);
    assert_eq!(store.received(&a, &KEYS, 8), Some(8 + 256));
    let one = length(&path);
    for end in 9..=264 {
        assert_eq!(store.received(&a, &KEYS, end), Some(264), "{end}");
    }
    assert_eq!(length(&path), one, "within the step");
    assert_eq!(store.received(&a, &KEYS, 265), Some(521));
    // What is settled and not flushed is not relied upon.
    let numbers = 0b101;
    let settled = ReceivedRequests {
        highest: 270,
        numbers,
    };
    store.settle(&a, &KEYS, settled);
    drop(store);
    let store = open(&path);
    assert_eq!(store.replay(&a, &KEYS), ReplayState::Below(521));
    assert_eq!(store.replay(&a, &OTHER_KEYS), ReplayState::Unknown);
    assert_eq!(store.replay(&name(b"a", None), &KEYS), ReplayState::Unknown);
}

#[test]
fn an_orderly_end_keeps_the_window_until_the_next_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sequences");
    let a = name(b"a", None);
    let settled = ReceivedRequests {
        highest: 270,
        numbers: 0b101,
    };
    let store = open(&path);
    store.received(&a, &KEYS, 271);
    store.settle(&a, &KEYS, settled);
    store.flush();
    // A late one after the end is written, as it stands before the end.
    assert_eq!(store.received(&a, &KEYS, 271), Some(527));
    store.settle(&a, &KEYS, settled);
    store.flush();
    drop(store);

    // Twice: a server that starts, is not used, and ends.
    for _ in 0..2 {
        let store = open(&path);
        assert_eq!(store.replay(&a, &KEYS), ReplayState::Received(settled));
        store.flush();
    }
    // A start without an end: from then on it might have been received.
    let store = open(&path);
    let before = length(&path);
    assert_eq!(store.received(&a, &KEYS, 272), Some(271 + 256));
    assert_eq!(
        length(&path),
        before,
        "written at the start, for all at once"
    );
    drop(store);
    let store = open(&path);
    assert_eq!(store.replay(&a, &KEYS), ReplayState::Below(271 + 256));
}

#[test]
fn new_keys_start_low_are_not_challenged_and_are_new_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sequences");
    let (a, b) = (name(b"a", None), name(b"b", None));
    let store = open(&path);
    store.introduce(&[(a.clone(), KEYS), (b.clone(), KEYS)]);
    assert_eq!(store.start(&a), 7 * FileSequences::NEW_PER_SECOND);
    assert_eq!(store.replay(&a, &KEYS), ReplayState::Below(0));
    let granted = store.reserve(&a, 1000);
    store.received(&a, &KEYS, 5);
    // Taken out, and added again.
    store.introduce(&[(a.clone(), KEYS)]);
    assert_eq!(store.replay(&a, &KEYS), ReplayState::Below(5 + 256));
    assert_eq!(store.start(&a), granted);
    // Another secret under the same name: nothing was received, but the numbers go on.
    store.introduce(&[(a.clone(), OTHER_KEYS)]);
    assert_eq!(store.replay(&a, &OTHER_KEYS), ReplayState::Below(0));
    assert_eq!(store.start(&a), granted);
    drop(store);
    let store = open(&path);
    assert_eq!(store.replay(&a, &KEYS), ReplayState::Below(5 + 256));
    assert_eq!(store.replay(&b, &KEYS), ReplayState::Below(0));
    assert_eq!(store.start(&b), 7 * FileSequences::NEW_PER_SECOND);
    let in_2042 =
        FileSequences::open_with(&path, 100, || super::super::tests::at(16 * 366 * 24 * 3600));
    let start = in_2042.expect("sound").new_start();
    assert!(start < 1 << 31, "longer than some clients take: {start}");
}

#[test]
fn a_window_that_cannot_be_written_is_not_granted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("none").join("sequences");
    let store = open(&path);
    let a = name(b"a", None);
    assert_eq!(store.received(&a, &KEYS, 1), None);
    store.introduce(&[(a.clone(), KEYS)]);
    assert_eq!(store.replay(&a, &KEYS), ReplayState::Unknown);
    std::fs::create_dir(path.parent().expect("a folder")).expect("made");
    assert_eq!(store.received(&a, &KEYS, 1), Some(257));
}

#[test]
fn half_a_line_of_a_window_is_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sequences");
    let a = name(b"a", None);
    let store = open(&path);
    store.received(&a, &KEYS, 1);
    let good = std::fs::read_to_string(&path).expect("text");
    store.received(&a, &KEYS, 1000);
    let both = std::fs::read_to_string(&path).expect("text");
    for cut in good.len()..both.len() {
        std::fs::write(&path, &both[..cut]).expect("written");
        assert_eq!(open(&path).replay(&a, &KEYS), ReplayState::Below(257));
    }
    std::fs::write(&path, &both).expect("written");
    assert_eq!(open(&path).replay(&a, &KEYS), ReplayState::Below(1256));
}
