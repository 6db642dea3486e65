//! The Block1 and Block2 option values (RFC 7959 §2.2).

/// A block size of 16 to 1024 bytes, or BERT on streams (RFC 8323 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockSize(u8);

impl BlockSize {
    /// 1024 bytes, the largest on datagrams.
    pub const MAX: BlockSize = BlockSize(6);

    /// BERT: several blocks of 1024 bytes in one message, on streams only. It counts blocks of
    /// 1024 bytes.
    pub const BERT: BlockSize = BlockSize(7);

    /// The size of this exponent, 0 to 6.
    pub fn from_szx(szx: u8) -> Option<BlockSize> {
        (szx <= 6).then_some(BlockSize(szx))
    }

    /// The largest block size of at most this many bytes; 16 at least.
    pub fn at_most(bytes: usize) -> BlockSize {
        BlockSize(
            (0..=6)
                .rev()
                .find(|szx| 16usize << szx <= bytes)
                .unwrap_or(0),
        )
    }

    /// The exponent.
    pub fn szx(self) -> u8 {
        self.0
    }

    /// The size in bytes; of [`BlockSize::BERT`] that of one block.
    pub fn bytes(self) -> usize {
        16 << self.0.min(BlockSize::MAX.0)
    }
}

/// The value of a Block option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The block number, 0 to 1048575.
    pub number: u32,
    /// True when more blocks follow.
    pub more: bool,
    /// The block size.
    pub size: BlockSize,
}

impl Block {
    /// The largest block number.
    pub const NUMBER_MAX: u32 = (1 << 20) - 1;

    /// Reads an option value of 0 to 3 bytes from a datagram.
    ///
    /// # Errors
    /// More than three bytes, or the size exponent 7.
    pub fn decode(value: &[u8]) -> Result<Block, BlockError> {
        let block = Block::decode_stream(value)?;
        match block.size {
            BlockSize::BERT => Err(BlockError::Size),
            _ => Ok(block),
        }
    }

    /// Reads an option value of 0 to 3 bytes from a stream, where the size may be BERT.
    ///
    /// # Errors
    /// More than three bytes.
    pub fn decode_stream(value: &[u8]) -> Result<Block, BlockError> {
        if value.len() > 3 {
            return Err(BlockError::Length);
        }
        let bits = crate::Uint::decode(value).ok_or(BlockError::Length)?;
        Ok(Block {
            number: bits >> 4,
            more: bits & 8 != 0,
            size: BlockSize((bits & 7) as u8),
        })
    }

    /// The option value as a number.
    pub fn encode(self) -> u32 {
        (self.number << 4) | (u32::from(self.more) << 3) | u32::from(self.size.szx())
    }

    /// Why a payload of so many bytes is none of this block: only the last one may be shorter than
    /// the size, and several of them go in one message with BERT.
    pub(crate) fn misfit(self, length: usize) -> Option<&'static str> {
        let bytes = self.size.bytes();
        let whole = match self.size {
            BlockSize::BERT => length > 0 && length.is_multiple_of(bytes),
            _ => length == bytes,
        };
        if self.more && !whole && length < bytes {
            Some("a block is shorter than it says")
        } else if (self.more && !whole) || (self.size != BlockSize::BERT && length > bytes) {
            Some("a block is longer than it says")
        } else {
            None
        }
    }

    /// The offset of this block in the body, in bytes.
    pub fn offset(self) -> usize {
        self.number as usize * self.size.bytes()
    }
}

/// Why a value is no Block option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// More than three bytes.
    #[error("a Block option has at most 3 bytes")]
    Length,
    /// SZX 7 on a datagram transport.
    #[error("block size exponent 7 is reserved on datagrams")]
    Size,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_rfc() {
        for (value, number, more, bytes) in [
            (&[][..], 0, false, 16),
            (&[0x0a], 0, true, 64),
            (&[0x22], 2, false, 64),
            (&[0x36], 3, false, 1024),
            (&[0x0e], 0, true, 1024),
            (&[0xff, 0xff, 0xf6], Block::NUMBER_MAX, false, 1024),
        ] {
            let block = Block::decode(value).expect("a block");
            assert_eq!(
                (block.number, block.more, block.size.bytes()),
                (number, more, bytes)
            );
            assert_eq!(crate::Uint::new(block.encode()).as_bytes(), value);
            assert_eq!(block.offset(), number as usize * bytes);
        }
        assert_eq!(Block::decode(&[0; 4]), Err(BlockError::Length));
    }

    #[test]
    fn bert_is_for_streams() {
        assert_eq!(Block::decode(&[0x0f]), Err(BlockError::Size));
        let block = Block::decode_stream(&[0x2f]).expect("bert");
        assert_eq!((block.size, block.offset()), (BlockSize::BERT, 2048));
        assert_eq!(block.encode(), 0x2f);
        assert_eq!(BlockSize::from_szx(7), None);
    }

    #[test]
    fn at_most_never_exceeds_but_for_the_smallest() {
        assert_eq!(BlockSize::at_most(0).bytes(), 16);
        assert_eq!(BlockSize::at_most(1023).bytes(), 512);
        assert_eq!(BlockSize::at_most(usize::MAX), BlockSize::MAX);
    }
}
