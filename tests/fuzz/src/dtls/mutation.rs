//! What a network, or somebody in it, may make of datagrams.

use crate::steps::Steps;

/// What a network, or somebody in it, may make of a datagram.
pub fn mutate(datagram: &[u8], steps: &mut Steps<'_>) -> Vec<Vec<u8>> {
    let mut changed = datagram.to_vec();
    match steps.below(6) {
        0 => {
            let at = steps.below(changed.len());
            let change = steps.byte();
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= change;
            }
        }
        1 => changed.truncate(steps.below(changed.len() + 1)),
        2 => changed.extend_from_slice(steps.bytes()),
        3 => return fragmented(datagram, steps),
        4 => {
            let (at, bytes) = (steps.below(changed.len()), steps.bytes());
            for (to, from) in changed.iter_mut().skip(at).zip(bytes) {
                *to = *from;
            }
        }
        _ => {
            let index = steps.below(4);
            changed = with_body(datagram, index, steps.bytes());
        }
    }
    vec![changed]
}

/// One record.
struct Record {
    header: [u8; 13],
    body: Vec<u8>,
}

impl Record {
    /// The records of a datagram; what is no record at its end is left out.
    fn all(mut datagram: &[u8]) -> Vec<Record> {
        let mut records = Vec::new();
        while let Some((header, rest)) = datagram.split_first_chunk::<13>() {
            let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
            let Some((body, rest)) = rest.split_at_checked(length) else {
                break;
            };
            records.push(Record {
                header: *header,
                body: body.to_vec(),
            });
            datagram = rest;
        }
        records
    }

    /// True for a whole handshake message in plain.
    fn is_message(&self) -> bool {
        self.header[0] == 22 && self.header[3..5] == [0, 0] && self.body.len() >= 12
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.header[..11]);
        out.extend_from_slice(&(self.body.len() as u16).to_be_bytes());
        out.extend_from_slice(&self.body);
    }
}

/// The datagram with another body of one of its handshake messages, its lengths as they must be.
pub fn with_body(datagram: &[u8], index: usize, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut messages = 0;
    for mut record in Record::all(datagram) {
        if record.is_message() {
            if messages == index {
                let length = (body.len() as u32).to_be_bytes();
                record.body.truncate(12);
                record.body[1..4].copy_from_slice(&length[1..]);
                record.body[6..9].copy_from_slice(&[0; 3]);
                record.body[9..12].copy_from_slice(&length[1..]);
                record.body.extend_from_slice(body);
            }
            messages += 1;
        }
        record.write(&mut out);
    }
    out
}

/// The same messages in pieces that overlap, come in any order and come twice.
pub fn fragmented(datagram: &[u8], steps: &mut Steps<'_>) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    for record in Record::all(datagram) {
        if !record.is_message() {
            let mut whole = Vec::new();
            record.write(&mut whole);
            pieces.push(whole);
            continue;
        }
        let (head, body) = record.body.split_at(12);
        let offset = u32::from_be_bytes([0, head[6], head[7], head[8]]) as usize;
        let size = 1 + steps.below(200).max(body.len() / 24);
        let overlap = steps.below(size);
        let mut at = 0;
        loop {
            let end = (at + size).min(body.len());
            let start = at.saturating_sub(overlap);
            let mut fragment = head.to_vec();
            fragment[6..9].copy_from_slice(&((offset + start) as u32).to_be_bytes()[1..]);
            fragment[9..12].copy_from_slice(&((end - start) as u32).to_be_bytes()[1..]);
            fragment.extend_from_slice(&body[start..end]);
            let mut piece = Vec::new();
            Record {
                header: record.header,
                body: fragment,
            }
            .write(&mut piece);
            pieces.push(piece);
            at = end;
            if at >= body.len() {
                break;
            }
        }
    }
    for _ in 0..steps.below(8) {
        let (one, other) = (steps.below(pieces.len()), steps.below(pieces.len()));
        if steps.below(4) == 0 && one < pieces.len() {
            pieces.push(pieces[one].clone());
        } else if one < pieces.len() && other < pieces.len() {
            pieces.swap(one, other);
        }
    }
    pieces
}
