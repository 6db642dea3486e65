//! The presentation language of RFC 5246 §4: numbers in network order, vectors after their length.

/// Reads fields one after the other; none when the bytes end too soon.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Option<usize> {
        let [a, b, c] = self.array()?;
        Some(usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A vector after a length of one byte.
    pub(crate) fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    /// A vector after a length of two bytes.
    pub(crate) fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// A vector after a length of three bytes.
    pub(crate) fn vector24(&mut self) -> Option<&'a [u8]> {
        let length = self.u24()?;
        self.take(length)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value` when nothing is left, none otherwise.
    pub(crate) fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }

    /// What is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// The 16-bit numbers of a vector; an odd byte at the end is passed over.
pub(crate) fn numbers(bytes: &[u8]) -> impl Iterator<Item = u16> + '_ {
    bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

/// Writes fields one after the other.
pub(crate) trait Write {
    fn put(&mut self, bytes: &[u8]);
    fn put_u8(&mut self, value: u8);
    fn put_u16(&mut self, value: u16);
    fn put_u24(&mut self, value: usize);
    fn put_u32(&mut self, value: u32);
    /// A vector after a length of one byte.
    fn put_vector8(&mut self, bytes: &[u8]);
    /// A vector after a length of two bytes.
    fn put_vector16(&mut self, bytes: &[u8]);
    /// A vector after a length of two bytes, written by `write`.
    fn nest16(&mut self, write: impl FnOnce(&mut Vec<u8>));
}

impl Write for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u24(&mut self, value: usize) {
        debug_assert!(value < 1 << 24);
        self.extend_from_slice(&(value as u32).to_be_bytes()[1..]);
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_vector8(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() < 1 << 8);
        self.push(bytes.len() as u8);
        self.extend_from_slice(bytes);
    }

    fn put_vector16(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() < 1 << 16);
        self.put_u16(bytes.len() as u16);
        self.extend_from_slice(bytes);
    }

    fn nest16(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let at = self.len();
        self.put_u16(0);
        write(self);
        let length = self.len() - at - 2;
        debug_assert!(length < 1 << 16);
        self[at..at + 2].copy_from_slice(&(length as u16).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        bytes.put_u8(1);
        bytes.put_u16(0x0203);
        bytes.put_u24(0x04_05_06);
        bytes.put_vector8(b"eight");
        bytes.nest16(|inner| inner.put_vector16(b"sixteen"));
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8(), Some(1));
        assert_eq!(reader.u16(), Some(0x0203));
        assert_eq!(reader.u24(), Some(0x04_05_06));
        assert_eq!(reader.vector8(), Some(&b"eight"[..]));
        let mut inner = Reader::new(reader.vector16().expect("nested"));
        assert_eq!(inner.vector16(), Some(&b"sixteen"[..]));
        assert_eq!(inner.end(()), Some(()));
        assert_eq!(reader.u8(), None);
    }

    #[test]
    fn a_vector_longer_than_what_is_there_is_none() {
        assert_eq!(Reader::new(&[2, 0]).vector8(), None);
        assert_eq!(Reader::new(&[0, 2, 0]).vector16(), None);
        assert_eq!(Reader::new(&[0, 0, 2, 0]).vector24(), None);
    }
}
