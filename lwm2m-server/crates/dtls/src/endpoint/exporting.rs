//! Sessions as bytes, so that they outlive the process.
//!
//! ```text
//! version | shard | slot, generation | suite | keys of both directions | counter | window
//!         | Connection IDs | limits | peer
//! ```
//!
//! An export is a picture of one moment. Records that are sent afterwards use numbers that the
//! picture does not know, and a number must never be used twice: an imported session goes on
//! [`Protection::JUMP`] numbers later. Records that came afterwards are not in its window either,
//! so a replay of them would be taken once more; what they carry must bear that, as CoAP messages
//! that are deduplicated or idempotent do.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::Endpoint;
use super::session::Session;
use super::types::{ImportError, Path, SessionId};
use crate::codec::{Reader, Write};
use crate::record::Protection;
use crate::stored::{read_peer, write_peer};

const VERSION: u8 = 1;

impl<P: Path> Endpoint<P> {
    /// The session as bytes.
    pub(super) fn write_session(&self, id: SessionId) -> Option<Zeroizing<Vec<u8>>> {
        let session = self.slots.session(id)?;
        let mut out = Zeroizing::new(Vec::with_capacity(512));
        out.put_u8(VERSION);
        out.put_u8(self.config.shard);
        out.put_u32(id.slot);
        out.put_u32(id.generation);
        out.put_u16(session.fragment_max);
        out.put(&session.hello);
        write_peer(&mut out, &session.peer);
        session.protection.write_to(&mut out);
        Some(out)
    }

    /// Takes a session of [`Endpoint::write_session`].
    pub(super) fn read_session(&mut self, path: P, bytes: &[u8]) -> Result<SessionId, ImportError> {
        let mut reader = Reader::new(bytes);
        match reader.u8() {
            Some(VERSION) => {}
            Some(found) => return Err(ImportError::Version { found }),
            None => return Err(ImportError::Malformed),
        }
        let shard = reader.u8().ok_or(ImportError::Malformed)?;
        if shard != self.config.shard {
            return Err(ImportError::Shard { found: shard });
        }
        let read = self.read_fields(path, reader);
        let (id, session) = read.ok_or(ImportError::Malformed)?;
        let cid = session.protection.read_cid();
        if cid.is_some_and(|cid| cid.shard() != shard || cid.slot() != id.slot) {
            return Err(ImportError::Malformed);
        }
        if !session.protection.can_send() {
            return Err(ImportError::Exhausted);
        }
        let max = self.config.limits.sessions_max;
        self.slots.restore(id, Box::new(session), max)?;
        self.arm(id);
        Ok(id)
    }

    fn read_fields(&self, path: P, mut reader: Reader<'_>) -> Option<(SessionId, Session<P>)> {
        let id = SessionId {
            slot: reader.u32()?,
            generation: reader.u32()?,
        };
        let fragment_max = reader.u16()?;
        let hello = reader.array()?;
        let peer = read_peer(&mut reader)?;
        let protection = Protection::read_from(&mut reader, peer.suite)?;
        let session = Session {
            path,
            protection,
            peer: Arc::new(peer),
            last_flight: None,
            active: self.clock.now(),
            fragment_max,
            allowance: None,
            hello,
            resumption: None,
        };
        reader.end((id, session))
    }
}
