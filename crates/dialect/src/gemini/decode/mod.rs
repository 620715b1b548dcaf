//! A server's bytes → [`Event`]s.
//!
//! Streamed or whole, decoded or (when the client speaks this dialect too) forwarded as they
//! came while `home` reads what the layers count.

mod answer;
mod home;
mod logprobs;

use bytes::Bytes;
use message::{Call, Event, Failure, Operation, Usage};

use self::answer::Answer;
use super::door::wants_array;
use super::error::{cut, in_stream, nonsense};
use super::{embed, wire};
use crate::ReplyDecoder;
use crate::framing::sse;

/// Most bytes of a whole (not streamed) answer: generated images are a few MiB each.
pub const WHOLE_BYTES_MAX: usize = 64 << 20;

/// The decoder for one successful reply.
pub(super) fn decoder(call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
    match (call.head.stream, home) {
        (true, true) if wants_array(&call.headers) => Box::new(home::array()),
        (true, true) => Box::new(home::events()),
        (false, true) => Box::new(home::Whole::new(call.operation)),
        (true, false) => Box::new(Stream { parser: sse::Parser::new(), answer: Answer::new(call) }),
        (false, false) => {
            Box::new(Whole { operation: call.operation, body: Body::default(), answer: Answer::new(call) })
        }
    }
}

/// Decodes a stream of chunks.
struct Stream {
    parser: sse::Parser,
    answer: Answer,
}

impl ReplyDecoder for Stream {
    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.parser.push(piece);
        while let Some(event) = self.parser.next().map_err(nonsense)? {
            let data = event.data.trim_ascii();
            if !data.is_empty() && data != b"[DONE]" {
                self.answer.take(serde_json::from_slice(data).map_err(nonsense)?, events)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.answer.end(events)
    }
}

/// Decodes a whole answer, a token count or embeddings.
struct Whole {
    operation: Operation,
    body: Body,
    answer: Answer,
}

impl ReplyDecoder for Whole {
    fn feed(&mut self, piece: Bytes, _: &mut Vec<Event>) -> Result<(), Failure> {
        self.body.push(piece)
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let response: wire::Response = serde_json::from_slice(&self.body.take()).map_err(nonsense)?;
        if let Some(error) = &response.error {
            return Err(in_stream(error));
        }
        match self.operation {
            Operation::Chat => {
                self.answer.take(response, events)?;
                self.answer.end(events)
            }
            Operation::CountTokens => {
                let total =
                    response.total_tokens.ok_or_else(|| nonsense("a token count without totalTokens"))?;
                let cached = response.cached_content_token_count.unwrap_or(0).min(total);
                let usage =
                    Usage { input_tokens: total - cached, cache_read_tokens: cached, ..Usage::default() };
                events.extend([Event::Start { id: None }, Event::Usage(usage), embed::done()]);
                Ok(())
            }
            Operation::Embed => embed::vectors(response, events),
            Operation::Rerank => Err(nonsense("an answer to what was not asked")),
        }
    }
}

/// A body gathered from pieces; one piece is not copied.
#[derive(Default)]
struct Body {
    pieces: Vec<Bytes>,
    len: usize,
}

impl Body {
    fn push(&mut self, piece: Bytes) -> Result<(), Failure> {
        self.len += piece.len();
        if self.len > WHOLE_BYTES_MAX {
            return Err(nonsense(format!("an answer larger than {WHOLE_BYTES_MAX} bytes")));
        }
        if !piece.is_empty() {
            self.pieces.push(piece);
        }
        Ok(())
    }

    fn take(&mut self) -> Bytes {
        match std::mem::take(&mut self.pieces).as_slice() {
            [one] => one.clone(),
            many => Bytes::from(many.concat()),
        }
    }
}
