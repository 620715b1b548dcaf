//! A call → a request to Amazon Bedrock.
//!
//! A Converse call goes on as it came, for the model stands in the path. Everything else
//! is decoded, adapted and written as Converse.
//! Source: bedrock-runtime service model of botocore 1.44.5, read 2026-11-22.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use message::{Call, Dialect, Dropped, Failure, Operation};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::adapt::adapt;
use super::family::Family;
use super::{decode, encode, error};
use crate::framing::eventstream;
use crate::{Outbound, Outgoing, ReplyDecoder};

/// What stands in a path segment as it is; all else (`:`, `/` of ARNs) is encoded once.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

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
            (Operation::Chat | Operation::CountTokens, _) => translated(call, family, model),
            (Operation::Embed | Operation::Rerank, _) => Err(Failure::unsupported(
                "this model's server speaks Converse, which has no embeddings and no ranking",
            )),
        }
    }

    fn decoder(&self, call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
        decode::decoder(call, home)
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

fn headers(call: &Call) -> Vec<(HeaderName, HeaderValue)> {
    let accept = if call.head.stream { eventstream::CONTENT_TYPE } else { "application/json" };
    vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (ACCEPT, HeaderValue::from_static(accept)),
    ]
}
