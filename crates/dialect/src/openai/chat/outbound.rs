//! A [`Call`] → a request to a server of this dialect.
//!
//! The base URL ends in the version (`…/v1`), as everywhere in this dialect's world.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use message::{Call, Dialect, Dropped, Failure, Operation};
use serde_json::{Map, Value};

use super::encode::{encode, quirks};
use super::{decode, error};
use crate::openai::embeddings;
use crate::{Outbound, Outgoing, Quirks, ReplyDecoder, json};

/// Request headers of a same-dialect client that are sent on. Credentials and the
/// client's account (`openai-organization`) are not: the server is ours to pay.
const FORWARDED_REQUEST_HEADERS: [&str; 2] = ["openai-beta", "x-client-request-id"];

/// Reply headers a same-dialect client may see. Not the rate limits: they tell of this
/// server's account, not of the client's.
const FORWARDED_REPLY_HEADERS: [&str; 3] = ["content-type", "openai-processing-ms", "openai-version"];

/// A server of this dialect, and how it differs from OpenAI's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenAiChat(pub Quirks);

impl Outbound for OpenAiChat {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAiChat
    }

    fn encode(&self, call: &Call, model: &str) -> Result<Outgoing, Failure> {
        let home = call.dialect == Dialect::OpenAiChat;
        let path = match call.operation {
            Operation::Chat => "/chat/completions",
            Operation::Embed => "/embeddings",
            Operation::CountTokens => {
                return Err(Failure::unsupported(
                    "this model's server speaks Chat Completions, which cannot count tokens without generating",
                ));
            }
            Operation::Rerank => {
                return Err(Failure::unsupported(
                    "this model's server speaks Chat Completions, which has no ranking",
                ));
            }
        };
        let (body, dropped) = match (home, &call.head.model_span) {
            (true, _) if quirks::concerns(self.0, &call.body) => adapted(call, model, self.0)?,
            (true, Some(_)) if call.head.model == model => (vec![call.body.clone()], Vec::new()),
            (true, Some(span)) => (json::splice(&call.body, span.clone(), model).into(), Vec::new()),
            _ => {
                let (body, dropped) = match call.operation {
                    Operation::Embed => embeddings::encode::encode(call.embed()?, model)?,
                    _ => {
                        let encoded = encode(call.chat()?, &call.head, model, self.0)?;
                        (encoded.body, encoded.dropped)
                    }
                };
                let body = serde_json::to_vec(&body).map_err(Failure::internal)?;
                (vec![Bytes::from(body)], dropped)
            }
        };
        Ok(Outgoing { path: path.to_owned(), headers: request_headers(call, home), body, dropped, home })
    }

    fn decoder(&self, call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
        match call.operation {
            Operation::Embed => embeddings::decode::decoder(call, home),
            _ => decode::decoder(call, home),
        }
    }

    fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        error::from_response(status, headers, body)
    }

    fn forwarded_headers(&self) -> &'static [&'static str] {
        &FORWARDED_REPLY_HEADERS
    }
}

/// A body of this dialect, changed where the server's quirks have it.
fn adapted(call: &Call, model: &str, quirks: Quirks) -> Result<(Vec<Bytes>, Vec<Dropped>), Failure> {
    let mut body: Map<String, Value> = json::decode(&call.body)?;
    body.insert("model".to_owned(), model.into());
    let mut dropped = Vec::new();
    quirks::apply(quirks, &mut body, &mut dropped);
    let body = serde_json::to_vec(&body).map_err(Failure::internal)?;
    Ok((vec![Bytes::from(body)], dropped))
}

fn request_headers(call: &Call, home: bool) -> Vec<(HeaderName, HeaderValue)> {
    let accept = if call.head.stream { "text/event-stream" } else { "application/json" };
    let mut headers = vec![
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::ACCEPT, HeaderValue::from_static(accept)),
    ];
    for name in FORWARDED_REQUEST_HEADERS.into_iter().filter(|_| home) {
        if let Some(value) = call.headers.get(name) {
            headers.push((HeaderName::from_static(name), value.clone()));
        }
    }
    headers
}
