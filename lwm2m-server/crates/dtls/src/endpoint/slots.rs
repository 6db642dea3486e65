//! The table of handshakes and sessions, and who is at which path.

use hashbrown::HashMap;

use super::clock::{Millis, NEVER};
use super::handshaking::Handshake;
use super::session::Session;
use super::types::{ImportError, Path, SessionId};
use crate::cid::Cid;

/// Slots by number. A slot that is given up is used again under the next generation.
pub(super) struct Slots<P> {
    slots: Vec<Slot<P>>,
    free: Vec<u32>,
    places: HashMap<P, Place>,
    handshakes: usize,
    sessions: usize,
}

struct Slot<P> {
    generation: u32,
    occupant: Occupant<P>,
    /// The timer that counts.
    timer: Millis,
}

impl<P> Slot<P> {
    const EMPTY: Slot<P> = Slot {
        generation: 0,
        occupant: Occupant::None,
        timer: NEVER,
    };
}

/// Who has a slot.
pub(super) enum Occupant<P> {
    None,
    /// Reserved, or being worked on.
    Away,
    Handshake(Box<Handshake<P>>),
    Session(Box<Session<P>>),
}

/// Who is at a path.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) session: Option<SessionId>,
    pub(super) handshake: Option<SessionId>,
}

impl<P: Path> Slots<P> {
    pub(super) fn new() -> Slots<P> {
        Slots {
            slots: Vec::new(),
            free: Vec::new(),
            places: HashMap::new(),
            handshakes: 0,
            sessions: 0,
        }
    }

    pub(super) fn handshakes(&self) -> usize {
        self.handshakes
    }

    pub(super) fn sessions(&self) -> usize {
        self.sessions
    }

    /// Reserves a slot for a handshake at a path, which takes the place of an earlier one there.
    /// None when all slots are taken.
    pub(super) fn reserve(&mut self, path: P, max: usize) -> Option<SessionId> {
        if self.handshakes + self.sessions >= max.min(Cid::SLOT_MAX as usize + 1) {
            return None;
        }
        let slot = self.free_slot();
        let entry = &mut self.slots[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.occupant = Occupant::Away;
        entry.timer = NEVER;
        let id = SessionId {
            slot,
            generation: entry.generation,
        };
        self.handshakes += 1;
        self.places.entry(path).or_default().handshake = Some(id);
        Some(id)
    }

    /// Puts a session back where it was.
    pub(super) fn restore(
        &mut self,
        id: SessionId,
        session: Box<Session<P>>,
        max: usize,
    ) -> Result<(), ImportError> {
        let max = max.min(Cid::SLOT_MAX as usize + 1);
        let at = id.slot as usize;
        if self.handshakes + self.sessions >= max || at >= max {
            return Err(ImportError::Full);
        }
        while self.slots.len() <= at {
            self.free.push(self.slots.len() as u32);
            self.slots.push(Slot::EMPTY);
        }
        let entry = &mut self.slots[at];
        if !matches!(entry.occupant, Occupant::None) {
            return Err(ImportError::Occupied);
        }
        let path = session.path;
        entry.generation = id.generation;
        entry.occupant = Occupant::Session(session);
        entry.timer = NEVER;
        self.sessions += 1;
        self.places.entry(path).or_default().session = Some(id);
        Ok(())
    }

    /// A slot that nobody has. One that was restored into may still be in the list.
    fn free_slot(&mut self) -> u32 {
        while let Some(slot) = self.free.pop() {
            if matches!(self.slots[slot as usize].occupant, Occupant::None) {
                return slot;
            }
        }
        self.slots.push(Slot::EMPTY);
        self.slots.len() as u32 - 1
    }

    pub(super) fn place(&self, path: P) -> Place {
        self.places.get(&path).copied().unwrap_or_default()
    }

    /// The session to be that a Connection ID of ours names, as far as its slot goes.
    pub(super) fn by_cid(&self, cid: Cid) -> Option<SessionId> {
        let slot = cid.slot();
        let entry = self.slots.get(slot as usize)?;
        Some(SessionId {
            slot,
            generation: entry.generation,
        })
    }

    pub(super) fn session(&self, id: SessionId) -> Option<&Session<P>> {
        match self.occupant(id)? {
            Occupant::Session(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn session_mut(&mut self, id: SessionId) -> Option<&mut Session<P>> {
        match &mut self.entry(id)?.occupant {
            Occupant::Session(session) => Some(session),
            _ => None,
        }
    }

    pub(super) fn handshake(&self, id: SessionId) -> Option<&Handshake<P>> {
        match self.occupant(id)? {
            Occupant::Handshake(handshake) => Some(handshake),
            _ => None,
        }
    }

    /// Takes a handshake out to work on it; it goes back by [`Slots::put`] or ends by
    /// [`Slots::promote`] or [`Slots::remove`].
    pub(super) fn take_handshake(&mut self, id: SessionId) -> Option<Box<Handshake<P>>> {
        let entry = self.entry(id)?;
        match std::mem::replace(&mut entry.occupant, Occupant::Away) {
            Occupant::Handshake(handshake) => Some(handshake),
            other => {
                entry.occupant = other;
                None
            }
        }
    }

    pub(super) fn put(&mut self, id: SessionId, handshake: Box<Handshake<P>>) {
        if let Some(entry) = self.entry(id) {
            entry.occupant = Occupant::Handshake(handshake);
        }
    }

    /// Turns a handshake that is being worked on into a session. Answers the session that was at
    /// the path.
    pub(super) fn promote(&mut self, id: SessionId, session: Box<Session<P>>) -> Option<SessionId> {
        let path = session.path;
        let entry = self.entry(id)?;
        entry.occupant = Occupant::Session(session);
        self.handshakes -= 1;
        self.sessions += 1;
        let place = self.places.entry(path).or_default();
        if place.handshake == Some(id) {
            place.handshake = None;
        }
        place.session.replace(id)
    }

    /// Takes note of a session's new path.
    pub(super) fn move_session(&mut self, id: SessionId, from: P, to: P) {
        self.vacate(id, from);
        self.places.entry(to).or_default().session = Some(id);
    }

    /// Gives a slot up.
    pub(super) fn remove(&mut self, id: SessionId, path: P) {
        let Some(entry) = self.entry(id) else {
            return;
        };
        match std::mem::replace(&mut entry.occupant, Occupant::None) {
            Occupant::None => return,
            Occupant::Session(_) => self.sessions -= 1,
            Occupant::Away | Occupant::Handshake(_) => self.handshakes -= 1,
        }
        self.free.push(id.slot);
        self.vacate(id, path);
    }

    /// The timer of a slot; [`NEVER`] when there is none.
    pub(super) fn timer(&mut self, id: SessionId) -> Option<&mut Millis> {
        self.entry(id).map(|entry| &mut entry.timer)
    }

    pub(super) fn occupant(&self, id: SessionId) -> Option<&Occupant<P>> {
        let entry = self.slots.get(id.slot as usize)?;
        (entry.generation == id.generation).then_some(&entry.occupant)
    }

    fn entry(&mut self, id: SessionId) -> Option<&mut Slot<P>> {
        let entry = self.slots.get_mut(id.slot as usize)?;
        (entry.generation == id.generation).then_some(entry)
    }

    fn vacate(&mut self, id: SessionId, path: P) {
        let Some(place) = self.places.get_mut(&path) else {
            return;
        };
        if place.session == Some(id) {
            place.session = None;
        }
        if place.handshake == Some(id) {
            place.handshake = None;
        }
        if place.session.is_none() && place.handshake.is_none() {
            self.places.remove(&path);
        }
    }
}
