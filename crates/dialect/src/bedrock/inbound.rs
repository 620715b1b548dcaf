//! A client's body → [`Inbound`]: the shallow facts now, the conversation on demand.
//!
//! The model and the wish for a stream stand in the path (but Rerank's); the body is scanned once, for
//! validity and for the cap on output tokens.

use message::{Call, Chat, Decode, Dialect, Failure, Head, Operation};
use serde_json::Value;

use super::wire::{At, Object, string, union};
use super::{converse, invoke, rerank};
use crate::{Inbound, json};

/// Reads the shallow facts of a body. `model` and `stream` are what the path said.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) for what is not a JSON object or
/// lacks the operation's required member; [`Unsupported`](message::ErrorKind::Unsupported)
/// for an InvokeModel body of a family that is not built.
pub fn read(
    dialect: Dialect,
    operation: Operation,
    model: &str,
    stream: bool,
    body: &[u8],
) -> Result<Inbound, Failure> {
    if operation == Operation::Rerank {
        return Ok(Inbound { head: rerank::head(body)?, decode: Decode::Rerank(rerank::decode) });
    }
    let (max_tokens, decode) = match (operation, dialect) {
        (Operation::CountTokens, _) => (count_head(body)?, Decode::Chat(decode_count)),
        (Operation::Chat, Dialect::BedrockInvoke) => invoke::head(model, body)?,
        (Operation::Embed | Operation::Rerank, _) => return Err(Failure::unsupported("not built")),
        (Operation::Chat, _) => (converse_head(body)?, Decode::Chat(decode_converse)),
    };
    if stream && !matches!(decode, Decode::Chat(_)) {
        return Err(Failure::unsupported("embeddings and rankings are not streamed; use InvokeModel"));
    }
    let head = Head { model: model.to_owned(), model_span: None, stream, max_tokens };
    Ok(Inbound { head, decode })
}

fn converse_head(body: &[u8]) -> Result<Option<u64>, Failure> {
    let [messages, config, variables] =
        json::members(body, ["messages", "inferenceConfig", "promptVariables"])?;
    match messages.and_then(|span| body.get(span.start)) {
        // A stored prompt, which lies with Bedrock, brings its own.
        None if variables.is_some() => {}
        None => return Err(At::Body.key("messages").wrong("required, but missing")),
        Some(b'[') => {}
        Some(_) => return Err(At::Body.key("messages").wrong("expected a list")),
    }
    // A configuration that is not as it should be is reported, with its path, on decoding.
    let max_tokens = config.and_then(|span| body.get(span)).and_then(|config| {
        let [span] = json::members(config, ["maxTokens"]).ok()?;
        serde_json::from_slice(config.get(span?)?).ok()
    });
    Ok(max_tokens)
}

fn count_head(body: &[u8]) -> Result<Option<u64>, Failure> {
    let [input] = json::members(body, ["input"])?;
    if input.is_none() {
        return Err(At::Body.key("input").wrong("required, but missing"));
    }
    Ok(None)
}

fn decode_converse(call: &Call) -> Result<Chat, Failure> {
    converse::read(json::decode::<Value>(&call.body)?, At::Body)
}

/// CountTokens: a Converse body, or an InvokeModel body as base64.
fn decode_count(call: &Call) -> Result<Chat, Failure> {
    let mut body = Object::new(json::decode::<Value>(&call.body)?, At::Body)?;
    let (member, input) = union(body.require("input")?, At::Body.key("input"), "converse, invokeModel")?;
    let at = At::Body.key("input");
    let at = at.key(&member);
    match member.as_str() {
        "converse" => converse::read(input, at),
        "invokeModel" => {
            let encoded = Object::new(input, at)?.require("body")?;
            let at = at.key("body");
            invoke::decode_base64(&call.head.model, &string(encoded, at)?, at)
        }
        _ => Err(at.wrong("expected converse or invokeModel")),
    }
}
