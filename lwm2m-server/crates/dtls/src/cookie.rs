//! The stateless cookie (RFC 6347 §4.2.1): an address has to answer before it costs us anything.

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;

use crate::handshake::HelloStart;
use crate::random::{Random, random_array};

/// Makes and checks cookies. A cookie is the period in which it was made and an HMAC over it, the
/// path and the ClientHello.
pub(crate) struct Cookies {
    key: hmac::Key,
}

impl Cookies {
    /// Bytes of a cookie.
    pub(crate) const BYTES: usize = 1 + Cookies::TAG;
    const TAG: usize = 16;

    pub(crate) fn new(random: &mut dyn Random) -> Cookies {
        let secret: [u8; 32] = random_array(random);
        Cookies {
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
        }
    }

    /// The cookie for a path and a hello; `period` counts lifetimes.
    pub(crate) fn make(&self, period: u64, path: &[u8], hello: &HelloStart<'_>) -> [u8; 17] {
        let period = period as u8;
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&[period, path.len() as u8]);
        context.update(path);
        context.update(&hello.version.to_be_bytes());
        context.update(hello.random);
        for vector in [hello.session_id, hello.suites, hello.compressions] {
            context.update(&(vector.len() as u16).to_be_bytes());
            context.update(vector);
        }
        let mut cookie = [period; Cookies::BYTES];
        cookie[1..].copy_from_slice(&context.sign().as_ref()[..Cookies::TAG]);
        cookie
    }

    /// True when the hello carries the cookie of this period or of the one before.
    pub(crate) fn verify(&self, period: u64, path: &[u8], hello: &HelloStart<'_>) -> bool {
        let Some(&made) = hello.cookie.first() else {
            return false;
        };
        let age = (period as u8).wrapping_sub(made);
        if age > 1 || u64::from(age) > period {
            return false;
        }
        let expected = self.make(period - u64::from(age), path, hello);
        hello.cookie.ct_eq(&expected).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn a_cookie_is_good_for_its_path_its_hello_and_two_periods() {
        let cookies = Cookies::new(&mut SeededRandom::new(1));
        let hello = HelloStart {
            version: 0xfefd,
            random: &[1; 32],
            session_id: &[],
            cookie: &[],
            suites: &[0xc0, 0xa8],
            compressions: &[0],
        };
        let cookie = cookies.make(300, b"path", &hello);
        let with = HelloStart {
            cookie: &cookie,
            ..hello
        };
        assert!(cookies.verify(300, b"path", &with));
        assert!(cookies.verify(301, b"path", &with));
        assert!(!cookies.verify(302, b"path", &with));
        assert!(!cookies.verify(299, b"path", &with));
        assert!(!cookies.verify(300, b"elsewhere", &with));
        assert!(!cookies.verify(300, b"path", &hello));
        let other = HelloStart {
            random: &[2; 32],
            ..with
        };
        assert!(!cookies.verify(300, b"path", &other));
        let mut forged = cookie;
        forged[16] ^= 1;
        let forged = HelloStart {
            cookie: &forged,
            ..hello
        };
        assert!(!cookies.verify(300, b"path", &forged));
    }
}
