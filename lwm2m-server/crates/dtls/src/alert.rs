//! Alerts (RFC 5246 §7.2).

use std::fmt;

/// The description of an alert: the code that a device shows in /1/x/11.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Alert(pub u8);

impl Alert {
    /// The peer ends the session.
    pub const CLOSE_NOTIFY: Alert = Alert(0);
    /// A message that does not belong here.
    pub const UNEXPECTED_MESSAGE: Alert = Alert(10);
    /// A record is not authentic.
    pub const BAD_RECORD_MAC: Alert = Alert(20);
    /// No acceptable parameters.
    pub const HANDSHAKE_FAILURE: Alert = Alert(40);
    /// A certificate is corrupt or its signature does not verify.
    pub const BAD_CERTIFICATE: Alert = Alert(42);
    /// A certificate of a kind that is not supported.
    pub const UNSUPPORTED_CERTIFICATE: Alert = Alert(43);
    /// A certificate is not valid at this time.
    pub const CERTIFICATE_EXPIRED: Alert = Alert(45);
    /// A certificate is not acceptable for another reason.
    pub const CERTIFICATE_UNKNOWN: Alert = Alert(46);
    /// A field is out of range or contradicts another.
    pub const ILLEGAL_PARAMETER: Alert = Alert(47);
    /// The chain ends at no trust anchor of ours.
    pub const UNKNOWN_CA: Alert = Alert(48);
    /// The certificate is good, but its holder is not let in.
    pub const ACCESS_DENIED: Alert = Alert(49);
    /// A message cannot be read.
    pub const DECODE_ERROR: Alert = Alert(50);
    /// A signature or a Finished message does not verify.
    pub const DECRYPT_ERROR: Alert = Alert(51);
    /// No common version.
    pub const PROTOCOL_VERSION: Alert = Alert(70);
    /// Something failed that has nothing to do with the peer.
    pub const INTERNAL_ERROR: Alert = Alert(80);
    /// There is no renegotiation; a warning.
    pub const NO_RENEGOTIATION: Alert = Alert(100);
    /// An extension in a ServerHello that the client did not offer.
    pub const UNSUPPORTED_EXTENSION: Alert = Alert(110);
    /// No certificate for the name that was asked for.
    pub const UNRECOGNIZED_NAME: Alert = Alert(112);
    /// No key for the identity.
    pub const UNKNOWN_PSK_IDENTITY: Alert = Alert(115);
    /// The client speaks other protocols above.
    pub const NO_APPLICATION_PROTOCOL: Alert = Alert(120);

    /// The name in the registry of IANA; `unknown` for a code that has none here.
    pub fn name(self) -> &'static str {
        match self.0 {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            21 => "decryption_failed",
            22 => "record_overflow",
            40 => "handshake_failure",
            41 => "no_certificate",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            110 => "unsupported_extension",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            _ => "unknown",
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.name(), self.0)
    }
}

/// The level in front of the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Warning,
    Fatal,
}

impl Alert {
    pub(crate) fn encode(self, level: Level) -> [u8; 2] {
        let level = match level {
            Level::Warning => 1,
            Level::Fatal => 2,
        };
        [level, self.0]
    }

    /// None for what is no alert. A close_notify ends the session whatever its level.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Level, Alert)> {
        match *bytes {
            [1, description] => Some((Level::Warning, Alert(description))),
            [2, description] => Some((Level::Fatal, Alert(description))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_read_as_written() {
        for level in [Level::Warning, Level::Fatal] {
            let bytes = Alert::UNKNOWN_PSK_IDENTITY.encode(level);
            assert_eq!(
                Alert::parse(&bytes),
                Some((level, Alert::UNKNOWN_PSK_IDENTITY))
            );
        }
        assert_eq!(Alert::parse(&[3, 0]), None);
        assert_eq!(Alert::parse(&[2, 0, 0]), None);
        assert_eq!(
            Alert::UNKNOWN_PSK_IDENTITY.to_string(),
            "unknown_psk_identity (115)"
        );
    }
}
