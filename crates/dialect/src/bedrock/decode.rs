//! A Bedrock server's bytes → [`Event`]s.
//!
//! Which decoder reads which reply. Same-dialect replies are not decoded but scanned, in
//! `home`; what the decoded ones mean is in `answer`.

use bytes::{Bytes, BytesMut};
use message::{Call, Dialect, ErrorKind, Event, Failure, FinishReason, Operation, Usage};
use serde::Deserialize;

use super::answer::Answer;
use super::home::{HomeStream, HomeWhole};
use super::names::renamed;
use super::{error, home};
use crate::ReplyDecoder;
use crate::framing::eventstream::{Decoder, Message};

/// Most bytes of a whole (not streamed) reply: as for the other dialects.
pub(super) const REPLY_BYTES_MAX: usize = 64 << 20;

/// A decoder for one successful reply to `call`.
pub(super) fn decoder(call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
    let form = match call.dialect {
        Dialect::BedrockInvoke => home::Form::Invoke,
        _ => home::Form::Converse,
    };
    // A call that was translated has been decoded, or it could not have been sent.
    let answer = || Answer::new(call.chat().map(renamed).unwrap_or_default());
    match (home, call.head.stream) {
        (true, true) => Box::new(HomeStream::new(form)),
        (true, false) => Box::new(HomeWhole::default()),
        (false, true) => Box::new(Stream { frames: Decoder::new(), answer: answer() }),
        (false, false) => {
            Box::new(Whole { body: BytesMut::new(), operation: call.operation, answer: answer() })
        }
    }
}

/// The failure of a reply that breaks the rules of its dialect.
pub(super) fn nonsense(what: impl std::fmt::Display) -> Failure {
    Failure::new(ErrorKind::Upstream, format!("Bedrock's reply is not what its API says: {what}"))
}

/// The failure of a reply that ended too early.
pub(super) fn cut() -> Failure {
    Failure::new(ErrorKind::Upstream, "Bedrock's reply ended before it was whole; send the request again")
}

pub(super) fn parse<'de, T: Deserialize<'de>>(data: &'de [u8]) -> Result<T, Failure> {
    serde_json::from_slice(data).map_err(|error| nonsense("a part of it cannot be read").with_cause(error))
}

/// The failure that a message of a stream is, if it is one.
pub(super) fn fault(message: &Message) -> Option<Failure> {
    match message.message_type() {
        Some("exception") => {
            Some(error::in_stream(message.exception_type().unwrap_or_default(), &message.payload))
        }
        Some("error") => {
            let text = message.header(":error-message").unwrap_or_default();
            let told = serde_json::json!({ "message": text }).to_string();
            Some(error::in_stream(message.header(":error-code").unwrap_or_default(), told.as_bytes()))
        }
        _ => None,
    }
}

/// Decodes ConverseStream.
struct Stream {
    frames: Decoder,
    answer: Answer,
}

impl ReplyDecoder for Stream {
    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.frames.push(piece);
        while let Some(message) = self.frames.next().map_err(nonsense)? {
            if let Some(failure) = fault(&message) {
                return Err(failure);
            }
            if let Some(name) = message.event_type() {
                self.answer.read(name, &message.payload, events)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        if !self.answer.is_over() {
            return Err(cut());
        }
        self.answer.finish(events);
        Ok(())
    }
}

/// Decodes Converse, or a token count.
struct Whole {
    body: BytesMut,
    operation: Operation,
    answer: Answer,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Count {
    input_tokens: u64,
}

impl ReplyDecoder for Whole {
    fn feed(&mut self, piece: Bytes, _: &mut Vec<Event>) -> Result<(), Failure> {
        if self.body.len() + piece.len() > REPLY_BYTES_MAX {
            return Err(nonsense(format_args!("it is larger than {REPLY_BYTES_MAX} bytes")));
        }
        self.body.extend_from_slice(&piece);
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        if self.operation == Operation::CountTokens {
            let Count { input_tokens } = parse(&self.body)?;
            let usage = Event::Usage(Usage { input_tokens, ..Usage::default() });
            let end = Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None };
            events.extend([Event::Start { id: None }, usage, end]);
            return Ok(());
        }
        self.answer.whole(&self.body, events)
    }
}
