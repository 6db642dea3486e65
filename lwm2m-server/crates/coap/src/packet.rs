//! Conversions to and from the packet type of `coap-lite`.

use coap_lite::{CoapOption, MessageType as PacketType, Packet};

use crate::{Code, Message, MessageBuilder, MessageType, OptionNumber, Token};

impl Message<'_> {
    /// The same message as a `coap-lite` packet.
    ///
    /// # Errors
    /// When the token has more than 8 bytes, which a packet cannot carry (RFC 8974).
    pub fn to_packet(&self) -> Result<Packet, PacketError> {
        if self.token.len() > 8 {
            return Err(PacketError::Token);
        }
        let mut packet = Packet::new();
        packet.header.set_version(1);
        packet.header.set_type(match self.message_type {
            MessageType::Confirmable => PacketType::Confirmable,
            MessageType::NonConfirmable => PacketType::NonConfirmable,
            MessageType::Acknowledgement => PacketType::Acknowledgement,
            MessageType::Reset => PacketType::Reset,
        });
        packet.header.code = self.code.0.into();
        packet.header.message_id = self.message_id;
        packet.set_token(self.token.to_vec());
        for option in self.options() {
            packet.add_option(CoapOption::from(option.number.0), option.value.to_vec());
        }
        packet.payload = self.payload.to_vec();
        Ok(packet)
    }
}

impl MessageBuilder<'_> {
    /// Writes a `coap-lite` packet, appending to `out`.
    ///
    /// # Errors
    /// When the packet does not fit the format; `out` is unchanged then.
    pub fn from_packet(packet: &Packet, out: &mut Vec<u8>) -> Result<(), PacketError> {
        let token = Token::new(packet.get_token()).ok_or(PacketError::Token)?;
        let mut values = packet.options().flat_map(|(_, values)| values);
        if values.any(|value| value.len() > OptionNumber::VALUE_MAX) {
            return Err(PacketError::Option);
        }
        let message_type = match packet.header.get_type() {
            PacketType::Confirmable => MessageType::Confirmable,
            PacketType::NonConfirmable => MessageType::NonConfirmable,
            PacketType::Acknowledgement => MessageType::Acknowledgement,
            PacketType::Reset => MessageType::Reset,
        };
        let code = Code(packet.header.code.into());
        let start = MessageBuilder::new(out, message_type, code, packet.header.message_id, &token);
        packet
            .options()
            .flat_map(|(number, values)| values.iter().map(|value| (OptionNumber(*number), value)))
            .fold(start, |builder, (number, value)| {
                builder.option(number, value)
            })
            .payload(&packet.payload);
        Ok(())
    }
}

/// Why a message and a packet cannot be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// A token of more than 8 bytes for a packet, or than [`Token::MAX`] for a message.
    #[error("the token is too long")]
    Token,
    /// An option value of more than [`OptionNumber::VALUE_MAX`] bytes.
    #[error("an option value has at most 65804 bytes")]
    Option,
}
