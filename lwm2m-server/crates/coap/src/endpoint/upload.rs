//! Block1 as the sender of a body (RFC 7959 §2.5): one block outstanding at a time.

use std::ops::Range;

use crate::{Block, BlockSize, Code};

/// How often a transfer starts over because the peer lost it or wants smaller blocks.
const RESTARTS_MAX: u8 = 3;

/// Block numbers have 20 bits.
pub(super) const BLOCKS_MAX: usize = 1 << 20;

/// A body on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Upload {
    size: BlockSize,
    /// Where the outstanding block starts.
    offset: usize,
    restarts: u8,
    /// Blocks in one message, while the size is BERT.
    bert_blocks: u16,
}

/// What a response means for the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UploadStep {
    /// Send the block that [`Upload::block`] gives.
    Send,
    /// It is the response to the whole.
    Final,
    /// It makes no sense.
    Failed(&'static str),
}

impl Upload {
    pub(super) fn new(size: BlockSize, bert_blocks: usize) -> Upload {
        Upload {
            size,
            offset: 0,
            restarts: 0,
            bert_blocks: bert_blocks.clamp(1, usize::from(u16::MAX)) as u16,
        }
    }

    /// The same body once more.
    pub(super) fn start_over(self) -> Upload {
        Upload { offset: 0, ..self }
    }

    /// The outstanding block of a body of `total` bytes, and its part of the body.
    pub(super) fn block(&self, total: usize) -> (Block, Range<usize>) {
        let end = self.end(total);
        let block = Block {
            number: (self.offset / self.size.bytes()) as u32,
            more: end < total,
            size: self.size,
        };
        (block, self.offset..end)
    }

    /// True for the first block of a transfer that did not start over: it has the token of the
    /// request.
    pub(super) fn is_untouched(&self) -> bool {
        self.offset == 0 && self.restarts == 0
    }

    /// True for the first block.
    pub(super) fn is_first(&self) -> bool {
        self.offset == 0
    }

    /// Takes a response to the outstanding block.
    pub(super) fn advance(
        &mut self,
        total: usize,
        code: Code,
        block1: Option<Block>,
    ) -> UploadStep {
        let (sent, range) = self.block(total);
        match (code, block1) {
            (Code::CONTINUE, _) if !sent.more => {
                UploadStep::Failed("the peer asks for more than there is")
            }
            (Code::CONTINUE, None) => self.proceed(range.end, self.size, total),
            (Code::CONTINUE, Some(echo)) if echo.number != sent.number => {
                UploadStep::Failed("the peer acknowledges another block")
            }
            (Code::CONTINUE, Some(echo)) => self.proceed(range.end, echo.size, total),
            // A receiver that does not put the body together confirms each block by itself.
            (_, Some(echo)) if code.is_success() && sent.more && echo.number == sent.number => {
                self.proceed(range.end, echo.size, total)
            }
            (Code::REQUEST_ENTITY_TOO_LARGE, Some(hint)) if hint.size < self.size => {
                self.restart(hint.size, total)
            }
            (Code::REQUEST_ENTITY_INCOMPLETE, _) => self.restart(self.size, total),
            _ => UploadStep::Final,
        }
    }

    /// The first response to a body that was sent whole: 4.13 with a block size asks for blocks.
    pub(super) fn after_refusal(total: usize, code: Code, block1: Option<Block>) -> Option<Upload> {
        let hint = block1.filter(|hint| hint.size.bytes() < total)?;
        (code == Code::REQUEST_ENTITY_TOO_LARGE).then_some(Upload {
            size: hint.size,
            offset: 0,
            restarts: 1,
            bert_blocks: 1,
        })
    }

    fn proceed(&mut self, offset: usize, size: BlockSize, total: usize) -> UploadStep {
        self.offset = offset;
        self.resize(size, total)
    }

    fn restart(&mut self, size: BlockSize, total: usize) -> UploadStep {
        if self.restarts == RESTARTS_MAX {
            return UploadStep::Final;
        }
        self.restarts += 1;
        self.offset = 0;
        self.resize(size, total)
    }

    fn resize(&mut self, size: BlockSize, total: usize) -> UploadStep {
        self.size = self.size.min(size);
        if total.div_ceil(self.size.bytes()) > BLOCKS_MAX {
            return UploadStep::Failed(
                "the body has too many blocks of the size that is asked for",
            );
        }
        UploadStep::Send
    }

    fn end(&self, total: usize) -> usize {
        let blocks = match self.size {
            BlockSize::BERT => usize::from(self.bert_blocks),
            _ => 1,
        };
        total.min(self.offset + blocks * self.size.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(szx: u8) -> BlockSize {
        BlockSize::from_szx(szx).expect("0 to 6")
    }

    fn echo(number: u32, more: bool, szx: u8) -> Option<Block> {
        Some(Block {
            number,
            more,
            size: size(szx),
        })
    }

    #[test]
    fn a_smaller_size_goes_on_where_the_larger_ended() {
        let mut upload = Upload::new(size(2), 1);
        assert_eq!(
            upload.advance(150, Code::CONTINUE, echo(0, true, 1)),
            UploadStep::Send
        );
        let (block, range) = upload.block(150);
        assert_eq!((block.number, block.more, range), (2, true, 64..96));
    }

    #[test]
    fn bert_takes_several_blocks_until_the_peer_wants_one() {
        let mut upload = Upload::new(BlockSize::BERT, 3);
        let (block, range) = upload.block(9000);
        assert_eq!((block.encode(), range), (0xf, 0..3072));
        let go_on = |upload: &mut Upload, echo| upload.advance(9000, Code::CONTINUE, Some(echo));
        assert_eq!(go_on(&mut upload, block), UploadStep::Send);
        let (block, range) = upload.block(9000);
        assert_eq!((block.number, range), (3, 3072..6144));
        let single = Block {
            size: BlockSize::MAX,
            ..block
        };
        assert_eq!(go_on(&mut upload, single), UploadStep::Send);
        let (block, range) = upload.block(9000);
        assert_eq!((block.number, range), (6, 6144..7168));
    }

    #[test]
    fn the_number_of_restarts_is_bounded() {
        let mut upload = Upload::new(size(2), 1);
        let lost = |upload: &mut Upload| upload.advance(150, Code(0x88), None);
        for _ in 0..RESTARTS_MAX {
            upload.advance(150, Code::CONTINUE, echo(0, true, 2));
            assert_eq!(lost(&mut upload), UploadStep::Send);
            assert_eq!(upload.block(150).1, 0..64);
        }
        assert_eq!(lost(&mut upload), UploadStep::Final);
    }

    #[test]
    fn blocks_confirmed_one_by_one_go_on() {
        let mut upload = Upload::new(size(2), 1);
        assert_eq!(
            upload.advance(100, Code::CHANGED, echo(0, false, 2)),
            UploadStep::Send
        );
        assert_eq!(
            upload.advance(100, Code::CHANGED, echo(1, false, 2)),
            UploadStep::Final
        );
    }

    #[test]
    fn a_refusal_may_ask_for_blocks() {
        let refused = Code::REQUEST_ENTITY_TOO_LARGE;
        let upload = Upload::after_refusal(100, refused, echo(0, true, 1)).expect("blocks");
        assert_eq!(upload.block(100).1, 0..32);
        assert_eq!(Upload::after_refusal(32, refused, echo(0, true, 1)), None);
        assert_eq!(Upload::after_refusal(100, refused, None), None);
    }

    #[test]
    fn nonsense_fails() {
        let mut upload = Upload::new(size(2), 1);
        assert!(matches!(
            upload.advance(100, Code::CONTINUE, echo(7, true, 2)),
            UploadStep::Failed(_)
        ));
        assert!(matches!(
            upload.advance(64, Code::CONTINUE, echo(0, true, 2)),
            UploadStep::Failed(_)
        ));
    }
}
