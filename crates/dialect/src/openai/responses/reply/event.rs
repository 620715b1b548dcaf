//! Writes events. One is written per token, so all of it but the piece of text is laid
//! out once per block and copied.

use serde::Serialize;
use serde_json::Value;

use crate::json;

/// Writes events with their numbers.
#[derive(Default)]
pub(super) struct Events {
    /// The number of the next.
    sequence: u64,
}

impl Events {
    /// An event with these members.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, name: &str, members: &[(&str, Value)]) {
        let mut piece = Piece::new(name);
        for (member, value) in members {
            piece.member(member);
            json::write(&mut piece.0, value);
        }
        self.finish(out, &piece, |_| {});
    }

    /// An event laid out before; `last` writes its last members.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>, piece: &Piece, last: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(&piece.0);
        last(out);
        out.extend_from_slice(b",\"sequence_number\":");
        json::write(out, &self.sequence);
        out.extend_from_slice(b"}\n\n");
        self.sequence += 1;
    }
}

/// The beginning of an event.
pub(super) struct Piece(Vec<u8>);

impl Piece {
    pub(super) fn new(name: &str) -> Self {
        Self(format!("event: {name}\ndata: {{\"type\":\"{name}\"").into_bytes())
    }

    /// The beginning of an event that is about one place of the output.
    pub(super) fn at(name: &str, item: &str, output_index: usize) -> Self {
        let mut piece = Self::new(name);
        piece.with("item_id", &item);
        piece.with("output_index", &output_index);
        piece
    }

    pub(super) fn with<T: Serialize + ?Sized>(&mut self, member: &str, value: &T) {
        self.member(member);
        json::write(&mut self.0, value);
    }

    /// Leaves the value to whoever finishes the event.
    pub(super) fn member(&mut self, member: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(member.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}
