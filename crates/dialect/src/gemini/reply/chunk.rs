//! A stream's frames: each chunk an event, or an item of one array.

use serde::Serialize;
use serde_json::Value;

use crate::json;

/// Writes the chunks of one stream.
pub(super) struct Chunks {
    /// The stream is one array.
    pub(super) array: bool,
    /// What every chunk says of itself.
    pub(super) id: String,
    pub(super) model: String,
    /// Chunks written; `None` while none was asked for.
    written: Option<u64>,
}

impl Chunks {
    pub(super) fn new(array: bool, id: String, model: String) -> Self {
        Self { array, id, model, written: None }
    }

    /// The stream has begun, though nothing may have been written.
    pub(super) fn begun(&mut self) {
        self.written.get_or_insert(0);
    }

    /// One chunk, framed.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, chunk: &impl Serialize) {
        write(self.array, self.written.get_or_insert(0), out, chunk);
    }

    /// A piece of text, written without a tree.
    pub(super) fn write_text(
        &mut self,
        index: u32,
        part: TextPart<'_>,
        logprobs_result: Option<Value>,
        out: &mut Vec<u8>,
    ) {
        let content = Content { parts: [part], role: "model" };
        let candidates = [Candidate { content, index, logprobs_result }];
        let chunk = Chunk { candidates, model_version: &self.model, response_id: &self.id };
        write(self.array, self.written.get_or_insert(0), out, &chunk);
    }

    /// An error in the place of a chunk.
    pub(super) fn failed(&mut self, error: &Value, out: &mut Vec<u8>) {
        // A forwarded stream has begun without this encoder.
        self.written.get_or_insert(1);
        self.write(out, error);
    }

    /// The stream is over.
    pub(super) fn close(&self, out: &mut Vec<u8>) {
        if self.array {
            out.extend_from_slice(b"]");
        }
    }
}

fn write(array: bool, written: &mut u64, out: &mut Vec<u8>, chunk: &impl Serialize) {
    let (before, after): (&[u8], &[u8]) = match (array, *written) {
        (false, _) => (b"data: ", b"\r\n\r\n"),
        (true, 0) => (b"[", b""),
        (true, _) => (b",\r\n", b""),
    };
    *written += 1;
    out.extend_from_slice(before);
    json::write(out, chunk);
    out.extend_from_slice(after);
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    candidates: [Candidate<'a>; 1],
    model_version: &'a str,
    response_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    content: Content<'a>,
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs_result: Option<Value>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [TextPart<'a>; 1],
    role: &'static str,
}

/// Text, or a thought.
#[derive(Serialize)]
pub(super) struct TextPart<'a> {
    pub(super) text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thought: Option<bool>,
    #[serde(rename = "thoughtSignature", skip_serializing_if = "Option::is_none")]
    pub(super) seal: Option<&'a str>,
}
