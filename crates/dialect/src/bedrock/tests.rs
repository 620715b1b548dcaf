//! The dialect through its public doors, on bodies that boto3 really makes
//! (`fixtures/bedrock/requests.json`).

mod decode;
mod doors;
mod families;
mod invoke;
mod lossless;
mod outbound;
mod reply;
mod rerank;
mod streams;
mod swept;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use message::{Call, Chat, Dialect, Failure, Head, NewCall, Operation, Principal, RequestId};
use serde_json::Value;

/// A call as `server` makes it.
fn call(dialect: Dialect, operation: Operation, body: impl Into<Bytes>) -> Result<Call, Failure> {
    call_with(dialect, operation, body, HeaderMap::new())
}

fn call_with(
    dialect: Dialect,
    operation: Operation,
    body: impl Into<Bytes>,
    headers: HeaderMap,
) -> Result<Call, Failure> {
    let body = body.into();
    let inbound = crate::inbound(dialect, operation, Some("a.model"), true, &body)?;
    Ok(Call::new(NewCall {
        id: RequestId::new("11111111-2222-3333-4444-555555555555"),
        operation,
        dialect,
        head: inbound.head,
        body,
        headers: Arc::new(headers),
        principal: Principal { key_id: "key_1".into(), name: "test".into() },
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    }))
}

fn converse(body: &Value) -> Result<Chat, Failure> {
    call(Dialect::BedrockConverse, Operation::Chat, body.to_string())?.chat().cloned()
}

fn head(dialect: Dialect, body: &str) -> Result<Head, Failure> {
    call(dialect, Operation::Chat, body.to_owned()).map(|call| call.head)
}

/// The requests of one operation, by name.
fn fixtures(operation: &str) -> Vec<(String, Value)> {
    let all: Value =
        serde_json::from_str(include_str!("../../fixtures/bedrock/requests.json")).expect("a JSON file");
    let Some(Value::Object(requests)) = all.get(operation).cloned() else { panic!("no {operation}") };
    requests.into_iter().collect()
}
