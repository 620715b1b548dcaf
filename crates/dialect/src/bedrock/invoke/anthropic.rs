//! Claude's answers: Anthropic's messages, their stream's events in chunks.
//!
//! Source: Amazon Bedrock user guide, "Anthropic Claude Messages API"; read 2026-11-22.

use message::{Call, Completion, Event, Failure};

use super::chunk::{self, Chunks};
use crate::anthropic::reply::{Frames, StreamWriter, message};

/// Writes Anthropic messages.
pub(super) struct Writer {
    stream: StreamWriter,
    id: String,
    model: String,
}

impl Writer {
    pub(super) fn new(call: &Call) -> Self {
        let id = format!("msg_bdrk_{}", call.id.as_str().replace('-', ""));
        let model = call.head.model.clone();
        Self { stream: StreamWriter::new(id.clone(), model.clone()), id, model }
    }
}

impl chunk::Writer for Writer {
    fn event(&mut self, event: Event, chunks: &mut Chunks<'_>) -> Result<(), Failure> {
        self.stream.event(event, &mut Native { chunks, last: false });
        Ok(())
    }

    fn end(&mut self, chunks: &mut Chunks<'_>) {
        self.stream.end(&mut Native { chunks, last: false });
    }

    fn whole(&mut self, completion: Completion) -> Vec<u8> {
        message(&self.id, &self.model, completion)
    }
}

/// Anthropic's payloads as native events.
struct Native<'a, 'b> {
    chunks: &'a mut Chunks<'b>,
    last: bool,
}

impl Frames for Native<'_, '_> {
    fn begin(&mut self, event: &'static str) -> &mut Vec<u8> {
        self.last = event == "message_stop";
        self.chunks.begin()
    }

    fn finish(&mut self) {
        if self.last { self.chunks.finish_last() } else { self.chunks.finish() }
    }
}
