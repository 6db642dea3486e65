//! The Block1 and Block2 option values (RFC 7959 §2.2).

/// A block size of 16 to 1024 bytes, or BERT on streams (RFC 8323 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockSize(u8);

impl BlockSize {
    /// 1024 bytes, the largest on datagrams.
    pub const MAX: BlockSize = BlockSize(6);

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

    /// The size in bytes.
    pub fn bytes(self) -> usize {
        16 << self.0
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
    /// Reads an option value of 0 to 3 bytes.
    pub fn decode(value: &[u8]) -> Result<Block, BlockError> {
        if value.len() > 3 {
            return Err(BlockError::Length);
        }
        let bits = crate::Uint::decode(value).ok_or(BlockError::Length)?;
        let size = BlockSize::from_szx((bits & 7) as u8).ok_or(BlockError::Size)?;
        Ok(Block {
            number: bits >> 4,
            more: bits & 8 != 0,
            size,
        })
    }

    /// The option value as a number.
    pub fn encode(self) -> u32 {
        (self.number << 4) | (u32::from(self.more) << 3) | u32::from(self.size.szx())
    }

    /// The offset of this block in the body.
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
