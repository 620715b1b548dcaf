//! Replies forwarded as they came, to a client of the server's own dialect, while usage
//! and the reason of the end are read in passing.
//!
//! A stream is cut between messages only, so that an exception of ours may follow any
//! frame; its messages are checked (lengths, checksums) and never written anew.

use std::mem;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use memchr::memmem;
use message::{Event, Failure, Frame, Seen, Usage};
use serde::Deserialize;
use serde_json::Value;

use super::answer::{WireUsage, finish_reason};
use super::decode::{REPLY_BYTES_MAX, cut, fault, nonsense, parse};
use crate::ReplyDecoder;
use crate::framing::eventstream::{Decoder, Message};

/// What a stream is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// ConverseStream's events.
    Converse,
    /// InvokeModel's chunks, of whatever family.
    Invoke,
}

/// Forwards a stream.
pub(super) struct HomeStream {
    frames: Decoder,
    form: Form,
    /// The stream said that it ends: nothing is missing.
    over: bool,
    native: Vec<u8>,
}

impl HomeStream {
    pub(super) fn new(form: Form) -> Self {
        Self { frames: Decoder::new(), form, over: false, native: Vec::new() }
    }

    fn inspect(&mut self, message: &Message) -> Result<Option<Box<Seen>>, Failure> {
        match (self.form, message.event_type()) {
            (Form::Converse, Some("messageStop")) => {
                self.over = true;
                let event: Ending = parse(&message.payload)?;
                Ok(seen(None, event.stop_reason.as_deref()))
            }
            (Form::Converse, Some("metadata")) => {
                let event: Ending = parse(&message.payload)?;
                Ok(seen(event.usage.map(Usage::from), None))
            }
            (Form::Invoke, Some("chunk")) => {
                unwrap(&message.payload, &mut self.native)?;
                // Some families' streams have no last word: the transport tells a cut one.
                self.over = true;
                Ok(metrics(&self.native))
            }
            _ => Ok(None),
        }
    }
}

impl ReplyDecoder for HomeStream {
    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.frames.push(piece);
        while let Some((bytes, message)) = self.frames.next_with_bytes().map_err(nonsense)? {
            // The exception itself is written by whoever encodes.
            if let Some(failure) = fault(&message) {
                return Err(failure);
            }
            let seen = self.inspect(&message)?;
            events.push(Event::Frame(Frame { bytes, seen }));
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Event>) -> Result<(), Failure> {
        if self.over && self.frames.is_between_messages() { Ok(()) } else { Err(cut()) }
    }
}

/// What the last events of a stream, and whole replies, say.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Ending {
    stop_reason: Option<String>,
    usage: Option<WireUsage>,
}

fn seen(usage: Option<Usage>, reason: Option<&str>) -> Option<Box<Seen>> {
    (usage.is_some() || reason.is_some()).then(|| Box::new(Seen { usage, finish: reason.map(finish_reason) }))
}

/// The native event inside a chunk.
pub(super) fn unwrap(payload: &[u8], native: &mut Vec<u8>) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        #[serde(borrow)]
        bytes: std::borrow::Cow<'a, str>,
    }
    let chunk: Chunk<'_> = parse(payload)?;
    native.clear();
    BASE64
        .decode_vec(chunk.bytes.as_bytes(), native)
        .map_err(|error| nonsense("a chunk is not base64").with_cause(error))
}

/// The member that the last native event of every family carries.
const METRICS: &str = "amazon-bedrock-invocationMetrics";

/// What a native event says of the cost; most say nothing and are not parsed.
pub(super) fn metrics(native: &[u8]) -> Option<Box<Seen>> {
    memmem::find(native, METRICS.as_bytes())?;
    let event: Value = serde_json::from_slice(native).ok()?;
    let count = |name: &str| event[METRICS][name].as_u64().unwrap_or_default();
    let usage = Usage {
        input_tokens: count("inputTokenCount"),
        output_tokens: count("outputTokenCount"),
        cache_read_tokens: count("cacheReadInputTokenCount"),
        cache_write_5m_tokens: count("cacheWriteInputTokenCount"),
        ..Usage::default()
    };
    seen(Some(usage), None)
}

/// Forwards a whole reply and reads it when it is complete. The pieces are kept by
/// reference until then, never copied unless there are several.
#[derive(Default)]
pub(super) struct HomeWhole {
    pieces: Vec<Bytes>,
    bytes: usize,
    /// InvokeModel counts in the reply's head.
    counted: Option<Usage>,
}

impl ReplyDecoder for HomeWhole {
    fn head(&mut self, from: &http::HeaderMap, _: &mut http::HeaderMap) {
        self.counted = counted(from);
    }

    fn feed(&mut self, piece: Bytes, events: &mut Vec<Event>) -> Result<(), Failure> {
        self.bytes += piece.len();
        if self.bytes > REPLY_BYTES_MAX {
            return Err(nonsense(format_args!("it is larger than {REPLY_BYTES_MAX} bytes")));
        }
        self.pieces.push(piece.clone());
        events.push(Event::Frame(Frame { bytes: piece, seen: None }));
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let body = match mem::take(&mut self.pieces) {
            mut pieces if pieces.len() == 1 => pieces.remove(0),
            pieces => Bytes::from(pieces.concat()),
        };
        let wanted = ["usage", "stopReason", "inputTokens"];
        let [usage, reason, count] =
            crate::json::members(&body, wanted).map_err(|error| cut().with_cause(error))?;
        let read = |span: Option<std::ops::Range<usize>>| span.and_then(|span| body.get(span));
        // Other families count under other names; the head has said it then.
        let usage =
            read(usage).and_then(|text| serde_json::from_slice::<WireUsage>(text).ok()).map(Usage::from);
        let count = read(count).and_then(|text| serde_json::from_slice(text).ok());
        let count = count.map(|input_tokens| Usage { input_tokens, ..Usage::default() });
        let reason: Option<String> = read(reason).and_then(|text| serde_json::from_slice(text).ok());
        let seen = seen(self.counted.or(usage).or(count), reason.as_deref());
        events.push(Event::Frame(Frame { bytes: Bytes::new(), seen }));
        Ok(())
    }
}

/// The tokens that the head of an InvokeModel reply counts.
pub(super) fn counted(headers: &http::HeaderMap) -> Option<Usage> {
    let count = |name: &str| -> Option<u64> { headers.get(name)?.to_str().ok()?.parse().ok() };
    let input_tokens = count("x-amzn-bedrock-input-token-count")?;
    Some(Usage {
        input_tokens,
        output_tokens: count("x-amzn-bedrock-output-token-count").unwrap_or_default(),
        cache_read_tokens: count("x-amzn-bedrock-cache-read-input-token-count").unwrap_or_default(),
        cache_write_5m_tokens: count("x-amzn-bedrock-cache-write-input-token-count").unwrap_or_default(),
        ..Usage::default()
    })
}
