//! Block2 as the receiver of a body (RFC 7959 §2.4): blocks asked for one by one.

use super::short::Short;
use super::upload::BLOCKS_MAX;
use crate::{Block, BlockSize, Code, Message, OptionNumber};

/// How often a body is fetched anew because it changed meanwhile.
const RESTARTS_MAX: u8 = 3;

/// A body in reception.
#[derive(Debug, Default)]
pub(super) struct Download {
    body: Vec<u8>,
    size: Option<BlockSize>,
    etag: Option<Short>,
    restarts: u8,
}

/// What a response means for the body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DownloadStep {
    /// Its payload is the whole body.
    Whole,
    /// It completes the body.
    Complete(Vec<u8>),
    /// Ask for the block that [`Download::block`] gives.
    Ask(Download),
    /// The blocks do not fit together.
    Failed(&'static str),
}

impl PartialEq for Download {
    fn eq(&self, other: &Download) -> bool {
        (&self.body, self.size, self.etag) == (&other.body, other.size, other.etag)
    }
}

impl Eq for Download {}

impl Download {
    /// The block to ask for, none before the first came.
    pub(super) fn block(&self) -> Option<Block> {
        let size = self.size?;
        Some(Block {
            number: (self.body.len() / size.bytes()) as u32,
            more: false,
            size,
        })
    }

    /// True when an error means that the body changed under way and is worth another attempt:
    /// the block lies past the end, or the response is not kept any more.
    pub(super) fn is_lost(&self, code: Code) -> bool {
        let lost = matches!(code, Code::BAD_OPTION | Code::REQUEST_ENTITY_INCOMPLETE);
        lost && !self.body.is_empty() && self.restarts < RESTARTS_MAX
    }

    /// The same body once more.
    pub(super) fn start_over(mut self) -> Download {
        self.restarts += 1;
        self.etag = None;
        self.body.clear();
        self
    }

    /// Takes a response, `transfer` being what came before it.
    pub(super) fn advance(
        transfer: Option<Download>,
        message: &Message<'_>,
        body_max: usize,
    ) -> DownloadStep {
        let block = match message.block2() {
            Some(Ok(block)) if message.code().is_success() => block,
            Some(Err(_)) => return DownloadStep::Failed("the block option is malformed"),
            _ if message.payload().len() > body_max => return too_large(),
            _ => return DownloadStep::Whole,
        };
        if message
            .uint(OptionNumber::SIZE2)
            .is_some_and(|total| total as usize > body_max)
        {
            return too_large();
        }
        let etag = message.etag().and_then(Short::new);
        let transfer = transfer.unwrap_or_else(|| Download {
            etag,
            ..Download::default()
        });
        // Some peers send the ETag with the first block only.
        if etag.is_some() && transfer.etag.is_some() && transfer.etag != etag {
            return transfer.restart(block, etag, message, body_max);
        }
        if block.offset() != transfer.body.len() {
            return DownloadStep::Failed("a block is missing or came twice");
        }
        transfer.append(block, message, body_max)
    }

    /// The body changed: what came before is worthless.
    fn restart(
        self,
        block: Block,
        etag: Option<Short>,
        message: &Message<'_>,
        body_max: usize,
    ) -> DownloadStep {
        if self.restarts == RESTARTS_MAX {
            return DownloadStep::Failed("the body keeps changing");
        }
        let anew = Download {
            etag,
            size: Some(block.size),
            ..self.start_over()
        };
        if block.number == 0 {
            return anew.append(block, message, body_max);
        }
        DownloadStep::Ask(anew)
    }

    fn append(mut self, block: Block, message: &Message<'_>, body_max: usize) -> DownloadStep {
        let payload = message.payload();
        if let Some(reason) = block.misfit(payload.len()) {
            return DownloadStep::Failed(reason);
        }
        if self.body.len() + payload.len() > body_max {
            return too_large();
        }
        if !block.more && self.body.is_empty() {
            return DownloadStep::Whole;
        }
        self.body.extend_from_slice(payload);
        self.size = Some(block.size);
        if !block.more {
            return DownloadStep::Complete(self.body);
        }
        if self.body.len() / block.size.bytes() >= BLOCKS_MAX {
            return DownloadStep::Failed("the body has too many blocks");
        }
        DownloadStep::Ask(self)
    }
}

fn too_large() -> DownloadStep {
    DownloadStep::Failed("the body exceeds the limit")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MessageBuilder, MessageType, Token};

    /// A 2.05 with this block of 16 bytes.
    fn response(number: u32, more: bool, etag: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let block = Block {
            number,
            more,
            size: BlockSize::at_most(16),
        };
        let message_type = MessageType::NonConfirmable;
        MessageBuilder::new(&mut out, message_type, Code::CONTENT, 1, &Token::EMPTY)
            .option(OptionNumber::ETAG, etag)
            .uint(OptionNumber::BLOCK2, block.encode())
            .payload(payload);
        out
    }

    fn advance(transfer: Option<Download>, datagram: &[u8]) -> DownloadStep {
        Download::advance(transfer, &Message::parse(datagram).expect("valid"), 40)
    }

    fn ask(step: DownloadStep) -> Download {
        match step {
            DownloadStep::Ask(transfer) => transfer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn blocks_make_a_body() {
        let transfer = ask(advance(None, &response(0, true, b"a", &[1; 16])));
        assert_eq!(transfer.block().expect("a block").number, 1);
        let transfer = ask(advance(Some(transfer), &response(1, true, b"a", &[2; 16])));
        let step = advance(Some(transfer), &response(2, false, b"a", &[3; 8]));
        let body = [[1; 16].as_slice(), &[2; 16], &[3; 8]].concat();
        assert_eq!(step, DownloadStep::Complete(body));
    }

    #[test]
    fn one_byte_too_many_fails() {
        let transfer = ask(advance(None, &response(0, true, b"a", &[1; 16])));
        let transfer = ask(advance(Some(transfer), &response(1, true, b"a", &[2; 16])));
        let step = advance(Some(transfer), &response(2, false, b"a", &[3; 9]));
        assert_eq!(step, too_large());
    }

    #[test]
    fn a_new_etag_starts_over_a_bounded_number_of_times() {
        let mut transfer = ask(advance(None, &response(0, true, b"a", &[1; 16])));
        for etag in [b"b", b"c", b"d"] {
            transfer = ask(advance(Some(transfer), &response(1, true, etag, &[2; 16])));
            assert_eq!(transfer.block().expect("a block").number, 0);
        }
        assert!(matches!(
            advance(Some(transfer), &response(1, true, b"e", &[2; 16])),
            DownloadStep::Failed(_)
        ));
    }

    #[test]
    fn blocks_that_do_not_fit_fail() {
        for bad in [
            response(1, true, b"a", &[1; 16]),
            response(0, true, b"a", &[1; 15]),
            response(0, false, b"a", &[1; 17]),
        ] {
            assert!(matches!(advance(None, &bad), DownloadStep::Failed(_)));
        }
        let transfer = ask(advance(None, &response(0, true, b"a", &[1; 16])));
        assert!(matches!(
            advance(Some(transfer), &response(2, true, b"a", &[1; 16])),
            DownloadStep::Failed(_)
        ));
    }
}
