//! A server's continuation → [`Event`]s.
//!
//! At home its frames go through as Chat Completions' do: the members that are counted
//! are the same.

use bytes::Bytes;
use message::{BlockHead, Call, Delta, Event, Failure, FinishReason, TokenLogprob, TopLogprob};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::ReplyDecoder;
use crate::framing::sse;
use crate::openai::chat::decode::answer::finish;
use crate::openai::chat::decode::home;
use crate::openai::chat::decode::whole::Body;
use crate::openai::chat::wire::Usage;
use crate::openai::error::{cut, from_event, nonsense};

/// The decoder for one successful reply.
pub(super) fn decoder(call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
    match (call.head.stream, home) {
        (true, true) => Box::new(home::Stream::default()),
        (false, true) => Box::new(home::Whole::default()),
        (true, false) => Box::new(Stream { parser: sse::Parser::new(), answer: Answer::default() }),
        (false, false) => Box::new(Whole { body: Body::default(), answer: Answer::default() }),
    }
}

/// A `text_completion`, whole or a piece.
#[derive(Deserialize)]
struct Completion {
    id: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    index: Option<u64>,
    text: Option<String>,
    finish_reason: Option<String>,
    stop_reason: Option<Value>,
    logprobs: Option<Logprobs>,
}

/// Parallel lists, one entry per token.
#[derive(Deserialize)]
struct Logprobs {
    tokens: Option<Vec<String>>,
    token_logprobs: Option<Vec<Option<f32>>>,
    top_logprobs: Option<Vec<Option<Map<String, Value>>>>,
}

impl Logprobs {
    fn tokens(self) -> Vec<TokenLogprob> {
        let logprobs = self.token_logprobs.unwrap_or_default();
        let tops = self.top_logprobs.unwrap_or_default();
        let tokens = self.tokens.unwrap_or_default().into_iter().enumerate();
        let tokens = tokens.map(|(place, token)| {
            let top = tops.get(place).and_then(Option::as_ref).into_iter().flatten();
            #[allow(
                clippy::cast_possible_truncation,
                reason = "log-probabilities are single precision in the hub"
            )]
            let top = top.filter_map(|(token, logprob)| {
                Some(TopLogprob { token: token.clone().into_bytes(), logprob: logprob.as_f64()? as f32 })
            });
            let mut top: Vec<_> = top.collect();
            top.sort_by(|one, other| other.logprob.total_cmp(&one.logprob));
            let logprob = logprobs.get(place).copied().flatten().unwrap_or(f32::NEG_INFINITY);
            TokenLogprob { token: token.into_bytes(), logprob, top }
        });
        tokens.collect()
    }
}

/// The one block of an answer.
#[derive(Default)]
struct Answer {
    started: bool,
    open: bool,
    finish: Option<(FinishReason, Option<String>)>,
    done: bool,
}

impl Answer {
    fn take(&mut self, piece: Completion, events: &mut Vec<Event>) -> Result<(), Failure> {
        if let Some(error) = piece.error.filter(|error| !error.is_null()) {
            return Err(from_event(&error));
        }
        if !std::mem::replace(&mut self.started, true) {
            events.push(Event::Start { id: piece.id.filter(|id| !id.is_empty()) });
        }
        // One answer was asked for; others are not ours.
        for choice in piece.choices.into_iter().flatten().filter(|choice| choice.index.unwrap_or(0) == 0) {
            let text = choice.text.unwrap_or_default();
            let logprobs = choice.logprobs.map(Logprobs::tokens).unwrap_or_default();
            if !text.is_empty() || !logprobs.is_empty() {
                if !std::mem::replace(&mut self.open, true) {
                    events.push(Event::BlockStart { index: 0, block: BlockHead::Text });
                }
                events.push(Event::Delta { index: 0, delta: Delta::Text { text, logprobs } });
            }
            if let Some(word) = choice.finish_reason {
                self.finish = Some(finish(word, choice.stop_reason));
            }
        }
        if let Some(usage) = piece.usage {
            events.push(Event::Usage(usage.buckets()));
        }
        Ok(())
    }

    fn end(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let Some((reason, stop_sequence)) = self.finish.take() else { return Err(cut()) };
        self.done = true;
        if self.open {
            events.push(Event::BlockStop { index: 0 });
        }
        events.push(Event::Finish { reason, stop_sequence });
        Ok(())
    }
}

struct Stream {
    parser: sse::Parser,
    answer: Answer,
}

impl ReplyDecoder for Stream {
    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.parser.push(piece);
        while let Some(event) = self.parser.next().map_err(nonsense)? {
            let data = event.data.trim_ascii();
            if self.answer.done || data.is_empty() {
                continue;
            }
            if data == b"[DONE]" {
                self.answer.end(events)?;
                continue;
            }
            self.answer.take(serde_json::from_slice(data).map_err(nonsense)?, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        // Some servers close the connection in place of the last word.
        if self.answer.done { Ok(()) } else { self.answer.end(events) }
    }
}

struct Whole {
    body: Body,
    answer: Answer,
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
        self.answer.take(serde_json::from_slice(&body).map_err(nonsense)?, events)?;
        self.answer.end(events)
    }
}
