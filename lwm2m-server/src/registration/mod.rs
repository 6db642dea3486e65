//! Registrations: what the server knows of a device (Core 1.2.2 §6.2).
//!
//! [`parameters`] reads what a Register or Update asks for, [`table`] holds the registrations of
//! one shard, [`objects`] shares their object lists, [`profile`] knows the lists behind profile
//! ids.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use lwm2m_core::{ObjectList, Version};

use crate::PeerIdentity;

pub(crate) mod objects;
pub(crate) mod parameters;
pub(crate) mod profile;
pub(crate) mod table;

/// A registration, as it was when it was asked for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Registration {
    /// The endpoint name.
    pub endpoint: EndpointName,
    /// The location.
    pub id: RegistrationId,
    /// The enabler version.
    pub version: Version,
    /// Lifetime in seconds, 0 for ever.
    pub lifetime_s: u32,
    /// What `b` and `Q` said.
    pub binding: Binding,
    /// The number for SMS.
    pub sms: Option<Box<str>>,
    /// What the device says it has.
    pub objects: Arc<ObjectList>,
    /// Other parameters of the Register, and what interceptors annotated.
    pub annotations: Vec<(String, String)>,
    /// Where it is.
    pub peer: SocketAddr,
    /// Who it has proven to be.
    pub identity: PeerIdentity,
    /// When it registered.
    pub registered_at: SystemTime,
    /// When it last registered or updated.
    pub updated_at: SystemTime,
    /// False while a queue-mode device sleeps.
    pub awake: bool,
}

impl Registration {
    /// One as a device has it that says no more than its name: for tests of interceptors and of
    /// plugins. Registrations of a server are made by the server.
    pub fn new(endpoint: EndpointName, peer: SocketAddr) -> Registration {
        Registration {
            endpoint,
            id: RegistrationId(0),
            version: Version::V1_0,
            lifetime_s: 86_400,
            binding: Binding::UDP,
            sms: None,
            objects: Arc::default(),
            annotations: Vec::new(),
            peer,
            identity: PeerIdentity::Anonymous,
            registered_at: SystemTime::UNIX_EPOCH,
            updated_at: SystemTime::UNIX_EPOCH,
            awake: true,
        }
    }
}

/// An endpoint name: 1 to 255 bytes of UTF-8, compared byte by byte, hostile until escaped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointName(Arc<str>);

impl EndpointName {
    /// The longest name, in bytes.
    pub const MAX: usize = 255;

    /// Takes a name; none when it is empty or too long.
    pub fn new(name: &str) -> Option<EndpointName> {
        (!name.is_empty() && name.len() <= EndpointName::MAX).then(|| EndpointName(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name to look up; one that no device can have finds nothing.
    pub(crate) fn to_look_up(name: &str) -> EndpointName {
        EndpointName(name.into())
    }
}

impl fmt::Display for EndpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The second segment of the location `/rd/{id}`: unguessable, says which shard owns it.
///
/// From the top: shard (16 bits), slot (32), generation of the slot (16), random (64). As text it
/// is 22 characters of `[0-9A-Za-z]`, within the 32 that small clients can store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId(pub u128);

impl RegistrationId {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const TEXT_LEN: usize = 22;
    /// What ten digits can hold; two more digits hold 3844.
    const PART: u128 = 62u128.pow(10);

    pub(crate) fn new(location: Location, secret: u64) -> RegistrationId {
        RegistrationId(
            u128::from(location.shard) << 112
                | u128::from(location.slot) << 80
                | u128::from(location.generation) << 64
                | u128::from(secret),
        )
    }

    pub(crate) fn location(self) -> Location {
        Location {
            shard: (self.0 >> 112) as u16,
            slot: (self.0 >> 80) as u32,
            generation: (self.0 >> 64) as u16,
        }
    }

    pub(crate) fn secret(self) -> u64 {
        self.0 as u64
    }

    /// The text form, without allocating.
    pub(crate) fn text(self) -> [u8; RegistrationId::TEXT_LEN] {
        // In parts that fit into 64 bits: division of 128 bits is slow.
        let parts = [
            (self.0 / RegistrationId::PART / 3844, 0..10),
            (self.0 / 3844 % RegistrationId::PART, 10..20),
            (self.0 % 3844, 20..22),
        ];
        let mut text = [b'0'; RegistrationId::TEXT_LEN];
        for (part, range) in parts {
            let mut rest = part as u64;
            for digit in text[range].iter_mut().rev() {
                *digit = RegistrationId::DIGITS[(rest % 62) as usize];
                rest /= 62;
            }
        }
        text
    }

    /// Reads the text form.
    pub(crate) fn from_text(text: &[u8]) -> Option<RegistrationId> {
        if text.len() != RegistrationId::TEXT_LEN {
            return None;
        }
        let part = |digits: &[u8]| {
            digits.iter().try_fold(0u64, |number, byte| {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    b'A'..=b'Z' => byte - b'A' + 10,
                    b'a'..=b'z' => byte - b'a' + 36,
                    _ => return None,
                };
                Some(number * 62 + u64::from(digit))
            })
        };
        let (high, middle, low) = (part(&text[..10])?, part(&text[10..20])?, part(&text[20..])?);
        (u128::from(high) * RegistrationId::PART + u128::from(middle))
            .checked_mul(3844)?
            .checked_add(u128::from(low))
            .map(RegistrationId)
    }
}

impl fmt::Display for RegistrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text()
            .iter()
            .try_for_each(|digit| write!(f, "{}", char::from(*digit)))
    }
}

impl FromStr for RegistrationId {
    type Err = RegistrationIdError;

    fn from_str(text: &str) -> Result<RegistrationId, RegistrationIdError> {
        RegistrationId::from_text(text.as_bytes()).ok_or(RegistrationIdError)
    }
}

/// A text that names no registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a registration id has 22 characters of 0-9, A-Z and a-z")]
pub struct RegistrationIdError;

/// Where a registration lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Location {
    /// The shard.
    pub(crate) shard: u16,
    /// How often the slot has been taken, so that what points to an older tenant misses.
    pub(crate) generation: u16,
    /// The slot in the table of the shard.
    pub(crate) slot: u32,
}

/// The bindings that a device supports, and queue mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Binding {
    /// U
    pub udp: bool,
    /// T
    pub tcp: bool,
    /// S
    pub sms: bool,
    /// N
    pub non_ip: bool,
    /// M (1.2)
    pub mqtt: bool,
    /// H (1.2)
    pub http: bool,
    /// Q: the device sleeps, and hears only after it has sent something.
    pub queue: bool,
}

impl Binding {
    /// What a device supports that says nothing: U.
    pub const UDP: Binding = Binding {
        udp: true,
        tcp: false,
        sms: false,
        non_ip: false,
        mqtt: false,
        http: false,
        queue: false,
    };

    /// Reads the letters of `b`, in any order; unknown letters are left out, none at all is U.
    pub fn from_letters(letters: &str) -> Binding {
        let has = |letter| letters.contains(letter);
        let binding = Binding {
            udp: has('U'),
            tcp: has('T'),
            sms: has('S'),
            non_ip: has('N'),
            mqtt: has('M'),
            http: has('H'),
            queue: has('Q'),
        };
        let none = Binding {
            queue: binding.queue,
            ..Binding::default()
        };
        match binding == none {
            true => Binding { udp: true, ..none },
            false => binding,
        }
    }
}

impl fmt::Display for Binding {
    /// Writes the letters, Q last, as in `UQ`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        [
            (self.udp, "U"),
            (self.tcp, "T"),
            (self.sms, "S"),
            (self.non_ip, "N"),
            (self.mqtt, "M"),
            (self.http, "H"),
            (self.queue, "Q"),
        ]
        .into_iter()
        .filter(|(supported, _)| *supported)
        .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_says_where_and_reads_back() {
        let location = Location {
            shard: 3,
            generation: 65535,
            slot: 0xdead_beef,
        };
        for secret in [0, 1, 61, 62, 3843, 3844, u64::MAX] {
            let id = RegistrationId::new(location, secret);
            assert_eq!(id.location(), location);
            assert_eq!(id.secret(), secret);
            let text = id.to_string();
            assert_eq!(text.len(), 22);
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric()));
            assert_eq!(text.parse(), Ok(id));
        }
    }

    #[test]
    fn the_text_is_the_number_in_base_62() {
        for (id, text) in [
            (0, "0000000000000000000000"),
            (61, "000000000000000000000z"),
            (62u128.pow(10), "0000000000010000000000"),
            (62u128.pow(20) - 1, "00zzzzzzzzzzzzzzzzzzzz"),
            (u128::MAX, "7n42DGM5Tflk9n8mt7Fhc7"),
        ] {
            assert_eq!(RegistrationId(id).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "0",
            "000000000000000000000",
            "00000000000000000000000",
            "000000000000000000000-",
            "zzzzzzzzzzzzzzzzzzzzzz",
            "00000000000000000000ä",
        ] {
            assert_eq!(text.parse::<RegistrationId>(), Err(RegistrationIdError));
        }
    }

    #[test]
    fn bindings_read_in_any_order_and_write_in_one() {
        for (letters, text) in [
            ("U", "U"),
            ("UQS", "USQ"),
            ("QU", "UQ"),
            ("TXU", "UT"),
            ("", "U"),
            ("Q", "UQ"),
            ("xyz", "U"),
            ("NHM", "NMH"),
        ] {
            assert_eq!(
                Binding::from_letters(letters).to_string(),
                text,
                "{letters}"
            );
        }
    }

    #[test]
    fn names_have_bounds() {
        assert!(EndpointName::new("").is_none());
        assert!(EndpointName::new(&"x".repeat(255)).is_some());
        assert!(EndpointName::new(&"x".repeat(256)).is_none());
    }
}
