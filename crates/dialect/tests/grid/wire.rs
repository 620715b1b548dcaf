//! Bodies on the wire: how each dialect frames what the fixtures say as JSON.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use dialect::framing::{eventstream, sse};
use dialect::{Outbound, Quirks};
use http::HeaderMap;
use message::{Call, Completion, Dialect, Event, Failure, NewCall, Operation, Principal, RequestId};
use serde_json::{Value, json};

/// A client's call. Where the dialect says `stream` in the body, it is put there.
pub(crate) fn call(dialect: Dialect, body: &Value, stream: bool) -> Result<Call, Failure> {
    let mut body = body.clone();
    match dialect {
        Dialect::Anthropic | Dialect::OpenAiResponses if stream => body["stream"] = true.into(),
        Dialect::OpenAiChat if stream => {
            body["stream"] = true.into();
            body["stream_options"] = json!({"include_usage": true});
        }
        _ => {}
    }
    let body = Bytes::from(body.to_string());
    let model = in_path(dialect).then_some("m");
    let inbound = dialect::inbound(dialect, Operation::Chat, model, stream, &body)?;
    Ok(Call::new(NewCall {
        id: RequestId::new("0b5e-77"),
        operation: Operation::Chat,
        dialect,
        head: inbound.head,
        body,
        headers: Arc::new(HeaderMap::new()),
        principal: Principal { key_id: "key_1".into(), name: "test".into() },
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    }))
}

/// The dialect names the model in the path.
pub(crate) fn in_path(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::BedrockConverse | Dialect::BedrockInvoke | Dialect::Gemini)
}

/// The dialect as a server speaks it. Bedrock's servers answer both its shapes through
/// one: InvokeModel is how its own clients and Anthropic's are carried there.
pub(crate) fn target(dialect: Dialect) -> Box<dyn Outbound> {
    let spoken = match dialect {
        Dialect::BedrockInvoke => Dialect::BedrockConverse,
        other => other,
    };
    dialect::outbound(spoken, &Quirks::default()).expect("servers speak it")
}

/// The name a server of this dialect has for the model: Bedrock's tells the family.
pub(crate) fn model(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::BedrockConverse | Dialect::BedrockInvoke => "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        Dialect::Anthropic => "claude-sonnet-4-5",
        Dialect::Gemini => "gemini-2.5-flash",
        _ => "gpt-5",
    }
}

/// A stream as a server of this dialect sends it.
pub(crate) fn stream(dialect: Dialect, events: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events.as_array().expect("a list") {
        match dialect {
            Dialect::BedrockConverse => {
                let name = event[0].as_str().expect("a name");
                eventstream::write_event(&mut out, name, event[1].to_string().as_bytes());
            }
            Dialect::BedrockInvoke => {
                let chunk = json!({"bytes": STANDARD.encode(event.to_string())});
                eventstream::write_event(&mut out, "chunk", chunk.to_string().as_bytes());
            }
            Dialect::Anthropic | Dialect::OpenAiResponses => {
                sse::write_event(&mut out, event["type"].as_str(), event.to_string().as_bytes());
            }
            _ => sse::write_event(&mut out, None, event.to_string().as_bytes()),
        }
    }
    if dialect == Dialect::OpenAiChat {
        sse::write_event(&mut out, None, b"[DONE]");
    }
    out
}

/// A stream as JSON, for golden tables: what [`stream`] was made of.
pub(crate) fn unframe(dialect: Dialect, bytes: &[u8]) -> Value {
    let mut events = Vec::new();
    match dialect {
        Dialect::BedrockConverse | Dialect::BedrockInvoke => {
            let mut decoder = eventstream::Decoder::new();
            decoder.push(Bytes::copy_from_slice(bytes));
            while let Some(message) = decoder.next().expect("frames") {
                let name = message
                    .header(":event-type")
                    .or_else(|| message.header(":exception-type"))
                    .expect("a name")
                    .to_owned();
                let mut payload: Value = serde_json::from_slice(&message.payload).expect("JSON");
                if let Some(inner) = payload["bytes"].as_str() {
                    payload = serde_json::from_slice(&STANDARD.decode(inner).expect("base64")).expect("JSON");
                }
                events.push(json!([name, payload]));
            }
        }
        _ => {
            let mut parser = sse::Parser::new();
            parser.push(Bytes::copy_from_slice(bytes));
            while let Some(event) = parser.next().expect("small") {
                let data = serde_json::from_slice(&event.data)
                    .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&event.data).into_owned()));
                events.push(match event.event {
                    Some(name) => json!([String::from_utf8_lossy(&name), data]),
                    None => data,
                });
            }
            assert!(parser.is_between_events(), "the stream ends inside an event");
        }
    }
    Value::Array(events)
}

/// A server's reply → events.
pub(crate) fn decode(server: Dialect, call: &Call, reply: &[u8]) -> Result<Vec<Event>, Failure> {
    let (server, reply) = match server {
        Dialect::BedrockInvoke => (Dialect::Anthropic, unwrapped(call, reply)),
        server => (server, reply.to_vec()),
    };
    let mut decoder = target(server).decoder(call, false);
    let mut events = Vec::new();
    decoder.feed(reply.into(), &mut events)?;
    decoder.finish(&mut events)?;
    Ok(events)
}

/// What Anthropic's SDK for Bedrock makes of an InvokeModel reply: an exception is an error
/// event, and the rest as its own service sends it.
fn unwrapped(call: &Call, reply: &[u8]) -> Vec<u8> {
    if !call.head.stream {
        return reply.to_vec();
    }
    let mut out = Vec::new();
    for event in unframe(Dialect::BedrockInvoke, reply).as_array().expect("events") {
        let (name, event) = (event[0].as_str(), &event[1]);
        let error = json!({"type": "error", "error": {"type": "api_error", "message": event["message"]}});
        let event = if name == Some("chunk") { event } else { &error };
        sse::write_event(&mut out, event["type"].as_str(), event.to_string().as_bytes());
    }
    out
}

/// Events → the client's bytes, in the form it asked for.
pub(crate) fn encode(call: &Call, events: Vec<Event>) -> Vec<u8> {
    let mut encoder = dialect::reply_encoder(call);
    if call.head.stream {
        let mut out = Vec::new();
        events.into_iter().for_each(|event| encoder.event(event, &mut out));
        encoder.end(&mut out);
        return out;
    }
    encoder.whole(complete(events)).body.to_vec()
}

/// Events, gathered.
pub(crate) fn complete(events: Vec<Event>) -> Completion {
    let mut completion = Completion::default();
    events.into_iter().for_each(|event| completion.push(event));
    completion
}

/// Without what a clock said.
pub(crate) fn timeless(mut value: Value) -> Value {
    const CLOCKS: [&str; 6] =
        ["latencyMs", "invocationLatency", "firstByteLatency", "created", "created_at", "completed_at"];
    match &mut value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                *field = match CLOCKS.contains(&name.as_str()) && field.is_number() {
                    true => 0.into(),
                    false => timeless(field.take()),
                };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = timeless(item.take())),
        _ => {}
    }
    value
}
