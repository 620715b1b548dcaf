//! The dialect as a whole: requests in and out, replies in and out.

mod decode;
mod embed;
mod foreign;
mod lossless;
mod reply;

use std::sync::Arc;
use std::time::Instant;

use ::message::{
    Block, Call, Chat, Completion, Dialect, Event, Failure, Frame, Message, NewCall, Operation, Principal,
    RequestId, Role, Seen,
};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::door;
use crate::ReplyDecoder;

/// A call as the door makes it of a body and a query.
fn try_call(operation: Operation, stream: bool, query: &str, body: &Value) -> Result<Call, Failure> {
    let body = Bytes::from(body.to_string());
    let inbound = crate::inbound(Dialect::Gemini, operation, Some("gemini-2.5-flash"), stream, &body)?;
    let mut headers = HeaderMap::new();
    door::lift(query, &mut headers);
    Ok(Call::new(NewCall {
        id: RequestId::new("0b5e-77"),
        operation,
        dialect: Dialect::Gemini,
        head: inbound.head,
        body,
        headers: Arc::new(headers),
        principal: Principal { key_id: "key_1".into(), name: "test".into() },
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    }))
}

fn call(body: &Value) -> Call {
    try_call(Operation::Chat, false, "", body).unwrap_or_else(|failure| panic!("{failure}"))
}

/// A call whose conversation does not matter.
fn asking(operation: Operation, stream: bool, query: &str) -> Call {
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    try_call(operation, stream, query, &body).unwrap_or_else(|failure| panic!("{failure}"))
}

fn chat(body: &Value) -> Chat {
    call(body).chat().unwrap_or_else(|failure| panic!("{failure}")).clone()
}

/// A conversation that came from Anthropic's dialect.
fn foreign(messages: Vec<(Role, Vec<Block>)>) -> Chat {
    let mut chat = Chat::new(Dialect::Anthropic);
    let message = |(role, content)| Message { role, content, plain: false, extra: Default::default() };
    chat.messages = messages.into_iter().map(message).collect();
    chat
}

/// Feeds `pieces` and the end. Events before a failure are kept.
fn read(mut decoder: Box<dyn ReplyDecoder>, pieces: &[&[u8]]) -> (Vec<Event>, Result<(), Failure>) {
    let mut events = Vec::new();
    for piece in pieces {
        if let Err(failure) = decoder.feed(Bytes::copy_from_slice(piece), &mut events) {
            return (events, Err(failure));
        }
    }
    let result = decoder.finish(&mut events);
    (events, result)
}

fn gather(events: Vec<Event>) -> Completion {
    let mut completion = Completion::default();
    events.into_iter().for_each(|event| completion.push(event));
    completion
}

/// Forwarded bytes joined, and the last of each thing that was seen.
fn forwarded(events: &[Event]) -> (Vec<u8>, Seen) {
    let mut bytes = Vec::new();
    let mut seen = Seen::default();
    for event in events {
        let Event::Frame(Frame { bytes: piece, seen: more }) = event else {
            panic!("not a frame: {event:?}")
        };
        bytes.extend_from_slice(piece);
        if let Some(more) = more {
            seen.usage = more.usage.or(seen.usage);
            seen.finish = more.finish.clone().or(seen.finish);
        }
    }
    (bytes, seen)
}

/// Every chunk a server sent, as events.
fn sse(chunks: &[Value]) -> Vec<u8> {
    chunks.iter().flat_map(|chunk| format!("data: {chunk}\r\n\r\n").into_bytes()).collect()
}

/// The same as one array.
fn array(chunks: &[Value]) -> Vec<u8> {
    let chunks: Vec<String> = chunks.iter().map(Value::to_string).collect();
    format!("[{}\n]\n", chunks.join("\n,\r\n")).into_bytes()
}

/// What Gemini streams when it thinks and calls two tools of one name, without ids.
fn thinking_and_tools() -> Vec<Value> {
    let chunk = |parts: Value| {
        json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}],
            "usageMetadata": {"promptTokenCount": 100, "cachedContentTokenCount": 80, "totalTokenCount": 100},
            "modelVersion": "gemini-3-pro", "responseId": "r-1"})
    };
    let mut last = chunk(json!([{"text": ""}]));
    last["candidates"][0]["finishReason"] = "STOP".into();
    last["usageMetadata"] = json!({"promptTokenCount": 100, "cachedContentTokenCount": 80,
        "candidatesTokenCount": 9, "thoughtsTokenCount": 5, "totalTokenCount": 114});
    vec![
        chunk(json!([{"text": "Let me ", "thought": true}])),
        chunk(json!([{"text": "see.", "thought": true}])),
        chunk(json!([{"text": "Looking"}])),
        chunk(json!([{"text": " \"é\\\" }]\n"}])),
        chunk(json!([
            {"functionCall": {"name": "look", "args": {"a": 1}}, "thoughtSignature": "c2VhbA=="},
            {"functionCall": {"name": "look", "args": {}}},
        ])),
        chunk(json!([{"executableCode": {"language": "PYTHON", "code": "1"}}])),
        last,
    ]
}
