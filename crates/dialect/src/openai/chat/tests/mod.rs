//! The dialect as a whole: requests in and out, replies in and out.

mod decode;
mod foreign;
mod inbound;
mod lossless;
mod quirks;
mod reply;

use std::sync::Arc;
use std::time::Instant;

use ::message::{
    Block, Call, Chat, Completion, Dialect, Event, Failure, Head, Message, NewCall, Operation, Principal,
    RequestId, Role,
};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use crate::ReplyDecoder;

/// A call as the door makes it of a body.
fn try_call(body: &Value) -> Result<Call, Failure> {
    let body = Bytes::from(body.to_string());
    let inbound = crate::inbound(Dialect::OpenAiChat, Operation::Chat, None, false, &body)?;
    Ok(Call::new(NewCall {
        id: RequestId::new("0b5e-77"),
        operation: Operation::Chat,
        dialect: Dialect::OpenAiChat,
        head: inbound.head,
        body,
        headers: Arc::new(HeaderMap::new()),
        principal: Principal { key_id: "key_1".into(), name: "test".into() },
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    }))
}

pub(in crate::openai) fn call(body: &Value) -> Call {
    try_call(body).unwrap_or_else(|failure| panic!("{failure}"))
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

fn head(stream: bool) -> Head {
    Head { model: "claude".to_owned(), model_span: None, stream, max_tokens: None }
}

/// The decoder of the reply to a plain call.
fn decoder(stream: bool, home: bool) -> Box<dyn ReplyDecoder> {
    let body =
        serde_json::json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}]});
    crate::openai::chat::decode::decoder(&call(&body), home)
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

/// The data of every event of a stream.
fn data(stream: &[u8]) -> Vec<String> {
    let mut parser = crate::framing::sse::Parser::new();
    parser.push(Bytes::copy_from_slice(stream));
    let mut all = Vec::new();
    while let Some(event) = parser.next().expect("small") {
        all.push(String::from_utf8(event.data.to_vec()).expect("UTF-8"));
    }
    assert!(parser.is_between_events(), "the stream ends inside an event");
    all
}
