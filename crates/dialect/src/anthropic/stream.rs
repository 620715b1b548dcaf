//! The order of a stream: one `message_start`, blocks one after the other, one
//! `message_delta`, one `message_stop`.
//!
//! Several clients fall over when that order is bent, so [`StreamWriter`] keeps it
//! whatever order the events come in: later blocks wait for the open one, a delta only
//! ever goes to a block that takes it. Bedrock's InvokeModel wraps the same payloads in
//! frames of its own: hence [`Frames`]. Source: `raw_message_stream_event.py` and
//! `lib/streaming/_messages.py` of `anthropic` 2.12.0, read 2026-11-22.

use std::mem;

use message::{BlockHead, Delta, Dialect, Event, FinishReason, Usage};
use serde::Serialize;
use serde_json::json;

use super::citation;
use super::wire::{WireUsage, stop_reason};
use crate::json;

/// Most bytes of later blocks held back while an earlier block is open. Beyond it they
/// are let go interleaved, which clients that look at `index` understand as well.
const HELD_BYTES_MAX: usize = 1 << 20;

/// What a held block or delta costs beside its text, in bytes: keeps empty ones from being free.
const HELD_OVERHEAD_BYTES: usize = 64;

/// Where a stream's payloads go: each is JSON, written between `begin` and `finish`.
pub trait Frames {
    /// Opens a frame for the event of this name, and gives the buffer to append to.
    fn begin(&mut self, event: &'static str) -> &mut Vec<u8>;

    /// Closes it.
    fn finish(&mut self);
}

/// Writes one payload as one frame.
pub(super) fn write(frames: &mut impl Frames, event: &'static str, payload: &impl Serialize) {
    json::write(frames.begin(event), payload);
    frames.finish();
}

/// The stop reason the client reads. A model that spoke a refusal did not just end its turn.
pub(super) fn outward(finish: &FinishReason, refused: bool) -> &str {
    match finish {
        FinishReason::EndTurn if refused => stop_reason(&FinishReason::Refusal),
        other => stop_reason(other),
    }
}

/// Writes a stream's payloads in this dialect's order, whatever order the events have.
pub struct StreamWriter {
    id: String,
    model: String,
    started: bool,
    usage: Usage,
    finish: Option<(FinishReason, Option<String>)>,
    refused: bool,
    next_index: u32,
    /// Begun and not ended. One at a time, unless too much had to be held.
    open: Vec<Open>,
    /// Blocks that wait for the open one to end, in order.
    waiting: Vec<Waiting>,
    held_bytes: usize,
}

struct Open {
    hub_index: u32,
    /// The index the client sees; `None` for a block it does not see.
    index: Option<u32>,
    form: Form,
    /// Clients keep the last signature they are sent, so it is sent once, whole.
    signature: String,
}

/// Which deltas a block takes.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Text,
    Thinking,
    ToolUse,
    Opaque,
    Closed,
}

struct Waiting {
    hub_index: u32,
    head: BlockHead,
    deltas: Vec<Delta>,
    stopped: bool,
}

impl StreamWriter {
    /// A writer for one reply. `id` is used if the answering server gives none.
    pub fn new(id: String, model: String) -> Self {
        Self {
            id,
            model,
            started: false,
            usage: Usage::default(),
            finish: None,
            refused: false,
            next_index: 0,
            open: Vec::new(),
            waiting: Vec::new(),
            held_bytes: 0,
        }
    }

    /// The reply's id as far as it is known.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The model as the client named it.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Takes in one event and writes what it completes.
    pub fn event(&mut self, event: Event, frames: &mut impl Frames) {
        match event {
            // Not written yet: usage often follows at once, and belongs into the same event.
            Event::Start { id } => {
                if let Some(id) = id {
                    self.id = id;
                }
            }
            Event::Usage(usage) => self.usage = usage,
            Event::BlockStart { index, block } => self.block_start(index, block, frames),
            Event::Delta { index, delta } => self.delta(index, delta, frames),
            Event::BlockStop { index } => self.block_stop(index, frames),
            Event::Finish { reason, stop_sequence } => self.finish = Some((reason, stop_sequence)),
            Event::Embedding(_) | Event::Ranking(_) | Event::Choice { .. } | Event::Frame(_) => {}
        }
    }

    /// Writes the event that means nothing but that the answer is under way.
    pub fn ping(&mut self, frames: &mut impl Frames) {
        self.start(frames);
        write(frames, "ping", &json!({"type": "ping"}));
    }

    /// Writes the closing events.
    pub fn end(&mut self, frames: &mut impl Frames) {
        self.start(frames);
        while !self.open.is_empty() || !self.waiting.is_empty() {
            for open in mem::take(&mut self.open) {
                self.close(open, frames);
            }
            self.promote(frames);
        }
        let (finish, stop_sequence) = self.finish.take().unwrap_or((FinishReason::EndTurn, None));
        let delta = json!({"stop_reason": outward(&finish, self.refused), "stop_sequence": stop_sequence});
        let usage = WireUsage { cache_creation: None, ..WireUsage::from(&self.usage) };
        write(frames, "message_delta", &json!({"type": "message_delta", "delta": delta, "usage": usage}));
        write(frames, "message_stop", &json!({"type": "message_stop"}));
    }

    fn start(&mut self, frames: &mut impl Frames) {
        if mem::replace(&mut self.started, true) {
            return;
        }
        let message = json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": WireUsage::from(&self.usage),
        });
        write(frames, "message_start", &json!({"type": "message_start", "message": message}));
    }

    fn block_start(&mut self, hub_index: u32, head: BlockHead, frames: &mut impl Frames) {
        self.start(frames);
        if self.open.is_empty() {
            self.begin(hub_index, head, frames);
        } else {
            self.waiting.push(Waiting { hub_index, head, deltas: Vec::new(), stopped: false });
            self.hold(HELD_OVERHEAD_BYTES, frames);
        }
    }

    fn delta(&mut self, hub_index: u32, delta: Delta, frames: &mut impl Frames) {
        if let Some(open) = self.open.iter_mut().find(|open| open.hub_index == hub_index) {
            open.write(delta, frames);
        } else if let Some(block) = self.waiting.iter_mut().find(|block| block.hub_index == hub_index)
            && !block.stopped
        {
            let bytes = delta_bytes(&delta);
            block.deltas.push(delta);
            self.hold(bytes, frames);
        }
    }

    /// Counts what is held, and lets everything go when it is too much.
    fn hold(&mut self, bytes: usize, frames: &mut impl Frames) {
        self.held_bytes += bytes;
        if self.held_bytes > HELD_BYTES_MAX {
            self.held_bytes = 0;
            for block in mem::take(&mut self.waiting) {
                self.release(block, frames);
            }
        }
    }

    fn block_stop(&mut self, hub_index: u32, frames: &mut impl Frames) {
        if let Some(place) = self.open.iter().position(|open| open.hub_index == hub_index) {
            let open = self.open.remove(place);
            self.close(open, frames);
            self.promote(frames);
        } else if let Some(block) = self.waiting.iter_mut().find(|block| block.hub_index == hub_index) {
            block.stopped = true;
        }
    }

    /// Lets the waiting blocks out, up to and including the first that has not ended.
    fn promote(&mut self, frames: &mut impl Frames) {
        while self.open.is_empty() && !self.waiting.is_empty() {
            let block = self.waiting.remove(0);
            let freed: usize = block.deltas.iter().map(delta_bytes).sum();
            self.held_bytes = self.held_bytes.saturating_sub(freed + HELD_OVERHEAD_BYTES);
            self.release(block, frames);
        }
    }

    fn release(&mut self, block: Waiting, frames: &mut impl Frames) {
        self.begin(block.hub_index, block.head, frames);
        if let Some(open) = self.open.last_mut() {
            for delta in block.deltas {
                open.write(delta, frames);
            }
        }
        if block.stopped
            && let Some(open) = self.open.pop()
        {
            self.close(open, frames);
        }
    }

    fn begin(&mut self, hub_index: u32, head: BlockHead, frames: &mut impl Frames) {
        self.refused |= matches!(head, BlockHead::Refusal);
        let (form, block) = match head {
            BlockHead::Text | BlockHead::Refusal => (Form::Text, json!({"type": "text", "text": ""})),
            BlockHead::Thinking => {
                (Form::Thinking, json!({"type": "thinking", "thinking": "", "signature": ""}))
            }
            BlockHead::RedactedThinking(data) => {
                (Form::Closed, json!({"type": "redacted_thinking", "data": data}))
            }
            BlockHead::ToolUse { id, name } => {
                (Form::ToolUse, json!({"type": "tool_use", "id": id, "name": name, "input": {}}))
            }
            BlockHead::Opaque { dialect: Dialect::Anthropic, value } => (Form::Opaque, value),
            BlockHead::Opaque { .. } => {
                self.open.push(Open { hub_index, index: None, form: Form::Closed, signature: String::new() });
                return;
            }
        };
        let index = self.next_index;
        self.next_index += 1;
        let payload = json!({"type": "content_block_start", "index": index, "content_block": block});
        write(frames, "content_block_start", &payload);
        self.open.push(Open { hub_index, index: Some(index), form, signature: String::new() });
    }

    fn close(&mut self, open: Open, frames: &mut impl Frames) {
        let Some(index) = open.index else { return };
        if !open.signature.is_empty() {
            write_delta(frames, index, "signature_delta", "signature", &open.signature);
        }
        write(frames, "content_block_stop", &json!({"type": "content_block_stop", "index": index}));
    }
}

impl Open {
    /// Writes a delta, if it is one this block takes.
    fn write(&mut self, delta: Delta, frames: &mut impl Frames) {
        let Some(index) = self.index else { return };
        match (self.form, delta) {
            (Form::Text, Delta::Text { text, .. }) if !text.is_empty() => {
                write_delta(frames, index, "text_delta", "text", &text);
            }
            (Form::Thinking, Delta::Thinking(text)) if !text.is_empty() => {
                write_delta(frames, index, "thinking_delta", "thinking", &text);
            }
            (Form::Thinking, Delta::Signature(seal)) => self.signature.push_str(&seal),
            (Form::ToolUse, Delta::ToolInput(piece)) if !piece.is_empty() => {
                write_delta(frames, index, "input_json_delta", "partial_json", &piece);
            }
            (Form::Text, Delta::Citation(citation)) => {
                if let Some(citation) = citation::write(&citation) {
                    let delta = json!({"type": "citations_delta", "citation": citation});
                    let payload = json!({"type": "content_block_delta", "index": index, "delta": delta});
                    write(frames, "content_block_delta", &payload);
                }
            }
            (Form::Text | Form::Thinking | Form::Opaque, Delta::Opaque(delta)) => {
                let payload = json!({"type": "content_block_delta", "index": index, "delta": delta});
                write(frames, "content_block_delta", &payload);
            }
            _ => {}
        }
    }
}

/// The hot path of a stream: no tree is built for a delta.
fn write_delta(frames: &mut impl Frames, index: u32, kind: &str, key: &str, text: &str) {
    let out = frames.begin("content_block_delta");
    out.extend_from_slice(br#"{"type":"content_block_delta","index":"#);
    out.extend_from_slice(itoa::Buffer::new().format(index).as_bytes());
    for part in [r#","delta":{"type":""#, kind, r#"",""#, key, r#"":"#] {
        out.extend_from_slice(part.as_bytes());
    }
    json::write(out, text);
    out.extend_from_slice(b"}}");
    frames.finish();
}

fn delta_bytes(delta: &Delta) -> usize {
    let text = match delta {
        Delta::Text { text, .. } => text.len(),
        Delta::Thinking(text) | Delta::Signature(text) | Delta::ToolInput(text) => text.len(),
        Delta::Citation(citation) => citation.text_bytes(),
        Delta::Opaque(value) => value.to_string().len(),
    };
    text + HELD_OVERHEAD_BYTES
}
