//! Notes on how a client spelled what the hub holds in fields of its own.
//!
//! The dialect has several spellings for one meaning (`max_tokens` and
//! `max_completion_tokens`, a stop string or a list of them, `functions` and `tools`).
//! `inbound` decodes the meaning and notes an unusual spelling under [`SPELLING`];
//! `encode` uses the note again as long as it still means what the hub says. So a decoded
//! call re-encodes to the same JSON, and other dialects never see the notes.

use message::{Extra, SPELLING};
use serde_json::Value;

/// Puts what is left of an object and the notes on it into one [`Extra`].
///
/// A client's own field named like the note is kept as a note.
pub(super) fn seal(mut rest: Extra, mut notes: Extra) -> Extra {
    if let Some(clients_own) = rest.shift_remove(SPELLING) {
        notes.insert(SPELLING.to_owned(), clients_own);
    }
    if !notes.is_empty() {
        rest.insert(SPELLING.to_owned(), Value::Object(notes));
    }
    rest
}

/// The note on one member.
pub(super) fn note<'a>(extra: &'a Extra, name: &str) -> Option<&'a Value> {
    extra.get(SPELLING)?.get(name)
}

/// Writes the unknown fields back beside the known ones, which win; the unknown fields of
/// an inner object go back into it.
pub(super) fn unseal(extra: &Extra, out: &mut Extra) {
    let clients_own = note(extra, SPELLING).map(|value| (SPELLING, value));
    let fields = extra.iter().filter(|(name, _)| *name != SPELLING);
    for (name, value) in fields.map(|(name, value)| (name.as_str(), value)).chain(clients_own) {
        match (out.get_mut(name), value) {
            (None, _) => {
                out.insert(name.to_owned(), value.clone());
            }
            (Some(Value::Object(inner)), Value::Object(rest)) => unseal(rest, inner),
            (Some(_), _) => {}
        }
    }
}
