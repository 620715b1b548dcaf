//! Amazon Nova: Converse's blocks and answers under its own names for the parameters,
//! which come in two spellings.
//!
//! Source: Amazon Nova user guide, "Complete request schema" and "Using the Invoke API";
//! read 2026-11-22.

use message::{Call, Chat, Completion, Event, Failure};
use serde_json::{Map, Value, json};

use super::chunk::{self, Chunks};
use crate::bedrock::order::Order;
use crate::bedrock::reply::latency_ms;
use crate::bedrock::stream::{Emit, Frames};
use crate::bedrock::wire::{At, Object};
use crate::bedrock::{additional, converse, whole};
use crate::json;

/// Reads a body as the Converse request it nearly is.
pub(super) fn read(body: &[u8]) -> Result<Chat, Failure> {
    let mut body = Object::new(json::decode::<Value>(body)?, At::Body)?;
    body.take("schemaVersion");
    let config = body.take("inferenceConfig");
    let mut converse = body.rest();
    if let Some(config) = config {
        let (config, top_k) = parameters(config)?;
        converse.insert("inferenceConfig".to_owned(), config);
        if let Some(top_k) = top_k {
            converse.insert(additional::FIELD.to_owned(), json!({ "inferenceConfig": { "topK": top_k } }));
        }
    }
    converse::read(Value::Object(converse), At::Body)
}

/// The parameters under Converse's names, and the one it has no member for.
fn parameters(config: Value) -> Result<(Value, Option<Value>), Failure> {
    let mut top_k = None;
    let at = At::Body;
    let config = Object::new(config, at.key("inferenceConfig"))?.rest();
    let mut renamed = Map::new();
    for (name, value) in config {
        match name.as_str() {
            "max_new_tokens" => drop(renamed.insert("maxTokens".to_owned(), value)),
            "top_p" => drop(renamed.insert("topP".to_owned(), value)),
            "topK" | "top_k" => top_k = Some(value),
            _ => drop(renamed.insert(name, value)),
        }
    }
    Ok((Value::Object(renamed), top_k))
}

/// Answers as Nova does.
pub(super) struct Writer {
    call: Call,
    order: Order,
    frames: Frames,
}

impl Writer {
    pub(super) fn new(call: &Call) -> Self {
        Self { call: call.clone(), order: Order::default(), frames: Frames::default() }
    }
}

impl chunk::Writer for Writer {
    fn event(&mut self, event: Event, chunks: &mut Chunks<'_>) -> Result<(), Failure> {
        let Self { call, order, frames } = self;
        let mut native = Native { chunks, last: false };
        order.push(event, |event| frames.write(event, call, &mut native)).map_err(Failure::from)
    }

    fn end(&mut self, chunks: &mut Chunks<'_>) {
        self.frames.metadata(&self.call, latency_ms(self.call.received), &mut Native { chunks, last: true });
    }

    fn whole(&mut self, completion: Completion) -> Vec<u8> {
        let usage = completion.usage;
        let mut response = whole::response(completion, &self.call, latency_ms(self.call.received));
        if let Value::Object(response) = &mut response {
            response.remove("metrics");
        }
        response["usage"] = json!({
            "inputTokens": usage.input_tokens,
            "outputTokens": usage.total_output(),
            "totalTokens": usage.total(),
            "cacheReadInputTokenCount": usage.cache_read_tokens,
            "cacheWriteInputTokenCount": usage.cache_write_5m_tokens.saturating_add(usage.cache_write_1h_tokens),
        });
        response.to_string().into_bytes()
    }
}

/// Converse's events as Nova's native ones: an object with the event as its member.
struct Native<'a, 'b> {
    chunks: &'a mut Chunks<'b>,
    last: bool,
}

impl Emit for Native<'_, '_> {
    fn emit(&mut self, name: &str, payload: &[u8]) {
        let out = self.chunks.begin();
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        out.extend_from_slice(payload);
        out.push(b'}');
        if self.last { self.chunks.finish_last() } else { self.chunks.finish() }
    }
}
