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
use serde_json::Value;

use super::answer::finish;
use super::whole::Body;
use super::{cut, from_event, nonsense};
use crate::ReplyDecoder;
use crate::framing::sse::EVENT_BYTES_MAX;
use crate::openai::chat::wire::Usage;

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
    /// What was seen of the event whose end has not come.
    seen: Seen,
    is_whole: bool,
}

impl ReplyDecoder for Stream {
    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        // Where the last whole event of this piece ends.
        let mut boundary = 0;
        let mut start = 0;
        let mut failure = None;
        for newline in memchr_iter(b'\n', &piece) {
            let is_blank = if self.line.is_empty() {
                self.line(&piece[start..newline])
            } else {
                self.line.extend_from_slice(&piece[start..newline]);
                let line = std::mem::take(&mut self.line);
                self.line(&line)
            };
            start = newline + 1;
            match is_blank {
                Ok(true) => boundary = start,
                Ok(false) => {}
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if boundary > 0 {
            self.release(events);
            let (bytes, seen) = (piece.slice(..boundary), self.take_seen());
            events.push(Event::Frame(Frame { bytes, seen }));
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        self.line.extend_from_slice(&piece[start..]);
        self.hold(piece.slice(boundary..))
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        // A last event without its blank line is still the client's to read.
        let line = std::mem::take(&mut self.line);
        self.line(&line)?;
        if !self.is_whole {
            return Err(cut());
        }
        self.release(events);
        if let Some(seen) = self.take_seen() {
            events.push(Event::Frame(Frame { bytes: Bytes::new(), seen: Some(seen) }));
        }
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
            seen: Seen::default(),
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

    fn take_seen(&mut self) -> Option<Box<Seen>> {
        let seen = std::mem::take(&mut self.seen);
        (seen != Seen::default()).then(|| Box::new(seen))
    }

    fn release(&mut self, events: &mut Vec<Event>) {
        self.held_len = 0;
        let held = self.held.drain(..);
        events.extend(held.map(|bytes| Event::Frame(Frame { bytes, seen: None })));
    }

    /// Reads a whole line. True if it is blank: the event before it is whole.
    ///
    /// The server's own error is no frame but a failure, so that layers can see it; the
    /// client gets it through the encoder.
    fn line(&mut self, line: &[u8]) -> Result<bool, Failure> {
        if matches!(line, b"" | b"\r") {
            return Ok(true);
        }
        let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else { return Ok(false) };
        if data == b"[DONE]" {
            self.is_whole = true;
        } else if has_value(data, &self.finish_reason) || has_value(data, &self.usage) {
            // What is not a chunk (a vendor's own event) is the client's to judge.
            if let Ok(chunk) = serde_json::from_slice::<Light>(data) {
                let found = chunk.seen();
                self.is_whole |= found.finish.is_some();
                self.seen.usage = found.usage.or(self.seen.usage);
                self.seen.finish = found.finish.or(self.seen.finish.take());
            }
        }
        if has_value(data, &self.error)
            && let Ok(Broken { error: Some(error) }) = serde_json::from_slice(data)
        {
            return Err(from_event(&error));
        }
        Ok(false)
    }
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
struct Broken {
    error: Option<Value>,
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
