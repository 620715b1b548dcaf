//! A call → a request to a server that speaks this dialect.
//!
//! From a client of the same dialect the body goes on as it came, the model's name
//! spliced in; from any other it is decoded, adapted and written anew.
//! Source: `resources/messages/messages.py` of `anthropic` 2.12.0, read 2026-11-22.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use message::{Call, Chat, Dialect, Dropped, Failure, Operation};
use serde_json::Value;

use super::adapt::adapt;
use super::encode::Request;
use super::wire::VERSION;
use super::{decode, error, vertex};
use crate::{Outbound, Outgoing, Quirk, Quirks, ReplyDecoder, json};

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// Anthropic's own API, and every server that speaks it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anthropic(pub Quirks);

impl Outbound for Anthropic {
    fn dialect(&self) -> Dialect {
        Dialect::Anthropic
    }

    fn encode(&self, call: &Call, model: &str) -> Result<Outgoing, Failure> {
        let path = match call.operation {
            Operation::Chat => "/v1/messages",
            Operation::CountTokens => "/v1/messages/count_tokens",
            Operation::Embed | Operation::Rerank => {
                return Err(Failure::unsupported(
                    "this model's server speaks Anthropic Messages, which has no embeddings and no ranking",
                ));
            }
        };
        let vertex = self.0.has(Quirk::VertexPaths);
        let home = call.dialect == Dialect::Anthropic;
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let (body, dropped) = match &call.head.model_span {
            Some(span) if home => {
                forward_headers(&call.headers, &mut headers);
                let body = match vertex {
                    true => vertex::spliced(call, span.clone(), model)?,
                    false => spliced(call, span.clone(), model),
                };
                (body, Vec::new())
            }
            _ => {
                headers.push((ANTHROPIC_VERSION, HeaderValue::from_static(VERSION)));
                let (body, dropped) = written(call, model, &mut headers)?;
                let body = if vertex { vertex::rewritten(body, call.operation)? } else { body };
                (body, dropped)
            }
        };
        let path = if vertex { vertex::path(call, model) } else { path.to_owned() };
        Ok(Outgoing { path, headers, body, dropped, home })
    }

    fn decoder(&self, call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
        decode::decoder(call, home)
    }

    fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        error::understand(status, headers, body)
    }

    /// Not the rate-limit headers: they tell of this server's account, not of the client's.
    fn forwarded_headers(&self) -> &'static [&'static str] {
        &["content-type"]
    }
}

fn spliced(call: &Call, span: std::ops::Range<usize>, model: &str) -> Vec<Bytes> {
    if model == call.head.model {
        vec![call.body.clone()]
    } else {
        json::splice(&call.body, span, model).into()
    }
}

/// The client's headers that change what its body means.
fn forward_headers(from: &HeaderMap, to: &mut Vec<(HeaderName, HeaderValue)>) {
    let version = from.get(&ANTHROPIC_VERSION).cloned();
    to.push((ANTHROPIC_VERSION, version.unwrap_or_else(|| HeaderValue::from_static(VERSION))));
    to.extend(from.get_all(&ANTHROPIC_BETA).iter().map(|value| (ANTHROPIC_BETA, value.clone())));
}

fn written(
    call: &Call,
    model: &str,
    headers: &mut Vec<(HeaderName, HeaderValue)>,
) -> Result<(Vec<Bytes>, Vec<Dropped>), Failure> {
    let chat = call.chat()?;
    // InvokeModel carries bodies of this very dialect.
    let (chat, dropped) = if chat.home == Dialect::Anthropic {
        (Cow::Borrowed(chat), Vec::new())
    } else {
        let (chat, dropped) = adapt(chat, call.operation, model)?;
        (Cow::Owned(chat), dropped)
    };
    if let Some(betas) = betas(&chat)? {
        headers.push((ANTHROPIC_BETA, betas));
    }
    let request = Request { operation: call.operation, model, stream: call.head.stream, chat: &chat };
    Ok((vec![Bytes::from(request.body()?)], dropped))
}

/// The beta header that InvokeModel's clients put into the body as `anthropic_beta`.
fn betas(chat: &Chat) -> Result<Option<HeaderValue>, Failure> {
    let wrong = || Failure::invalid_field("anthropic_beta", "expected an array of beta names");
    let Some(betas) = chat.extra.get("anthropic_beta").filter(|betas| !betas.is_null()) else {
        return Ok(None);
    };
    let names: Option<Vec<&str>> = betas.as_array().ok_or_else(wrong)?.iter().map(Value::as_str).collect();
    let names = names.ok_or_else(wrong)?;
    if names.is_empty() {
        return Ok(None);
    }
    HeaderValue::from_str(&names.join(",")).map(Some).map_err(|_| wrong())
}
