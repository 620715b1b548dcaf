//! A [`Call`] → a request to a server of this dialect.
//!
//! The model stands in the path, below the base URL (`…/v1beta`, or Vertex's
//! `…/publishers/google`). A body from a client of the same dialect goes on untouched,
//! unless another vendor's seal is in it.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use memchr::memmem;
use message::{Call, Dialect, Failure, Operation};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::door::wants_array;
use super::encode::encode;
use super::{decode, embed, error, seal};
use crate::{Outbound, Outgoing, Quirk, Quirks, ReplyDecoder, json};

/// Reply headers a same-dialect client may see.
const FORWARDED_REPLY_HEADERS: [&str; 2] = ["content-type", "server-timing"];

/// What of a model's name is escaped in a path; its slashes are the path's own.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/').remove(b'@');

/// A server of this dialect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gemini(pub Quirks);

impl Outbound for Gemini {
    fn dialect(&self) -> Dialect {
        Dialect::Gemini
    }

    fn encode(&self, call: &Call, model: &str) -> Result<Outgoing, Failure> {
        let home = call.dialect == Dialect::Gemini;
        // Both ways of naming a model are common; the path has the prefix already.
        let model = model.strip_prefix("models/").unwrap_or(model);
        let method = match call.operation {
            Operation::Chat if call.head.stream && home && wants_array(&call.headers) => {
                "streamGenerateContent"
            }
            Operation::Chat if call.head.stream => "streamGenerateContent?alt=sse",
            Operation::Chat => "generateContent",
            Operation::CountTokens => "countTokens",
            Operation::Embed => return embeddings(call, model, home),
            Operation::Rerank => {
                return Err(Failure::unsupported("this model's server speaks Gemini, which has no ranking"));
            }
        };
        let (body, dropped) = match &call.head.model_span {
            _ if !home || holds_foreign_seal(&call.body) => {
                let encoded = encode(call.chat()?, call.operation, model)?;
                let body = serde_json::to_vec(&encoded.body).map_err(Failure::internal)?;
                (vec![Bytes::from(body)], encoded.dropped)
            }
            Some(span) if call.head.model != model => {
                (json::splice(&call.body, span.clone(), &format!("models/{model}")).into(), Vec::new())
            }
            _ => (vec![call.body.clone()], Vec::new()),
        };
        let body = match call.operation {
            Operation::CountTokens => counted(body, model, self.0.has(Quirk::VertexPaths))?,
            _ => body,
        };
        Ok(Outgoing { path: path(model, method), headers: headers(), body, dropped, home })
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

/// A token count in the form its server takes. Vertex AI takes instructions, tools and
/// settings beside the contents; the Gemini API takes contents alone, and all else only
/// within a whole `generateContentRequest`, which Vertex does not know.
/// Source: `models.py` of `google-genai` 3.4.0, `_CountTokensConfig_to_{mldev,vertex}`, read 2026-11-22.
fn counted(body: Vec<Bytes>, model: &str, vertex: bool) -> Result<Vec<Bytes>, Failure> {
    let whole = Bytes::from(body.concat());
    let wanted = [
        "generateContentRequest",
        "systemInstruction",
        "system_instruction",
        "tools",
        "generationConfig",
        "generation_config",
    ];
    let [wrapped, beside @ ..] = json::members(&whole, wanted)?;
    let fits = match vertex {
        true => wrapped.is_none(),
        false => wrapped.is_some() || beside.iter().all(Option::is_none),
    };
    if fits {
        return Ok(body);
    }
    let mut request: Map<String, Value> = json::decode(&whole)?;
    if vertex {
        if let Some(Value::Object(inner)) = request.shift_remove("generateContentRequest") {
            request.extend(inner);
        }
        request.shift_remove("model");
    } else {
        request.insert("model".to_owned(), format!("models/{model}").into());
        request = Map::from_iter([("generateContentRequest".to_owned(), request.into())]);
    }
    Ok(vec![json::bytes(&Value::Object(request))])
}

/// Whether a conversation brings back what another vendor sealed: Gemini would refuse it.
fn holds_foreign_seal(body: &[u8]) -> bool {
    memmem::find(body, seal::MARKER.as_bytes()).is_some()
}

fn embeddings(call: &Call, model: &str, home: bool) -> Result<Outgoing, Failure> {
    let embed::Request { method, body, dropped } = embed::encode(call.embed()?, model)?;
    let body = vec![json::bytes(&body)];
    Ok(Outgoing { path: path(model, method), headers: headers(), body, dropped, home })
}

fn path(model: &str, method: &str) -> String {
    format!("/models/{}:{method}", utf8_percent_encode(model, ESCAPED))
}

fn headers() -> Vec<(header::HeaderName, HeaderValue)> {
    vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]
}
