//! The dialect as a whole: requests in and out, replies in and out.

mod decode;
mod foreign;
mod lossless;
mod reply;
mod stored;

use std::sync::Arc;
use std::time::Instant;

use ::message::{Call, Chat, Completion, Dialect, Event, Failure, NewCall, Operation, Principal, RequestId};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::ReplyDecoder;

/// A call as the door makes it of a body.
fn try_call(body: &Value) -> Result<Call, Failure> {
    try_call_of(Bytes::from(body.to_string()))
}

fn try_call_of(body: Bytes) -> Result<Call, Failure> {
    let inbound = crate::inbound(Dialect::OpenAiResponses, Operation::Chat, None, false, &body)?;
    Ok(Call::new(NewCall {
        id: RequestId::new("0b5e-77"),
        operation: Operation::Chat,
        dialect: Dialect::OpenAiResponses,
        head: inbound.head,
        body,
        headers: Arc::new(HeaderMap::new()),
        principal: Principal { key_id: "key_1".into(), name: "test".into() },
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    }))
}

fn call(body: &Value) -> Call {
    try_call(body).unwrap_or_else(|failure| panic!("{failure}"))
}

fn chat(body: &Value) -> Chat {
    call(body).chat().unwrap_or_else(|failure| panic!("{failure}")).clone()
}

/// The decoder of the reply to a plain call.
fn decoder(stream: bool, home: bool) -> Box<dyn ReplyDecoder> {
    let body = json!({"model": "m", "stream": stream, "input": "hi"});
    crate::openai::responses::decode::decoder(&call(&body), home)
}

/// Every event of a reply that comes in these pieces.
fn decode(mut decoder: Box<dyn ReplyDecoder>, pieces: &[&[u8]]) -> Result<Vec<Event>, Failure> {
    let mut events = Vec::new();
    for piece in pieces {
        decoder.feed(Bytes::copy_from_slice(piece), &mut events)?;
    }
    decoder.finish(&mut events)?;
    Ok(events)
}

fn gather(events: Vec<Event>) -> Completion {
    let mut completion = Completion::default();
    events.into_iter().for_each(|event| completion.push(event));
    completion
}

/// The data of every event of a stream; each event is named as its data is.
fn data(stream: &[u8]) -> Vec<Value> {
    let mut parser = crate::framing::sse::Parser::new();
    parser.push(Bytes::copy_from_slice(stream));
    let mut all = Vec::new();
    while let Some(event) = parser.next().expect("small") {
        let data: Value = serde_json::from_slice(&event.data).expect("JSON");
        assert!(event.is(data["type"].as_str().expect("a type")));
        all.push(data);
    }
    assert!(parser.is_between_events(), "the stream ends inside an event");
    all
}
