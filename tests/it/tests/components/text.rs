//! What components of WebAssembly text have in common: constants, and functions that write text.

use super::guest::DATA;

/// Where functions write text, from `$begin` on.
pub(crate) const OUT: u32 = 32_768;

/// `$begin`, `$text`, `$byte`, `$number`, `$path` and `$link` write; `$length` says how much; `$is` compares;
/// `$annotate` is a decision with what was written under a name.
pub(crate) const HELPERS: &str = "
    (global $out (mut i32) (i32.const 32768))
    (func $begin (global.set $out (i32.const 32768)))
    (func $length (result i32) (i32.sub (global.get $out) (i32.const 32768)))
    (func $text (param $at i32) (param $len i32)
      (memory.copy (global.get $out) (local.get $at) (local.get $len))
      (global.set $out (i32.add (global.get $out) (local.get $len))))
    (func $byte (param $byte i32)
      (i32.store8 (global.get $out) (local.get $byte))
      (global.set $out (i32.add (global.get $out) (i32.const 1))))
    (func $number (param $n i64)
      (if (i64.lt_s (local.get $n) (i64.const 0)) (then
        (call $byte (i32.const 45))
        (local.set $n (i64.sub (i64.const 0) (local.get $n)))))
      (if (i64.ge_u (local.get $n) (i64.const 10)) (then
        (call $number (i64.div_u (local.get $n) (i64.const 10)))))
      (call $byte (i32.add (i32.const 48)
        (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10))))))
    (func $path (param $at i32) (local $level i32)
      (call $byte (i32.const 47))
      (call $number (i64.load16_u (local.get $at)))
      (loop $next
        (if (i32.load8_u offset=2 (local.get $at)) (then
          (call $byte (i32.const 47))
          (call $number (i64.load16_u offset=4 (local.get $at)))
          (local.set $at (i32.add (local.get $at) (i32.const 4)))
          (local.set $level (i32.add (local.get $level) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $level) (i32.const 3)))))))
    (func $link (param $at i32)
      (call $byte (i32.const 47))
      (call $number (i64.load16_u offset=2 (local.get $at)))
      (if (i32.ne (i32.load16_u (local.get $at)) (i32.const 65535)) (then
        (call $byte (i32.const 47))
        (call $number (i64.load16_u (local.get $at))))))
    (func $is (param $at i32) (param $len i32) (param $other i32) (param $other-len i32)
      (result i32) (local $n i32)
      (if (i32.ne (local.get $len) (local.get $other-len)) (then (return (i32.const 0))))
      (loop $next
        (if (i32.eq (local.get $n) (local.get $len)) (then (return (i32.const 1))))
        (if (i32.ne
            (i32.load8_u (i32.add (local.get $at) (local.get $n)))
            (i32.load8_u (i32.add (local.get $other) (local.get $n))))
          (then (return (i32.const 0))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next))
      unreachable)
    (func $annotate (param $name i32) (param $len i32) (result i32)
      (i32.store (i32.const 3072) (local.get $name))
      (i32.store (i32.const 3076) (local.get $len))
      (i32.store (i32.const 3080) (i32.const 32768))
      (i32.store (i32.const 3084) (call $length))
      (i32.store (i32.const 1024) (i32.const 1))
      (i32.store (i32.const 1028) (i32.const 3072))
      (i32.store (i32.const 1032) (i32.const 1))
      (i32.store (i32.const 1036) (i32.const 0))
      (i32.store (i32.const 1040) (i32.const 0))
      (i32.store (i32.const 1044) (i32.const 0))
      (i32.const 1024))
";

/// Constants of a component; each place is text, as in `(i32.const 4096)`.
#[derive(Default)]
pub(crate) struct Data(Vec<u8>);

impl Data {
    /// For [`Guest::data`](super::guest::Guest::data).
    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0
    }

    /// A text: its place and its length.
    pub(crate) fn text(&mut self, text: &str) -> (String, String) {
        let at = DATA as usize + self.0.len();
        self.0.extend(text.as_bytes());
        (
            format!("(i32.const {at})"),
            format!("(i32.const {})", text.len()),
        )
    }

    /// Numbers, aligned for all that there is.
    pub(crate) fn words(&mut self, words: &[&str]) -> String {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let at = DATA as usize + self.0.len();
        for word in words {
            let word = word.trim_start_matches("(i32.const ").trim_end_matches(')');
            let word: u32 = word.parse().expect("a constant");
            self.0.extend(word.to_le_bytes());
        }
        format!("(i32.const {at})")
    }

    /// A list of one attribute.
    pub(crate) fn pair(&mut self, name: &str, value: &str) -> String {
        let ((name, name_len), (value, value_len)) = (self.text(name), self.text(value));
        self.words(&[&name, &name_len, &value, &value_len])
    }

    /// The words of the path of a resource, which end with padding.
    pub(crate) fn path(&self, [object, instance, resource]: [u16; 3]) -> Vec<String> {
        let halves = [object, 1, instance, 1, resource, 0, 0, 0];
        let word = |pair: &[u16]| u32::from(pair[0]) | u32::from(pair[1]) << 16;
        let words = halves.chunks(2).map(word);
        words.map(|word| format!("(i32.const {word})")).collect()
    }

    /// A list of one path with its value.
    pub(crate) fn value(&mut self, path: [u16; 3], kind: u32, value: [u32; 2]) -> String {
        let value = value.map(|word| format!("(i32.const {word})"));
        self.values(&[(path, kind, [&value[0], &value[1]])])
    }

    /// A list of paths with their values: the number of its kind, and two words.
    pub(crate) fn values(&mut self, values: &[([u16; 3], u32, [&str; 2])]) -> String {
        let mut words = Vec::new();
        for (path, kind, value) in values {
            words.extend(self.path(*path));
            words.push(format!("(i32.const {kind})"));
            words.push("(i32.const 0)".to_owned());
            words.extend(value.map(str::to_owned));
        }
        self.words(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }
}
