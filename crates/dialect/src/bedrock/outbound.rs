//! A call → a request to Amazon Bedrock.
//!
//! Two doors lead there, and each call takes the one that keeps most of it. A Converse
//! call goes on as it came, for the model stands in the path. So does an InvokeModel body
//! of the model's own family, and, for Claude, an Anthropic client's, which InvokeModel
//! carries (`invoke/claude`). Everything else is decoded, adapted and written as Converse.
//! Embeddings and rankings only InvokeModel knows (`invoke/vectors`).
//! Source: bedrock-runtime service model of botocore 1.44.5, read 2026-11-22.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use message::{Call, Dialect, Dropped, Failure, Operation};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::adapt::adapt;
use super::family::Family;
use super::invoke::vectors::{self, Vectors};
use super::invoke::{self, claude};
use super::{decode, encode, error};
use crate::framing::eventstream;
use crate::{Outbound, Outgoing, ReplyDecoder, json};

/// What stands in a path segment as it is; all else (`:`, `/` of ARNs) is encoded once.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Request headers of InvokeModel that change what it does.
const FORWARDED_REQUEST_HEADERS: [&str; 7] = [
    "x-amzn-bedrock-trace",
    "x-amzn-bedrock-guardrailidentifier",
    "x-amzn-bedrock-guardrailversion",
    "x-amzn-bedrock-performanceconfig-latency",
    "x-amzn-bedrock-service-tier",
    "x-amzn-bedrock-request-metadata",
    "x-amzn-bedrock-accept",
];

/// Reply headers a same-dialect client may see.
const FORWARDED_REPLY_HEADERS: [&str; 9] = [
    "content-type",
    "x-amzn-bedrock-content-type",
    "x-amzn-bedrock-input-token-count",
    "x-amzn-bedrock-output-token-count",
    "x-amzn-bedrock-cache-read-input-token-count",
    "x-amzn-bedrock-cache-write-input-token-count",
    "x-amzn-bedrock-invocation-latency",
    "x-amzn-bedrock-performanceconfig-latency",
    "x-amzn-bedrock-service-tier",
];

/// Amazon Bedrock's runtime, with all its doors.
#[derive(Debug, Clone, Copy)]
pub struct Bedrock;

impl Outbound for Bedrock {
    fn dialect(&self) -> Dialect {
        Dialect::BedrockConverse
    }

    fn encode(&self, call: &Call, model: &str) -> Result<Outgoing, Failure> {
        let family = Family::of(model);
        match (call.operation, call.dialect) {
            (Operation::Chat | Operation::CountTokens, Dialect::BedrockConverse) => {
                Ok(forwarded(call, model))
            }
            (Operation::Chat | Operation::Embed | Operation::Rerank, Dialect::BedrockInvoke)
                if invoke::is_home(call, family) =>
            {
                Ok(invoked(call, model, Body::forwarded(call)))
            }
            (Operation::Chat, Dialect::Anthropic) if matches!(family, Family::Claude(_)) => {
                let claude::Body { pieces, dropped } = claude::body(call, family)?;
                Ok(invoked(call, model, Body { pieces, dropped, home: true }))
            }
            (Operation::Chat | Operation::CountTokens, _) => translated(call, family, model),
            (Operation::Embed, _) => {
                Ok(invoked(call, model, Body::written(vectors::embed(call.embed()?, family, model)?)))
            }
            (Operation::Rerank, _) => {
                Ok(invoked(call, model, Body::written(vectors::rerank(call.rerank()?, family)?)))
            }
        }
    }

    fn decoder(&self, call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
        match (call.operation, call.dialect) {
            (Operation::Chat, Dialect::Anthropic) if home => claude::decoder(call),
            (Operation::Embed | Operation::Rerank, _) if !home => Box::new(Vectors::new(call.operation)),
            _ => decode::decoder(call, home),
        }
    }

    fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        error::understand(status, headers, body)
    }

    fn forwarded_headers(&self) -> &'static [&'static str] {
        &FORWARDED_REPLY_HEADERS
    }
}

/// The address of a model's operation.
fn path(model: &str, operation: &str) -> String {
    format!("/model/{}/{operation}", utf8_percent_encode(model, UNRESERVED))
}

/// Converse's address for what is asked.
fn converse_path(call: &Call, model: &str) -> String {
    match call.operation {
        // Counting knows models, not the profiles that lead to them.
        Operation::CountTokens => path(without_geography(model), "count-tokens"),
        _ if call.head.stream => path(model, "converse-stream"),
        _ => path(model, "converse"),
    }
}

/// The model behind a cross-region inference profile.
fn without_geography(model: &str) -> &str {
    const GEOGRAPHIES: [&str; 8] = ["us.", "eu.", "apac.", "jp.", "au.", "ca.", "us-gov.", "global."];
    GEOGRAPHIES.iter().find_map(|geography| model.strip_prefix(geography)).unwrap_or(model)
}

/// A Converse call: the body as it came.
fn forwarded(call: &Call, model: &str) -> Outgoing {
    Outgoing {
        path: converse_path(call, model),
        headers: headers(call),
        body: vec![call.body.clone()],
        dropped: Vec::new(),
        home: true,
    }
}

/// Any call, as Converse.
fn translated(call: &Call, family: Family, model: &str) -> Result<Outgoing, Failure> {
    let chat = call.chat()?;
    // Nova's own body has Converse's blocks, and is read as one.
    let (chat, dropped): (_, Vec<Dropped>) = if chat.home == Dialect::BedrockConverse {
        (chat.clone(), Vec::new())
    } else {
        adapt(chat, family, call.operation)?
    };
    let body = encode::body(chat, call.operation)?;
    let body = serde_json::to_vec(&body).map_err(Failure::internal)?;
    let path = converse_path(call, model);
    Ok(Outgoing { path, headers: headers(call), body: vec![Bytes::from(body)], dropped, home: false })
}

/// A body for InvokeModel.
struct Body {
    pieces: Vec<Bytes>,
    dropped: Vec<Dropped>,
    home: bool,
}

impl Body {
    fn forwarded(call: &Call) -> Self {
        Self { pieces: vec![call.body.clone()], dropped: Vec::new(), home: true }
    }

    fn written((body, dropped): vectors::Written) -> Self {
        Self { pieces: vec![json::bytes(&body)], dropped, home: false }
    }
}

/// A request to InvokeModel, with the client's own wishes for it if it speaks it.
fn invoked(call: &Call, model: &str, body: Body) -> Outgoing {
    let operation = if call.head.stream { "invoke-with-response-stream" } else { "invoke" };
    let mut headers = headers(call);
    for name in FORWARDED_REQUEST_HEADERS.into_iter().filter(|_| call.dialect == Dialect::BedrockInvoke) {
        if let Some(value) = call.headers.get(name) {
            headers.push((HeaderName::from_static(name), value.clone()));
        }
    }
    let Body { pieces, dropped, home } = body;
    Outgoing { path: path(model, operation), headers, body: pieces, dropped, home }
}

fn headers(call: &Call) -> Vec<(HeaderName, HeaderValue)> {
    let accept = if call.head.stream { eventstream::CONTENT_TYPE } else { "application/json" };
    vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (ACCEPT, HeaderValue::from_static(accept)),
    ]
}
