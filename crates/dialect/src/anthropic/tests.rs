//! Fixtures, round trips, and the traps other gateways fell into (tests named after
//! their ids: S streams, R thinking, U stop and usage, M content and roles, T tools).

mod errors;
mod lossless;
mod reading;
mod scanning;
mod translation;
mod vertex;
mod writing;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use message::{Call, Dialect, Event, Failure, Frame, Head, NewCall, Operation, Principal, RequestId, Seen};

use super::inbound;
use crate::ReplyDecoder;

/// A call of a client of this dialect.
fn call(operation: Operation, body: &str) -> Call {
    let inbound = inbound::read(operation, body.as_bytes()).expect("a valid body");
    make(Dialect::Anthropic, operation, inbound.head, body)
}

/// A call with the head that another dialect (Bedrock's InvokeModel) would read.
fn make(dialect: Dialect, operation: Operation, head: Head, body: &str) -> Call {
    Call::new(NewCall {
        id: RequestId::new("0a1b-2c3d"),
        operation,
        dialect,
        head,
        body: Bytes::copy_from_slice(body.as_bytes()),
        headers: Arc::new(HeaderMap::new()),
        principal: Principal { key_id: "key_1".into(), name: "test".into() },
        received: Instant::now(),
        strict: false,
        decode: message::Decode::Chat(inbound::decode),
    })
}

/// A call that wants a reply of this kind; its conversation does not matter.
fn asking(operation: Operation, stream: bool) -> Call {
    let body = format!(
        r#"{{"model":"claude","max_tokens":1,"stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#
    );
    call(operation, &body)
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

/// The streams under `fixtures/`, by name.
const STREAMS: [(&str, &str); 6] = [
    ("late_error", include_str!("../../fixtures/anthropic/streams/late_error.sse")),
    ("refusal", include_str!("../../fixtures/anthropic/streams/refusal.sse")),
    ("server_tools", include_str!("../../fixtures/anthropic/streams/server_tools.sse")),
    ("stop_sequence", include_str!("../../fixtures/anthropic/streams/stop_sequence.sse")),
    ("text", include_str!("../../fixtures/anthropic/streams/text.sse")),
    ("thinking_tools", include_str!("../../fixtures/anthropic/streams/thinking_tools.sse")),
];

fn stream(name: &str) -> &'static str {
    STREAMS.iter().find(|(known, _)| *known == name).expect("a fixture").1
}
