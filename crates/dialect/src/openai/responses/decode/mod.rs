//! A server's bytes → [`Event`]s.
//!
//! Four ways in: streamed or whole, decoded or (when the client speaks this dialect too)
//! forwarded as they came while `home` reads what the layers count.

mod answer;
mod home;
mod wire;

use bytes::Bytes;
use message::{Call, Event, Failure, Operation};

use self::answer::Answer;
use crate::ReplyDecoder;
use crate::framing::sse;
use crate::openai::chat::decode::whole::Body;
use crate::openai::error::{cut, nonsense};
use crate::openai::forward::Forward;
use crate::openai::names::renamed;

/// The decoder for one successful reply.
pub(super) fn decoder(call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
    // A call that was translated has been decoded, or it could not have been sent.
    let answer = || Answer::new(call.chat().map(renamed).unwrap_or_default());
    let counts = call.operation == Operation::CountTokens;
    match (call.head.stream && !counts, home) {
        (true, true) => Box::new(Forward::<home::Items>::default()),
        (false, true) => Box::new(home::Whole::default()),
        (true, false) => Box::new(Stream { parser: sse::Parser::new(), answer: answer(), done: false }),
        (false, false) => Box::new(Whole { body: Body::default(), answer: answer(), counts }),
    }
}

/// Decodes a stream of events.
struct Stream {
    parser: sse::Parser,
    answer: Answer,
    done: bool,
}

impl ReplyDecoder for Stream {
    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.parser.push(piece);
        while let Some(event) = self.parser.next().map_err(nonsense)? {
            let data = event.data.trim_ascii();
            // Some servers add Chat Completions' last word.
            if self.done || data.is_empty() || data == b"[DONE]" {
                continue;
            }
            let event: wire::StreamEvent = serde_json::from_slice(data).map_err(nonsense)?;
            self.done = self.answer.event(event, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Event>) -> Result<(), Failure> {
        if self.done { Ok(()) } else { Err(cut()) }
    }
}

/// Decodes a whole `response`, or a token count.
struct Whole {
    body: Body,
    answer: Answer,
    counts: bool,
}

impl ReplyDecoder for Whole {
    fn feed(&mut self, piece: Bytes, _: &mut Vec<Event>) -> Result<(), Failure> {
        self.body.push(piece)
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let body = self.body.take();
        if body.is_empty() {
            return Err(cut());
        }
        if self.counts {
            let count: wire::Count = serde_json::from_slice(&body).map_err(nonsense)?;
            let usage = message::Usage { input_tokens: count.input_tokens, ..Default::default() };
            events.push(Event::Usage(usage));
            return Ok(());
        }
        let response: wire::Response = serde_json::from_slice(&body).map_err(nonsense)?;
        self.answer.whole(response, events)
    }
}
