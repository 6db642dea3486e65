//! The signaling messages (RFC 8323 §5, RFC 8974 §2.2.2).
//!
//! Each code has option numbers of its own; odd ones are critical.

use super::FrameBuilder;
use crate::{Code, Message, OptionNumber, Token, Uint};

const MAX_MESSAGE_SIZE: OptionNumber = OptionNumber(2);
const BLOCK_WISE_TRANSFER: OptionNumber = OptionNumber(4);
const EXTENDED_TOKEN_LENGTH: OptionNumber = OptionNumber(6);
const CUSTODY: OptionNumber = OptionNumber(2);
const ALTERNATIVE_ADDRESS: OptionNumber = OptionNumber(2);
const HOLD_OFF: OptionNumber = OptionNumber(4);
const BAD_CSM_OPTION: OptionNumber = OptionNumber(2);

/// What a message of class 7 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal<'d> {
    /// 7.01: what the sender can do. The first message of each side.
    Csm(CapabilitiesMessage),
    /// 7.02, to be answered by a Pong with the same token.
    Ping {
        /// The Pong is to wait until all requests before it are processed.
        custody: bool,
    },
    /// 7.03
    Pong {
        /// All requests before the Ping have been processed.
        custody: bool,
    },
    /// 7.04: the sender wants the connection to end in good order.
    Release {
        /// Where to connect instead: the first one given, as it came.
        alternative_address: Option<&'d [u8]>,
        /// Do not connect again before, in seconds.
        hold_off_s: Option<u32>,
    },
    /// 7.05: the sender closes at once.
    Abort {
        /// The CSM option that it did not understand.
        bad_csm_option: Option<u16>,
        /// For people; UTF-8 by the rules.
        diagnostic: &'d [u8],
    },
}

impl<'d> Signal<'d> {
    /// Reads a message of class 7; none for other messages and for unknown signals, which are
    /// ignored.
    ///
    /// Elective options that are unknown or of a wrong length are passed over.
    ///
    /// # Errors
    /// An unknown critical option: answer [`SignalError::abort`], and close.
    pub fn read(message: &Message<'d>) -> Result<Option<Signal<'d>>, SignalError> {
        let code = message.code();
        if !code.is_signaling() {
            return Ok(None);
        }
        // All registered signaling options are elective.
        if let Some(option) = message.options().find(|o| o.number.is_critical()) {
            return Err(SignalError {
                code,
                option: option.number.0,
            });
        }
        let uint = |number, bytes_max| {
            message
                .values(number)
                .find(|value| value.len() <= bytes_max)
                .and_then(Uint::decode)
        };
        Ok(Some(match code {
            Code::CSM => Signal::Csm(CapabilitiesMessage {
                max_message_size: uint(MAX_MESSAGE_SIZE, 4),
                block_wise: message.value(BLOCK_WISE_TRANSFER).is_some(),
                extended_token_length: uint(EXTENDED_TOKEN_LENGTH, 3),
            }),
            Code::PING => Signal::Ping {
                custody: message.value(CUSTODY).is_some(),
            },
            Code::PONG => Signal::Pong {
                custody: message.value(CUSTODY).is_some(),
            },
            Code::RELEASE => Signal::Release {
                alternative_address: message
                    .values(ALTERNATIVE_ADDRESS)
                    .find(|value| (1..=255).contains(&value.len())),
                hold_off_s: uint(HOLD_OFF, 3),
            },
            Code::ABORT => Signal::Abort {
                bad_csm_option: uint(BAD_CSM_OPTION, 2).map(|number| number as u16),
                diagnostic: message.payload(),
            },
            _ => return Ok(None),
        }))
    }

    /// Writes the signal, appending to `out`; a Pong takes the token of its Ping, others have
    /// an empty one as a rule.
    pub fn write(&self, token: &Token, out: &mut Vec<u8>) {
        let start = FrameBuilder::new(out, self.code(), token);
        match *self {
            Signal::Csm(capabilities) => capabilities.write(start),
            Signal::Ping { custody } | Signal::Pong { custody } => {
                with(start, custody.then_some((CUSTODY, &[][..]))).finish();
            }
            Signal::Release {
                alternative_address,
                hold_off_s,
            } => {
                let address = alternative_address.map(|value| (ALTERNATIVE_ADDRESS, value));
                with_uint(with(start, address), HOLD_OFF, hold_off_s).finish();
            }
            Signal::Abort {
                bad_csm_option,
                diagnostic,
            } => {
                with_uint(start, BAD_CSM_OPTION, bad_csm_option.map(u32::from)).payload(diagnostic)
            }
        }
    }

    /// The code, 7.01 to 7.05.
    pub fn code(&self) -> Code {
        match self {
            Signal::Csm(_) => Code::CSM,
            Signal::Ping { .. } => Code::PING,
            Signal::Pong { .. } => Code::PONG,
            Signal::Release { .. } => Code::RELEASE,
            Signal::Abort { .. } => Code::ABORT,
        }
    }
}

/// The values that one Capabilities and Settings Message gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapabilitiesMessage {
    /// The longest message that the sender takes, in bytes.
    pub max_message_size: Option<u32>,
    /// The sender does block-wise transfer.
    pub block_wise: bool,
    /// The longest token that the sender takes, in bytes.
    pub extended_token_length: Option<u32>,
}

impl CapabilitiesMessage {
    fn write(self, start: FrameBuilder<'_>) {
        let sized = with_uint(start, MAX_MESSAGE_SIZE, self.max_message_size);
        let block_wise = self.block_wise.then_some((BLOCK_WISE_TRANSFER, &[][..]));
        with_uint(
            with(sized, block_wise),
            EXTENDED_TOKEN_LENGTH,
            self.extended_token_length,
        )
        .finish();
    }
}

/// What a peer can do, by all its CSMs so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The longest message that it takes, in bytes.
    pub max_message_size: u32,
    /// It does block-wise transfer.
    pub block_wise: bool,
    /// The longest token that it takes, 8 to 65804 bytes.
    pub extended_token_length: u32,
}

impl Default for Capabilities {
    /// What holds before a CSM says otherwise.
    fn default() -> Capabilities {
        Capabilities {
            max_message_size: 1152,
            block_wise: false,
            extended_token_length: 8,
        }
    }
}

impl Capabilities {
    /// Takes over the values that a CSM gives; the others stay (RFC 8323 §5.3).
    pub fn update(&mut self, message: &CapabilitiesMessage) {
        if let Some(size) = message.max_message_size {
            self.max_message_size = size;
        }
        self.block_wise |= message.block_wise;
        if let Some(length) = message.extended_token_length {
            self.extended_token_length = length.clamp(8, 65804);
        }
    }

    /// True when BERT makes sense: block-wise, and more than one block fits (RFC 8323 §6).
    pub fn takes_bert(&self) -> bool {
        self.block_wise && self.max_message_size > 1152
    }
}

/// A signaling message with a critical option that is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("critical option {option} of {code:?} is not understood")]
pub struct SignalError {
    code: Code,
    option: u16,
}

impl SignalError {
    /// The Abort to send before closing; it names the option when that was one of a CSM.
    pub fn abort(&self) -> Signal<'static> {
        Signal::Abort {
            bad_csm_option: (self.code == Code::CSM).then_some(self.option),
            diagnostic: b"critical option not understood",
        }
    }
}

fn with<'b>(builder: FrameBuilder<'b>, option: Option<(OptionNumber, &[u8])>) -> FrameBuilder<'b> {
    match option {
        Some((number, value)) => builder.option(number, value),
        None => builder,
    }
}

fn with_uint(
    builder: FrameBuilder<'_>,
    number: OptionNumber,
    value: Option<u32>,
) -> FrameBuilder<'_> {
    match value {
        Some(value) => builder.uint(number, value),
        None => builder,
    }
}
