//! Same dialect on both sides: bytes go through as they came, and a light scan reads the
//! tokens counted and why the answer ended.
//!
//! Every chunk says `"finish_reason":null` and many `"usage":null`; only a line in which
//! one of them has a value is parsed.

use bytes::Bytes;
use memchr::memchr;
use memchr::memmem::Finder;
use message::{Event, Failure, Frame, Seen};
use serde::Deserialize;
use serde_json::Value;

use super::answer::finish;
use super::whole::Body;
use super::{cut, from_event, nonsense};
use crate::ReplyDecoder;
use crate::openai::chat::wire::Usage;
use crate::openai::forward::{Forward, Scan};

/// Forwards a stream of chunks.
pub(in crate::openai) type Stream = Forward<Chunks>;

/// Reads chunks in passing.
pub(in crate::openai) struct Chunks {
    finish_reason: Finder<'static>,
    usage: Finder<'static>,
    error: Finder<'static>,
    is_whole: bool,
}

impl Default for Chunks {
    fn default() -> Self {
        Self {
            finish_reason: Finder::new(b"\"finish_reason\""),
            usage: Finder::new(b"\"usage\""),
            error: Finder::new(b"\"error\""),
            is_whole: false,
        }
    }
}

impl Scan for Chunks {
    fn line(&mut self, line: &[u8], seen: &mut Seen) -> Result<(), Failure> {
        let Some(data) = line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) else { return Ok(()) };
        if data == b"[DONE]" {
            self.is_whole = true;
        } else if has_value(data, &self.finish_reason) || has_value(data, &self.usage) {
            // What is not a chunk (a vendor's own event) is the client's to judge.
            if let Ok(chunk) = serde_json::from_slice::<Light>(data) {
                let found = chunk.seen();
                self.is_whole |= found.finish.is_some();
                seen.usage = found.usage.or(seen.usage);
                seen.finish = found.finish.or(seen.finish.take());
            }
        }
        if has_value(data, &self.error)
            && let Ok(Broken { error: Some(error) }) = serde_json::from_slice(data)
        {
            return Err(from_event(&error));
        }
        Ok(())
    }

    fn is_whole(&self) -> bool {
        self.is_whole
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
pub(in crate::openai) struct Whole {
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
