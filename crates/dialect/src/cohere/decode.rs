//! A server's bytes → [`Event`]s, or forwarded as they came while a light scan reads what
//! the layers count.

use std::collections::HashMap;
use std::mem;

use bytes::Bytes;
use memchr::memchr_iter;
use message::{BlockHead, Call, Delta, ErrorKind, Event, Failure, Frame, Operation, Seen, TokenLogprob};
use serde_json::Value;

use super::error::{cut, nonsense};
use super::{embed, rerank, wire};
use crate::ReplyDecoder;
use crate::framing::sse::{EVENT_BYTES_MAX, Parser};

/// Most bytes of a whole (not streamed) answer: a thousand vectors are some MiB.
pub const WHOLE_BYTES_MAX: usize = 64 << 20;

/// Most blocks of one answer. Far beyond what any model means.
const BLOCKS_MAX: u32 = 4_096;

/// The decoder for one successful reply.
pub(super) fn decoder(call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
    match (call.head.stream, home) {
        (true, true) => Box::new(Home::default()),
        (true, false) => Box::new(Stream { parser: Parser::new(), answer: Answer::default() }),
        (false, home) => Box::new(Whole { operation: call.operation, home, pieces: Vec::new(), bytes: 0 }),
    }
}

/// Decodes a stream of events.
struct Stream {
    parser: Parser,
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

    fn finish(&mut self, _: &mut Vec<Event>) -> Result<(), Failure> {
        if self.answer.ended { Ok(()) } else { Err(cut()) }
    }
}

/// The answer so far.
#[derive(Default)]
struct Answer {
    started: bool,
    /// Blocks begun and not ended, by the server's kind and place.
    open: HashMap<(Kind, u32), u32>,
    blocks: u32,
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Content,
    Plan,
    Call,
}

impl Answer {
    fn take(&mut self, event: wire::Answer, events: &mut Vec<Event>) -> Result<(), Failure> {
        if self.ended {
            return Ok(());
        }
        self.start(event.id, events);
        let index = event.index.unwrap_or(0);
        let delta = event.delta.unwrap_or_default();
        let message = delta.message.as_ref();
        let content = message.and_then(|message| message.get("content"));
        match event.kind.as_deref() {
            Some("content-start") => {
                let block = match content.and_then(|content| content.get("type")).and_then(Value::as_str) {
                    Some("thinking") => BlockHead::Thinking,
                    _ => BlockHead::Text,
                };
                self.plan_ends(events);
                self.begin((Kind::Content, index), block, events)?;
                self.content(index, content, Vec::new(), events)?;
            }
            Some("content-delta") => {
                let tokens = event.logprobs.as_ref().map(logprobs).unwrap_or_default();
                self.content(index, content, tokens, events)?;
            }
            Some("content-end") => self.close((Kind::Content, index), events),
            Some("tool-plan-delta") => {
                let plan = message.and_then(|message| message.get("tool_plan")).and_then(Value::as_str);
                if let Some(plan) = plan.filter(|plan| !plan.is_empty()) {
                    let index = match self.open.get(&(Kind::Plan, 0)) {
                        Some(index) => *index,
                        None => self.begin((Kind::Plan, 0), BlockHead::Thinking, events)?,
                    };
                    events.push(Event::Delta { index, delta: Delta::Thinking(plan.to_owned()) });
                }
            }
            Some("tool-call-start") => {
                self.plan_ends(events);
                self.call(index, message, events)?;
            }
            Some("tool-call-delta") => self.arguments(index, message, events)?,
            Some("tool-call-end") => self.close((Kind::Call, index), events),
            Some("message-end") => {
                let reason = delta.finish_reason.unwrap_or_default();
                self.end(&reason, delta.usage, delta.error, events)?;
            }
            // The start, citations, and what is yet to be invented.
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, id: Option<String>, events: &mut Vec<Event>) {
        if !mem::replace(&mut self.started, true) {
            events.push(Event::Start { id: id.filter(|id| !id.is_empty()) });
        }
    }

    fn begin(&mut self, key: (Kind, u32), block: BlockHead, events: &mut Vec<Event>) -> Result<u32, Failure> {
        if self.blocks == BLOCKS_MAX {
            return Err(nonsense(format!("more than {BLOCKS_MAX} blocks in one answer")));
        }
        self.close(key, events);
        let index = self.blocks;
        self.blocks += 1;
        self.open.insert(key, index);
        events.push(Event::BlockStart { index, block });
        Ok(index)
    }

    fn close(&mut self, key: (Kind, u32), events: &mut Vec<Event>) {
        if let Some(index) = self.open.remove(&key) {
            events.push(Event::BlockStop { index });
        }
    }

    fn plan_ends(&mut self, events: &mut Vec<Event>) {
        self.close((Kind::Plan, 0), events);
    }

    fn content(
        &mut self,
        index: u32,
        content: Option<&Value>,
        logprobs: Vec<TokenLogprob>,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let field = |name| content.and_then(|content| content.get(name)).and_then(Value::as_str);
        let open = self.open.get(&(Kind::Content, index)).copied();
        let open = || open.ok_or_else(|| nonsense("a piece of a block that never began"));
        if let Some(text) = field("text").filter(|text| !text.is_empty() || !logprobs.is_empty()) {
            events.push(Event::Delta {
                index: open()?,
                delta: Delta::Text { text: text.to_owned(), logprobs },
            });
        }
        if let Some(thinking) = field("thinking").filter(|text| !text.is_empty()) {
            events.push(Event::Delta { index: open()?, delta: Delta::Thinking(thinking.to_owned()) });
        }
        Ok(())
    }

    fn call(&mut self, index: u32, message: Option<&Value>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let call = message.and_then(|message| message.get("tool_calls"));
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let id = text(call.and_then(|call| call.get("id")));
        let name = text(call.and_then(|call| call.get("function")?.get("name")));
        let (Some(id), Some(name)) = (id, name) else {
            return Err(nonsense("a tool call without id or name"));
        };
        self.begin((Kind::Call, index), BlockHead::ToolUse { id, name }, events)?;
        self.arguments(index, message, events)
    }

    fn arguments(
        &mut self,
        index: u32,
        message: Option<&Value>,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let call = message.and_then(|message| message.get("tool_calls"));
        let piece = call.and_then(|call| call.get("function")?.get("arguments")?.as_str());
        let Some(piece) = piece.filter(|piece| !piece.is_empty()) else { return Ok(()) };
        let open = self.open.get(&(Kind::Call, index)).copied();
        let index = open.ok_or_else(|| nonsense("a piece of a tool call that never began"))?;
        events.push(Event::Delta { index, delta: Delta::ToolInput(piece.to_owned()) });
        Ok(())
    }

    fn end(
        &mut self,
        word: &str,
        usage: Option<wire::Usage>,
        error: Option<String>,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let Some(reason) = wire::finish_reason(word) else { return Err(failed(word, error)) };
        let mut open: Vec<u32> = self.open.drain().map(|(_, index)| index).collect();
        open.sort_unstable();
        events.extend(open.into_iter().map(|index| Event::BlockStop { index }));
        if let Some(usage) = usage {
            events.push(Event::Usage(usage.buckets()));
        }
        self.ended = true;
        events.push(Event::Finish { reason, stop_sequence: None });
        Ok(())
    }

    /// A whole chat.
    fn whole(&mut self, whole: wire::Answer, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.start(whole.id, events);
        let message = whole.message.ok_or_else(|| nonsense("no message"))?;
        if let Some(plan) = message.get("tool_plan").and_then(Value::as_str).filter(|plan| !plan.is_empty()) {
            let index = self.begin((Kind::Plan, 0), BlockHead::Thinking, events)?;
            events.push(Event::Delta { index, delta: Delta::Thinking(plan.to_owned()) });
            self.plan_ends(events);
        }
        let list = |name: &str| message.get(name).and_then(Value::as_array).into_iter().flatten();
        let mut tokens = whole.logprobs.as_ref().map(logprobs).unwrap_or_default();
        for (place, content) in (0..).zip(list("content")) {
            let is_thinking = content.get("type").and_then(Value::as_str) == Some("thinking");
            let block = if is_thinking { BlockHead::Thinking } else { BlockHead::Text };
            self.begin((Kind::Content, place), block, events)?;
            let tokens = if is_thinking { Vec::new() } else { mem::take(&mut tokens) };
            self.content(place, Some(content), tokens, events)?;
            self.close((Kind::Content, place), events);
        }
        for (place, call) in (0..).zip(list("tool_calls")) {
            let call = serde_json::json!({ "tool_calls": call });
            self.call(place, Some(&call), events)?;
            self.close((Kind::Call, place), events);
        }
        self.end(whole.finish_reason.as_deref().unwrap_or("COMPLETE"), whole.usage, None, events)
    }
}

/// The answer ended in an error.
fn failed(word: &str, error: Option<String>) -> Failure {
    let kind = if word == "TIMEOUT" { ErrorKind::Timeout } else { ErrorKind::Upstream };
    let text = error.filter(|text| !text.is_empty());
    Failure::new(kind, text.unwrap_or_else(|| format!("the model's server broke off its answer ({word})")))
}

/// `{"text", "logprobs"}`, one or a list of them.
fn logprobs(value: &Value) -> Vec<TokenLogprob> {
    let items = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    let one = |item: &Value| {
        let text = item.get("text").and_then(Value::as_str).unwrap_or_default();
        let logprob = item.get("logprobs").and_then(|all| all.get(0)).and_then(Value::as_f64)?;
        Some(TokenLogprob { token: text.as_bytes().to_vec(), logprob: logprob as f32, top: Vec::new() })
    };
    items.iter().filter_map(one).collect()
}

/// Decodes or forwards a whole answer, once it is known to be one.
struct Whole {
    operation: Operation,
    home: bool,
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl ReplyDecoder for Whole {
    fn feed(&mut self, piece: Bytes, _: &mut Vec<Event>) -> Result<(), Failure> {
        self.bytes += piece.len();
        if self.bytes > WHOLE_BYTES_MAX {
            return Err(nonsense(format!("an answer larger than {WHOLE_BYTES_MAX} bytes")));
        }
        self.pieces.push(piece);
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let body = match mem::take(&mut self.pieces).as_slice() {
            [] => return Err(cut()),
            [one] => one.clone(),
            many => Bytes::from(many.concat()),
        };
        if self.home {
            let seen = self.seen(&body)?;
            events.push(Event::Frame(Frame { bytes: body, seen: Some(Box::new(seen)) }));
            return Ok(());
        }
        match self.operation {
            Operation::Chat => {
                Answer::default().whole(serde_json::from_slice(&body).map_err(nonsense)?, events)
            }
            Operation::Embed => embed::vectors(&serde_json::from_slice(&body).map_err(nonsense)?, events),
            Operation::Rerank => rerank::ranking(&serde_json::from_slice(&body).map_err(nonsense)?, events),
            Operation::CountTokens => Err(nonsense("an answer to what was not asked")),
        }
    }
}

impl Whole {
    fn seen(&self, body: &[u8]) -> Result<Seen, Failure> {
        if self.operation != Operation::Chat {
            let body: Value = serde_json::from_slice(body).map_err(nonsense)?;
            return Ok(Seen {
                usage: Some(embed::usage(&body)),
                finish: Some(message::FinishReason::EndTurn),
            });
        }
        let answer: wire::Answer = serde_json::from_slice(body).map_err(nonsense)?;
        let word = answer.finish_reason.ok_or_else(cut)?;
        let usage = answer.usage.as_ref().map(wire::Usage::buckets);
        Ok(Seen { usage, finish: wire::finish_reason(&word) })
    }
}

/// Forwards a stream, cut only between events.
#[derive(Default)]
struct Home {
    /// The beginning of an event whose end has not come.
    held: Vec<u8>,
    is_whole: bool,
}

impl ReplyDecoder for Home {
    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        // Mostly nothing is held, and the piece goes on as it is.
        let bytes = if self.held.is_empty() {
            piece
        } else {
            let mut bytes = mem::take(&mut self.held);
            bytes.extend_from_slice(&piece);
            Bytes::from(bytes)
        };
        let mut end = 0;
        let mut line = 0;
        for newline in memchr_iter(b'\n', &bytes) {
            if matches!(&bytes[line..newline], b"" | b"\r") {
                end = newline + 1;
            }
            line = newline + 1;
        }
        if bytes.len() - end > EVENT_BYTES_MAX {
            return Err(nonsense(format!("an event larger than {EVENT_BYTES_MAX} bytes")));
        }
        self.held.extend_from_slice(&bytes[end..]);
        if end == 0 {
            return Ok(());
        }
        let (failure, seen) = self.look(&bytes[..end]);
        // An error is written by whoever encodes; what was forwarded with it is lost time only.
        if let Some(failure) = failure {
            return Err(failure);
        }
        events.push(Event::Frame(Frame { bytes: bytes.slice(..end), seen }));
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let tail = Bytes::from(mem::take(&mut self.held));
        let (failure, seen) = self.look(&tail);
        if let Some(failure) = failure {
            return Err(failure);
        }
        if !self.is_whole {
            return Err(cut());
        }
        if !tail.is_empty() {
            events.push(Event::Frame(Frame { bytes: tail, seen }));
        }
        Ok(())
    }
}

impl Home {
    /// Looks for the last event in whole lines.
    fn look(&mut self, bytes: &[u8]) -> (Option<Failure>, Option<Box<Seen>>) {
        for line in bytes.split(|byte| *byte == b'\n') {
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            if memchr::memmem::find(data, b"\"message-end\"").is_none() {
                continue;
            }
            let Ok(event) = serde_json::from_slice::<wire::Answer>(data) else { continue };
            if event.kind.as_deref() != Some("message-end") {
                continue;
            }
            let delta = event.delta.unwrap_or_default();
            let word = delta.finish_reason.unwrap_or_default();
            let Some(reason) = wire::finish_reason(&word) else {
                return (Some(failed(&word, delta.error)), None);
            };
            self.is_whole = true;
            let usage = delta.usage.as_ref().map(wire::Usage::buckets);
            return (None, Some(Box::new(Seen { usage, finish: Some(reason) })));
        }
        (None, None)
    }
}
