//! Reads a fuzz input as a list of steps: small numbers and strings, zeros when it has ended.

/// What is left of the input.
pub struct Steps<'d> {
    rest: &'d [u8],
}

impl<'d> Steps<'d> {
    pub fn new(data: &'d [u8]) -> Steps<'d> {
        Steps { rest: data }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((byte, rest)) => {
                self.rest = rest;
                *byte
            }
            None => 0,
        }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// A byte for the length, then that many bytes, fewer at the end.
    pub fn bytes(&mut self) -> &'d [u8] {
        let length = usize::from(self.byte()).min(self.rest.len());
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        bytes
    }
}
