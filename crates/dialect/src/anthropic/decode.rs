//! A server's reply → [`Event`]s, when the client speaks another dialect.
//!
//! Strict about the grammar: a delta for a block that never began, or of a kind its block
//! does not take, is an error and not a guess, since a guess would put text into a tool
//! call. Kinds that this version does not know pass as opaque. Same-dialect replies are
//! not decoded but scanned, in `home`.
//! Source: `raw_message_stream_event.py` of `anthropic` 2.12.0, read 2026-11-22.

use bytes::{Bytes, BytesMut};
use message::{BlockHead, Call, Delta, Dialect, ErrorKind, Event, Failure, FinishReason, Operation, Usage};
use serde_json::{Value, json};

use super::citation;
use super::error;
use super::home::{HomeStream, HomeWhole};
use super::wire::{WireDelta, WireEvent, WireMessage, finish_reason};
use crate::ReplyDecoder;
use crate::framing::sse::{EventTooLarge, Parser};

/// Most bytes of a whole (not streamed) reply. The longest answers are about 1 MB of
/// text; results of server tools (fetched pages) come on top.
pub(super) const REPLY_BYTES_MAX: usize = 64 << 20;

/// A decoder for one successful reply to `call`.
pub fn decoder(call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
    match (home, call.head.stream) {
        (true, true) => Box::new(HomeStream::new(&call.head.model)),
        (true, false) => Box::new(HomeWhole::new(&call.head.model)),
        (false, true) => Box::new(StreamDecoder::default()),
        (false, false) => Box::new(WholeDecoder { operation: call.operation, body: BytesMut::new() }),
    }
}

/// The failure of a reply that breaks the rules of its dialect.
pub(super) fn nonsense(what: impl std::fmt::Display) -> Failure {
    Failure::new(ErrorKind::Upstream, format!("the upstream's reply is not what its API says: {what}"))
}

/// The failure of a reply that ended too early.
pub(super) fn cut() -> Failure {
    Failure::new(
        ErrorKind::Upstream,
        "the upstream's reply ended before it was whole; send the request again",
    )
}

impl From<EventTooLarge> for Failure {
    fn from(error: EventTooLarge) -> Self {
        nonsense(error)
    }
}

/// Decodes a stream.
#[derive(Default)]
struct StreamDecoder {
    parser: Parser,
    answer: Answer,
}

impl ReplyDecoder for StreamDecoder {
    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.parser.push(piece);
        while let Some(event) = self.parser.next()? {
            if event.is("error") {
                return Err(error::in_stream(&event.data));
            }
            self.answer.read(&event.data, events)?;
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Event>) -> Result<(), Failure> {
        if self.answer.finished { Ok(()) } else { Err(cut()) }
    }
}

/// Decodes a whole body, or a token count.
struct WholeDecoder {
    operation: Operation,
    body: BytesMut,
}

impl ReplyDecoder for WholeDecoder {
    fn feed(&mut self, piece: Bytes, _: &mut Vec<Event>) -> Result<(), Failure> {
        if self.body.len() + piece.len() > REPLY_BYTES_MAX {
            return Err(nonsense(format_args!("it is larger than {REPLY_BYTES_MAX} bytes")));
        }
        self.body.extend_from_slice(&piece);
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let message: WireMessage = parse(&self.body)?;
        let mut answer = Answer::default();
        match (self.operation, message.input_tokens) {
            (Operation::Chat, _) => answer.whole(message, events),
            // The outbound side sends no other operation.
            (Operation::Embed | Operation::Rerank, _) => Err(nonsense("an answer to what was not asked")),
            (Operation::CountTokens, None) => Err(nonsense("a token count without input_tokens")),
            (Operation::CountTokens, Some(input_tokens)) => {
                answer.start(None, events);
                events.push(Event::Usage(Usage { input_tokens, ..Usage::default() }));
                answer.end(FinishReason::EndTurn, None, events);
                Ok(())
            }
        }
    }
}

fn parse<'de, T: serde::Deserialize<'de>>(data: &'de [u8]) -> Result<T, Failure> {
    serde_json::from_slice(data).map_err(|error| nonsense("a part of it cannot be read").with_cause(error))
}

/// The answer so far.
#[derive(Default)]
struct Answer {
    started: bool,
    finished: bool,
    usage: Usage,
    /// Blocks begun and not ended.
    open: Vec<Open>,
    next_index: u32,
}

/// A block that is growing. The server's index is mapped to the hub's, which has no gaps.
struct Open {
    wire_index: u64,
    index: u32,
    form: Form,
}

/// Which deltas a block takes.
enum Form {
    Text,
    Thinking,
    /// Tool input that stood in the block's beginning, until a delta replaces it.
    ToolUse(Option<String>),
    Opaque,
}

impl Answer {
    fn read(&mut self, data: &[u8], events: &mut Vec<Event>) -> Result<(), Failure> {
        let event: WireEvent = parse(data)?;
        let index = || event.index.ok_or_else(|| nonsense(format_args!("{} without an index", event.kind)));
        match event.kind.as_str() {
            "message_start" => {
                let message = event.message.unwrap_or_default();
                self.start(message.id, events);
                self.count(message.usage.as_ref(), events);
            }
            "content_block_start" => {
                let index = index()?;
                self.begin(index, event.content_block.unwrap_or_default(), events)?;
            }
            "content_block_delta" => {
                let index = index()?;
                self.delta(index, event.delta.unwrap_or_default(), data, events)?;
            }
            "content_block_stop" => self.stop(index()?, events),
            "message_delta" => {
                self.count(event.usage.as_ref(), events);
                let delta = event.delta.unwrap_or_default();
                if let Some(reason) = delta.stop_reason {
                    self.end(finish_reason(&reason), delta.stop_sequence, events);
                }
            }
            // A server that never gave a reason, but says that it is done.
            "message_stop" => self.end(FinishReason::EndTurn, None, events),
            "error" => return Err(error::in_stream(data)),
            // `ping`, and what is yet to come.
            _ => {}
        }
        Ok(())
    }

    fn whole(&mut self, message: WireMessage, events: &mut Vec<Event>) -> Result<(), Failure> {
        let Some(reason) = message.stop_reason else {
            return Err(nonsense("a message without a stop_reason"));
        };
        self.start(message.id, events);
        self.count(message.usage.as_ref(), events);
        for (index, block) in (0..).zip(message.content) {
            self.begin(index, block, events)?;
            self.stop(index, events);
        }
        self.end(finish_reason(&reason), message.stop_sequence, events);
        Ok(())
    }

    fn start(&mut self, id: Option<String>, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.started, true) {
            events.push(Event::Start { id });
        }
    }

    fn count(&mut self, usage: Option<&super::wire::WireUsage>, events: &mut Vec<Event>) {
        if let Some(usage) = usage {
            usage.update(&mut self.usage);
            events.push(Event::Usage(self.usage));
        }
    }

    /// A block begins; what already stands in it follows as deltas.
    fn begin(&mut self, wire_index: u64, mut value: Value, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.start(None, events);
        if self.open.iter().any(|open| open.wire_index == wire_index) {
            return Err(nonsense(format_args!("block {wire_index} began twice")));
        }
        let mut deltas = Vec::new();
        let (form, block) = match value.get("type").and_then(Value::as_str) {
            Some("text") => {
                deltas.extend(text_of(&mut value, "text").map(Delta::text));
                deltas.extend(citations_of(&mut value));
                (Form::Text, BlockHead::Text)
            }
            Some("thinking") => {
                deltas.extend(text_of(&mut value, "thinking").map(Delta::Thinking));
                deltas.extend(text_of(&mut value, "signature").map(Delta::Signature));
                (Form::Thinking, BlockHead::Thinking)
            }
            Some("redacted_thinking") => {
                let data = text_of(&mut value, "data").unwrap_or_default();
                (Form::Opaque, BlockHead::RedactedThinking(data))
            }
            Some("tool_use") => {
                let (Some(id), Some(name)) = (text_of(&mut value, "id"), text_of(&mut value, "name")) else {
                    return Err(nonsense("a tool_use block without an id or a name"));
                };
                let input = value.get("input").filter(|input| input.is_object()).map(Value::to_string);
                (
                    Form::ToolUse(Some(input.unwrap_or_else(|| "{}".to_owned()))),
                    BlockHead::ToolUse { id, name },
                )
            }
            Some(_) => (Form::Opaque, BlockHead::Opaque { dialect: Dialect::Anthropic, value }),
            None => return Err(nonsense("a content block without a type")),
        };
        let index = self.next_index;
        self.next_index = index.checked_add(1).ok_or_else(|| nonsense("too many blocks"))?;
        events.push(Event::BlockStart { index, block });
        events.extend(deltas.into_iter().map(|delta| Event::Delta { index, delta }));
        self.open.push(Open { wire_index, index, form });
        Ok(())
    }

    fn delta(
        &mut self,
        wire_index: u64,
        delta: WireDelta,
        data: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let Some(open) = self.open.iter_mut().find(|open| open.wire_index == wire_index) else {
            return Err(nonsense(format_args!("a delta for block {wire_index}, which is not open")));
        };
        let read = match (&mut open.form, delta.kind.as_str()) {
            (Form::Text, "text_delta") => delta.text.map(Delta::text),
            (Form::Text, CITATIONS) => {
                let mut event: Value = parse(data)?;
                event.get_mut("delta").map(|delta| cited(delta.take()))
            }
            (Form::Thinking, "thinking_delta") => delta.thinking.map(Delta::Thinking),
            (Form::Thinking, "signature_delta") => delta.signature.map(Delta::Signature),
            (Form::ToolUse(at_first), "input_json_delta") => {
                let piece = delta.partial_json.filter(|piece| !piece.is_empty());
                if piece.is_some() {
                    *at_first = None;
                }
                piece.map(Delta::ToolInput)
            }
            (
                Form::Text | Form::Thinking | Form::ToolUse(_),
                "text_delta" | "thinking_delta" | "signature_delta",
            )
            | (Form::Text | Form::Thinking, "input_json_delta") => {
                return Err(nonsense(format_args!("{} inside a block of another kind", delta.kind)));
            }
            // Deltas of the vendor's own blocks, and what is yet to come.
            _ => parse::<Value>(data)?.get_mut("delta").map(|delta| Delta::Opaque(delta.take())),
        };
        let index = open.index;
        events.extend(read.map(|delta| Event::Delta { index, delta }));
        Ok(())
    }

    fn stop(&mut self, wire_index: u64, events: &mut Vec<Event>) {
        if let Some(place) = self.open.iter().position(|open| open.wire_index == wire_index) {
            close(self.open.remove(place), events);
        }
    }

    fn end(&mut self, reason: FinishReason, stop_sequence: Option<String>, events: &mut Vec<Event>) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.start(None, events);
        for open in self.open.drain(..) {
            close(open, events);
        }
        events.push(Event::Finish { reason, stop_sequence });
    }
}

fn close(open: Open, events: &mut Vec<Event>) {
    let index = open.index;
    // A call without arguments streams no input at all; its input is still `{}`.
    if let Form::ToolUse(Some(input)) = open.form {
        events.push(Event::Delta { index, delta: Delta::ToolInput(input) });
    }
    events.push(Event::BlockStop { index });
}

/// Moves a non-empty string out of a block.
fn text_of(block: &mut Value, key: &str) -> Option<String> {
    match block.get_mut(key).map(Value::take) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// Citations of a whole block, as the deltas a stream would carry.
fn citations_of(block: &mut Value) -> Vec<Delta> {
    let Some(Value::Array(citations)) = block.get_mut("citations").map(Value::take) else {
        return Vec::new();
    };
    citations.into_iter().map(|citation| cited(json!({"type": CITATIONS, "citation": citation}))).collect()
}

const CITATIONS: &str = "citations_delta";

/// A citation as a stream carries it; one of a kind that is not known stays what it is.
fn cited(mut delta: Value) -> Delta {
    let citation = delta.get_mut("citation").map(Value::take).unwrap_or_default();
    match citation::read(citation) {
        Ok(citation) => Delta::Citation(Box::new(citation)),
        Err(citation) => Delta::Opaque(json!({"type": CITATIONS, "citation": citation})),
    }
}
