//! OpenAI Chat Completions, which OpenAI's own, Qwen, DeepSeek, imported and other models
//! take on Bedrock; and Mistral's chat, the same with a `stop_reason`.
//!
//! Sources: Amazon Bedrock user guide, "OpenAI models" and "Mistral AI chat completion";
//! read 2026-11-22.

use memchr::memmem;
use message::{Call, Completion, Event, Failure};
use serde_json::Value;

use super::chunk::{self, Chunks};
use crate::ReplyEncoder;
use crate::openai::chat::reply;

/// Answers as Chat Completions: its own encoder, its events taken out of their framing.
pub(super) struct Writer {
    inner: Box<dyn ReplyEncoder>,
    mistral: bool,
    /// The events that the last piece became, framed.
    framed: Vec<u8>,
    /// From the end of the answer on an event waits for the next: the last has the metrics.
    ending: bool,
    waiting: Option<Vec<u8>>,
}

impl Writer {
    pub(super) fn new(call: &Call, mistral: bool) -> Self {
        Self { inner: reply::encoder(call), mistral, framed: Vec::new(), ending: false, waiting: None }
    }

    fn pass_on(&mut self, chunks: &mut Chunks<'_>) {
        let mut left: &[u8] = &self.framed;
        while let Some(end) = memmem::find(left, b"\n\n") {
            let event = left[..end].strip_prefix(b"data: ").unwrap_or_default();
            left = &left[end + 2..];
            if !event.starts_with(b"{") {
                continue;
            }
            let event = if self.mistral { with_stop_reason(event) } else { event.to_vec() };
            if let Some(earlier) = self.waiting.take() {
                chunks.begin().extend_from_slice(&earlier);
                chunks.finish();
            }
            if self.ending {
                self.waiting = Some(event);
            } else {
                chunks.begin().extend_from_slice(&event);
                chunks.finish();
            }
        }
        self.framed.clear();
    }
}

impl chunk::Writer for Writer {
    fn event(&mut self, event: Event, chunks: &mut Chunks<'_>) -> Result<(), Failure> {
        self.ending |= matches!(event, Event::Finish { .. });
        self.inner.event(event, &mut self.framed);
        self.pass_on(chunks);
        Ok(())
    }

    fn end(&mut self, chunks: &mut Chunks<'_>) {
        self.inner.end(&mut self.framed);
        self.pass_on(chunks);
        if let Some(last) = self.waiting.take() {
            chunks.begin().extend_from_slice(&last);
            chunks.finish_last();
        }
    }

    fn whole(&mut self, completion: Completion) -> Vec<u8> {
        let body = self.inner.whole(completion).body;
        if self.mistral { with_stop_reason(&body) } else { body.to_vec() }
    }
}

/// Mistral's older name for `finish_reason`, beside the newer one.
fn with_stop_reason(event: &[u8]) -> Vec<u8> {
    let Ok(mut event) = serde_json::from_slice::<Value>(event) else { return event.to_vec() };
    for choice in event.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(reason) = choice.get("finish_reason").cloned() {
            choice["stop_reason"] = reason;
        }
    }
    event.to_string().into_bytes()
}
