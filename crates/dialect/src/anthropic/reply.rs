//! Events → what the client reads: a stream of named events, a whole `Message`, or a count.
//!
//! Last step of a request from an Anthropic client, unless the target spoke its dialect.
//! The order of a stream is kept by [`StreamWriter`]. Source: `message.py` of the Python
//! SDK `anthropic` 2.12.0 and the streaming guide at
//! <https://platform.claude.com/docs/en/build-with-claude/streaming>, read 2026-11-22.

use std::mem;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use memchr::memchr2_iter;
use message::{
    Block, BlockKind, Call, Completion, Dialect, Event, Failure, FinishReason, Operation, RequestId,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::blocks::Wire;
use super::citation;
use super::error;
use super::stream::{outward, write};
use super::wire::WireUsage;
use crate::json::DEPTH_MAX;
use crate::{ReplyEncoder, Whole};

pub use super::stream::{Frames, StreamWriter};

/// The encoder of a call's reply.
pub fn encoder(call: &Call) -> Box<dyn ReplyEncoder> {
    let fallback = format!("msg_{}", call.id.as_str().replace('-', ""));
    Box::new(Encoder {
        operation: call.operation,
        request: call.id.clone(),
        writer: StreamWriter::new(fallback, call.head.model.clone()),
    })
}

struct Encoder {
    operation: Operation,
    request: RequestId,
    writer: StreamWriter,
}

impl ReplyEncoder for Encoder {
    fn stream_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        vec![
            (CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ]
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        self.writer.event(event, &mut Sse(out));
    }

    fn keepalive(&mut self, out: &mut Vec<u8>) {
        self.writer.ping(&mut Sse(out));
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.writer.end(&mut Sse(out));
    }

    fn failure(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        write(&mut Sse(out), "error", &error::body(failure, &self.request));
    }

    fn whole(&mut self, completion: Completion) -> Whole {
        let body = match self.operation {
            Operation::CountTokens => {
                json!({"input_tokens": completion.usage.total_input()}).to_string().into_bytes()
            }
            // This dialect has no other operation.
            Operation::Chat | Operation::Embed | Operation::Rerank => {
                message(self.writer.id(), self.writer.model(), completion)
            }
        };
        Whole {
            status: StatusCode::OK,
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))],
            body: Bytes::from(body),
        }
    }
}

/// Server-sent events. JSON has no raw line ends, so a payload is one `data` line.
struct Sse<'a>(&'a mut Vec<u8>);

impl Frames for Sse<'_> {
    fn begin(&mut self, event: &'static str) -> &mut Vec<u8> {
        self.0.extend_from_slice(b"event: ");
        self.0.extend_from_slice(event.as_bytes());
        self.0.extend_from_slice(b"\ndata: ");
        self.0
    }

    fn finish(&mut self) {
        self.0.extend_from_slice(b"\n\n");
    }
}

/// A whole `Message` as JSON. `id` is used if the answering server gave none.
pub fn message(id: &str, model: &str, completion: Completion) -> Vec<u8> {
    let Completion { id: own, content, finish, stop_sequence, usage, .. } = completion;
    let refused = content.iter().any(|block| matches!(block.kind, BlockKind::Refusal(_)));
    let content: Vec<Block> = content.into_iter().filter_map(shown).collect();
    let message = WholeMessage {
        id: own.as_deref().unwrap_or(id),
        kind: "message",
        role: "assistant",
        model,
        content: Wire(&content),
        stop_reason: outward(&finish.unwrap_or(FinishReason::EndTurn), refused).to_owned(),
        stop_sequence,
        usage: WireUsage::from(&usage),
    };
    serde_json::to_vec(&message).expect("`shown` leaves only blocks of this dialect, with valid input")
}

/// A whole reply.
#[derive(Serialize)]
struct WholeMessage<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: Wire<&'a [Block]>,
    stop_reason: String,
    stop_sequence: Option<String>,
    usage: WireUsage,
}

/// A block as this dialect's client may see it; `None` for what only others understand.
fn shown(mut block: Block) -> Option<Block> {
    let deltas = match block.extra.remove("deltas") {
        Some(Value::Array(deltas)) => deltas,
        _ => Vec::new(),
    };
    match &mut block.kind {
        BlockKind::ToolUse { input, .. } => *input = object_input(mem::take(input)),
        // The SDKs' type demands the field.
        BlockKind::Thinking { signature, .. } => {
            signature.get_or_insert_default();
        }
        BlockKind::Text(_) => {
            let known: Vec<Value> =
                mem::take(&mut block.citations).iter().filter_map(citation::write).collect();
            let unknown = deltas.into_iter().filter_map(|mut delta| Some(delta.get_mut("citation")?.take()));
            let citations: Vec<Value> = known.into_iter().chain(unknown).collect();
            if !citations.is_empty() {
                block.extra.insert("citations".to_owned(), Value::Array(citations));
            }
        }
        BlockKind::Opaque { dialect: Dialect::Anthropic, value } => gather(value, deltas),
        BlockKind::Audio(_) | BlockKind::Video(_) | BlockKind::Opaque { .. } => return None,
        _ => {}
    }
    Some(block)
}

/// The deltas of a block of the vendor's own, gathered the way the SDK does.
fn gather(block: &mut Value, deltas: Vec<Value>) {
    let Value::Object(block) = block else { return };
    let mut input = String::new();
    for delta in deltas {
        let Value::Object(delta) = delta else { continue };
        for (key, value) in delta {
            match (key.as_str(), value) {
                ("type", _) => {}
                ("partial_json", Value::String(piece)) => input.push_str(&piece),
                (_, Value::String(piece)) => match block.get_mut(&key) {
                    Some(Value::String(whole)) => whole.push_str(&piece),
                    _ => {
                        block.insert(key, piece.into());
                    }
                },
                (_, value) => {
                    block.insert(key, value);
                }
            }
        }
    }
    if !input.is_empty() {
        let input = serde_json::from_str(&object_input(input)).unwrap_or_default();
        block.insert("input".to_owned(), input);
    }
}

/// Tool input as a JSON object, which is all this dialect can say. Anything else is
/// wrapped the way Anthropic's guide to fine-grained tool streaming advises.
pub(super) fn object_input(input: String) -> String {
    let text = input.trim();
    if text.is_empty() || text == "null" {
        return "{}".to_owned();
    }
    if text.starts_with('{') && crate::json::validate(text.as_bytes()).is_ok() && fits_inside(text) {
        return input;
    }
    json!({"INVALID_JSON": input}).to_string()
}

/// Levels around a tool's input: body, messages, message, content, block, and some to spare.
const LEVELS_AROUND: usize = 16;

/// Whether valid JSON may still be nested so deeply once it stands in a request or reply.
fn fits_inside(text: &str) -> bool {
    // At most this deep; nearly always the answer.
    let opened = memchr2_iter(b'{', b'[', text.as_bytes()).count();
    if opened + LEVELS_AROUND <= DEPTH_MAX {
        return true;
    }
    let nested = format!("{}{text}{}", "[".repeat(LEVELS_AROUND), "]".repeat(LEVELS_AROUND));
    crate::json::validate(nested.as_bytes()).is_ok()
}
