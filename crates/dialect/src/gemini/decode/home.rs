//! Same dialect on both sides: bytes go through as they came, and a light scan reads the
//! tokens counted and why the answer ended.
//!
//! A stream is cut only where a chunk ends, be it an event or an item of an array (a partial
//! chunk is held back, as slices), so that whoever has to end a cut stream can write after
//! any. A server's own error is no frame but a failure, so that layers can see it.

use std::mem;

use bytes::Bytes;
use memchr::memchr_iter;
use message::{Event, Failure, Frame, Operation, Seen, Usage};
use serde::Deserialize;
use serde_json::Value;

use super::{Body, cut, in_stream, nonsense, wire};
use crate::ReplyDecoder;
use crate::framing::sse::{EVENT_BYTES_MAX, Parser};

/// Forwards a stream of server-sent events.
pub(super) fn events() -> impl ReplyDecoder {
    Stream::new(Events::default())
}

/// Forwards a stream that is one growing array.
pub(super) fn array() -> impl ReplyDecoder {
    Stream::new(Array::default())
}

/// Finds where chunks end, across pieces, and what is in one.
trait Chunks: Send {
    /// The bytes of `piece` up to and with the next end; `None`: it is not in there.
    fn next(&mut self, piece: &[u8]) -> Option<usize>;

    /// The JSON of one whole chunk; `None`: it has none (a comment, a bracket).
    fn json(chunk: &[u8]) -> Result<Option<Bytes>, Failure>;
}

/// Forwards a stream.
struct Stream<C> {
    chunks: C,
    /// The beginning of a chunk whose end has not come.
    held: Vec<Bytes>,
    held_bytes: usize,
    is_whole: bool,
}

impl<C: Chunks> Stream<C> {
    const fn new(chunks: C) -> Self {
        Self { chunks, held: Vec::new(), held_bytes: 0, is_whole: false }
    }

    fn hold(&mut self, tail: Bytes) -> Result<(), Failure> {
        self.held_bytes += tail.len();
        if self.held_bytes > EVENT_BYTES_MAX {
            return Err(nonsense(format!("a chunk larger than {EVENT_BYTES_MAX} bytes")));
        }
        if !tail.is_empty() {
            self.held.push(tail);
        }
        Ok(())
    }

    /// Looks at one whole chunk.
    fn inspect(&mut self, chunk: &[u8], seen: &mut Seen) -> Result<(), Failure> {
        let Some(json) = C::json(chunk)? else { return Ok(()) };
        // What is not a response (a vendor's own event) is the client's to judge.
        let Ok(light) = serde_json::from_slice::<Light>(&json) else { return Ok(()) };
        if let Some(error) = light.error.filter(|error| !error.is_null()) {
            return Err(in_stream(&error));
        }
        let found = light.response.seen();
        self.is_whole |= found.finish.is_some();
        seen.usage = found.usage.or(seen.usage);
        seen.finish = found.finish.or(seen.finish.take());
        Ok(())
    }
}

impl<C: Chunks> ReplyDecoder for Stream<C> {
    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        let mut seen = Seen::default();
        let mut start = 0;
        while let Some(length) = self.chunks.next(&piece[start..]) {
            let end = start + length;
            let inspected = if self.held.is_empty() {
                self.inspect(&piece[start..end], &mut seen)
            } else {
                let mut chunk = self.held.concat();
                chunk.extend_from_slice(&piece[start..end]);
                self.inspect(&chunk, &mut seen)
            };
            if let Err(failure) = inspected {
                // All before it goes out; the error itself is written by whoever encodes.
                if start > 0 {
                    events.push(frame(piece.slice(..start), seen));
                }
                self.held.clear();
                return Err(failure);
            }
            events.extend(self.held.drain(..).map(|bytes| frame(bytes, Seen::default())));
            self.held_bytes = 0;
            start = end;
        }
        if start > 0 {
            events.push(frame(piece.slice(..start), seen));
        }
        self.hold(piece.slice(start..))
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let tail = Bytes::from(mem::take(&mut self.held).concat());
        let mut seen = Seen::default();
        // The last event may lack its blank line.
        self.inspect(&tail, &mut seen)?;
        if !self.is_whole {
            return Err(cut());
        }
        if !tail.is_empty() {
            events.push(frame(tail, seen));
        }
        Ok(())
    }
}

/// Server-sent events end with a blank line.
#[derive(Default)]
struct Events {
    /// What the line being read began with, in the pieces before.
    line: Line,
}

/// As much of a line as tells whether it is blank.
#[derive(Clone, Copy, Default, PartialEq)]
enum Line {
    #[default]
    Empty,
    /// A carriage return and nothing else: blank, if it ends here.
    Return,
    Text,
}

impl Line {
    fn and(self, more: &[u8]) -> Self {
        match (self, more) {
            (_, b"") => self,
            (Self::Empty, b"\r") => Self::Return,
            _ => Self::Text,
        }
    }
}

impl Chunks for Events {
    fn next(&mut self, piece: &[u8]) -> Option<usize> {
        let mut start = 0;
        for newline in memchr_iter(b'\n', piece) {
            let line = mem::take(&mut self.line).and(&piece[start..newline]);
            start = newline + 1;
            if line != Line::Text {
                return Some(start);
            }
        }
        self.line = self.line.and(&piece[start..]);
        None
    }

    fn json(chunk: &[u8]) -> Result<Option<Bytes>, Failure> {
        let mut parser = Parser::new();
        parser.push(Bytes::from([chunk, b"\n\n"].concat()));
        Ok(parser.next().map_err(nonsense)?.map(|event| event.data))
    }
}

/// Items of an array end where their brace closes; the array where its bracket does.
#[derive(Default)]
struct Array {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Chunks for Array {
    fn next(&mut self, piece: &[u8]) -> Option<usize> {
        for (at, byte) in piece.iter().enumerate() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => self.depth = self.depth.saturating_add(1),
                b'}' | b']' if !self.in_string => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth <= 1 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn json(chunk: &[u8]) -> Result<Option<Bytes>, Failure> {
        let start = chunk.iter().position(|byte| *byte == b'{');
        Ok(start.map(|start| Bytes::copy_from_slice(&chunk[start..])))
    }
}

fn frame(bytes: Bytes, seen: Seen) -> Event {
    let seen = (seen != Seen::default()).then(|| Box::new(seen));
    Event::Frame(Frame { bytes, seen })
}

/// What the layers count in a chunk or a whole response.
#[derive(Deserialize)]
struct Light {
    #[serde(flatten)]
    response: LightResponse,
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LightResponse {
    candidates: Option<Vec<LightCandidate>>,
    prompt_feedback: Option<wire::PromptFeedback>,
    usage_metadata: Option<wire::Usage>,
    total_tokens: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LightCandidate {
    index: Option<u64>,
    finish_reason: Option<String>,
}

impl LightResponse {
    fn seen(self) -> Seen {
        let candidates = self.candidates.map(|all| {
            let one = |LightCandidate { index, finish_reason }| wire::Candidate {
                index,
                finish_reason,
                ..wire::Candidate::default()
            };
            all.into_iter().map(one).collect()
        });
        let response =
            wire::Response { candidates, prompt_feedback: self.prompt_feedback, ..wire::Response::default() };
        let count = |input_tokens| Usage { input_tokens, ..Usage::default() };
        let usage = self.usage_metadata.as_ref().map(wire::Usage::buckets);
        Seen { usage: usage.or(self.total_tokens.map(count)), finish: response.finish() }
    }
}

/// Forwards a whole answer, once it is known to be one: until then the status can still say
/// that it is not.
pub(super) struct Whole {
    operation: Operation,
    body: Body,
}

impl Whole {
    pub(super) fn new(operation: Operation) -> Self {
        Self { operation, body: Body::default() }
    }
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
        if let Some(error) = light.error.filter(|error| !error.is_null()) {
            return Err(in_stream(&error));
        }
        let seen = light.response.seen();
        if self.operation == Operation::Chat && seen.finish.is_none() {
            return Err(cut());
        }
        events.push(frame(bytes, seen));
        Ok(())
    }
}
