//! Same dialect on both sides: bytes go through as they came, and a light scan reads the
//! tokens counted and why the answer ended.
//!
//! Every chunk says `"finish_reason":null` and many `"usage":null`; only a line in which
//! one of them has a value is parsed. Frames end where an event ends (a partial event is
//! held back, as slices), so that whoever has to end a cut stream can write after any.

use bytes::Bytes;
use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter};
use message::{Event, Failure, Frame, Seen};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::answer::finish;
use super::whole::Body;
use super::{cut, nonsense};
use crate::ReplyDecoder;
use crate::framing::sse::EVENT_BYTES_MAX;
use crate::openai::wire::Usage;

/// Forwards a stream.
pub(super) struct Stream {
    finish_reason: Finder<'static>,
    usage: Finder<'static>,
    error: Finder<'static>,
    /// Pieces of an event whose end has not come.
    held: Vec<Bytes>,
    held_len: usize,
    /// The beginning of a line whose end has not come, for the scan.
    line: Vec<u8>,
    is_whole: bool,
}

impl ReplyDecoder for Stream {
    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        let mut seen = None;
        // Where the last whole event of this piece ends.
        let mut boundary = 0;
        let mut start = 0;
        for newline in memchr_iter(b'\n', &piece) {
            let rest = &piece[start..newline];
            if self.line.is_empty() {
                if is_blank(rest) {
                    boundary = newline + 1;
                } else {
                    self.scan(rest, &mut seen);
                }
            } else {
                self.line.extend_from_slice(rest);
                let line = std::mem::take(&mut self.line);
                if is_blank(&line) {
                    boundary = newline + 1;
                } else {
                    self.scan(&line, &mut seen);
                }
            }
            start = newline + 1;
        }
        self.line.extend_from_slice(&piece[start..]);
        if boundary > 0 {
            let held = std::mem::take(&mut self.held);
            self.held_len = 0;
            events.extend(held.into_iter().map(|bytes| Event::Frame(Frame { bytes, seen: None })));
            let bytes = piece.slice(..boundary);
            events.push(Event::Frame(Frame { bytes, seen: seen.map(Box::new) }));
        }
        self.hold(piece.slice(boundary..))
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        if !self.is_whole {
            return Err(cut());
        }
        // A last event without its blank line is still the client's to read.
        let held = std::mem::take(&mut self.held);
        events.extend(held.into_iter().map(|bytes| Event::Frame(Frame { bytes, seen: None })));
        Ok(())
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            finish_reason: Finder::new(b"\"finish_reason\""),
            usage: Finder::new(b"\"usage\""),
            error: Finder::new(b"\"error\""),
            held: Vec::new(),
            held_len: 0,
            line: Vec::new(),
            is_whole: false,
        }
    }
}

impl Stream {
    fn hold(&mut self, piece: Bytes) -> Result<(), Failure> {
        self.held_len += piece.len();
        if self.held_len > EVENT_BYTES_MAX {
            return Err(nonsense(format!("an event larger than {EVENT_BYTES_MAX} bytes")));
        }
        if !piece.is_empty() {
            self.held.push(piece);
        }
        Ok(())
    }

    fn scan(&mut self, line: &[u8], seen: &mut Option<Seen>) {
        let Some(data) = line.strip_prefix(b"data:") else { return };
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            self.is_whole = true;
        } else if has_value(data, &self.finish_reason) || has_value(data, &self.usage) {
            // What is not a chunk (an error, a vendor's own event) is the client's to judge.
            if let Ok(chunk) = serde_json::from_slice::<Light>(data) {
                let found = chunk.seen();
                self.is_whole |= found.finish.is_some();
                let seen = seen.get_or_insert_default();
                seen.usage = found.usage.or(seen.usage);
                seen.finish = found.finish.or(seen.finish.take());
            }
        } else if has_value(data, &self.error) && serde_json::from_slice::<Error>(data).is_ok() {
            // The server's own last word: nothing needs to be added.
            self.is_whole = true;
        }
    }
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"" | b"\r")
}

/// Whether `key` stands there with a value other than `null`.
fn has_value(json: &[u8], key: &Finder<'_>) -> bool {
    key.find_iter(json).any(|at| {
        let after = &json[at + key.needle().len()..];
        let value = memchr(b':', after).map(|colon| after[colon + 1..].trim_ascii_start());
        value.is_some_and(|value| !value.starts_with(b"null"))
    })
}

/// What the layers count in a chunk or a whole completion.
#[derive(Deserialize)]
struct Light {
    choices: Option<Vec<LightChoice>>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct LightChoice {
    finish_reason: Option<String>,
    stop_reason: Option<Value>,
}

#[derive(Deserialize)]
struct Error {
    #[serde(rename = "error")]
    _error: IgnoredAny,
}

impl Light {
    fn seen(self) -> Seen {
        let mut choices = self.choices.into_iter().flatten();
        Seen {
            usage: self.usage.as_ref().map(Usage::buckets),
            finish: choices.find_map(|choice| Some(finish(choice.finish_reason?, choice.stop_reason).0)),
        }
    }
}

/// Forwards a whole answer, once it is known to be one: until then the status can still
/// say that it is not.
#[derive(Default)]
pub(super) struct Whole {
    body: Body,
}

impl ReplyDecoder for Whole {
    fn feed(&mut self, piece: Bytes, _: &mut Vec<Event>) -> Result<(), Failure> {
        self.body.push(piece)
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let bytes = self.body.take();
        if bytes.is_empty() {
            return Err(cut());
        }
        let light: Light = serde_json::from_slice(&bytes).map_err(nonsense)?;
        events.push(Event::Frame(Frame { bytes, seen: Some(Box::new(light.seen())) }));
        Ok(())
    }
}
