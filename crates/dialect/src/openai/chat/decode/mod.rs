//! A server's bytes → [`Event`]s.
//!
//! Four ways in: streamed or whole, decoded or (when the client speaks this dialect too)
//! forwarded as they came while `home` reads what the layers count.

pub(in crate::openai) mod answer;
pub(in crate::openai) mod home;
mod tool_calls;
pub(in crate::openai) mod whole;

use bytes::Bytes;
use message::{Call, Event, Failure};

use self::answer::Answer;
use super::error::{cut, from_event, nonsense};
use super::names::renamed;
use super::wire;
use crate::ReplyDecoder;
use crate::framing::sse;

/// Most bytes of a whole (not streamed) answer: the largest honest ones carry a few
/// thousand tokens with log-probabilities, some MiB.
pub const WHOLE_BYTES_MAX: usize = 64 << 20;

/// The decoder for one successful reply.
pub(super) fn decoder(call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
    // A call that was translated has been decoded, or it could not have been sent.
    let answer = || Answer::new(call.chat().map(renamed).unwrap_or_default());
    match (call.head.stream, home) {
        (true, true) => Box::new(home::Stream::default()),
        (false, true) => Box::new(home::Whole::default()),
        (true, false) => Box::new(Stream { parser: sse::Parser::new(), answer: answer(), done: false }),
        (false, false) => Box::new(whole::Whole::new(answer())),
    }
}

/// Decodes a stream of chunks.
struct Stream {
    parser: sse::Parser,
    answer: Answer,
    done: bool,
}

impl ReplyDecoder for Stream {
    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.parser.push(piece);
        while let Some(event) = self.parser.next().map_err(nonsense)? {
            if !self.done {
                self.event(&event, events)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        match (self.done, self.answer.is_finished()) {
            (true, _) => Ok(()),
            // Some servers close the connection in place of the last word.
            (false, true) => self.end(events),
            (false, false) => Err(cut()),
        }
    }
}

impl Stream {
    fn event(&mut self, event: &sse::Event, events: &mut Vec<Event>) -> Result<(), Failure> {
        let data = event.data.trim_ascii();
        if data.is_empty() {
            return Ok(());
        }
        if data == b"[DONE]" {
            return self.end(events);
        }
        if event.is("error") {
            let error: serde_json::Value = serde_json::from_slice(data).map_err(nonsense)?;
            return Err(from_event(error.get("error").unwrap_or(&error)));
        }
        // Checked at once, and not string by string.
        let text = simdutf8::basic::from_utf8(data).map_err(nonsense)?;
        let chunk: wire::Completion = serde_json::from_str(text).map_err(nonsense)?;
        self.answer.take(chunk, events)
    }

    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.done = true;
        self.answer.end(events)
    }
}
