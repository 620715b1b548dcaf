//! A [`Call`] → a request to a server of this dialect.
//!
//! The base URL ends in the version (`…/v1`), as everywhere in OpenAI's world.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use memchr::memmem;
use message::{BlockKind, Call, Chat, Dialect, Dropped, Failure, Operation, Role, Sealer};

use super::decode;
use super::encode::encode;
use crate::openai::error;
use crate::openai::spelling::note;
use crate::{Outbound, Outgoing, ReplyDecoder, json};

/// Request headers of a same-dialect client that are sent on. Credentials and the
/// client's account (`openai-organization`) are not: the server is ours to pay.
const FORWARDED_REQUEST_HEADERS: [&str; 2] = ["openai-beta", "x-client-request-id"];

/// Reply headers a same-dialect client may see. Not the rate limits: they tell of this
/// server's account, not of the client's.
const FORWARDED_REPLY_HEADERS: [&str; 3] = ["content-type", "openai-processing-ms", "openai-version"];

/// Begins whatever this gateway put into an answer for another vendor to find again: a
/// body that brings it back must not reach OpenAI's servers as it is.
const OURS: &[u8] = b"outcrop.";

/// A server of this dialect.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenAiResponses;

impl Outbound for OpenAiResponses {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAiResponses
    }

    fn encode(&self, call: &Call, model: &str) -> Result<Outgoing, Failure> {
        let path = match call.operation {
            Operation::Chat => "/responses",
            Operation::CountTokens => "/responses/input_tokens",
            Operation::Embed | Operation::Rerank => {
                return Err(Failure::unsupported(
                    "this model's server speaks Responses, which has no embeddings and no ranking",
                ));
            }
        };
        let home = call.dialect == Dialect::OpenAiResponses;
        let verbatim = home && memmem::find(&call.body, OURS).is_none();
        let (body, dropped) = match (verbatim, &call.head.model_span) {
            (true, Some(_)) if call.head.model == model => (vec![call.body.clone()], Vec::new()),
            (true, Some(span)) => (json::splice(&call.body, span.clone(), model).into(), Vec::new()),
            _ => {
                let (chat, mut dropped) =
                    if home { theirs(call.chat()?) } else { (Cow::Borrowed(call.chat()?), Vec::new()) };
                let mut encoded = encode(&chat, &call.head, model)?;
                if call.operation == Operation::CountTokens {
                    NOT_COUNTED.into_iter().for_each(|name| drop(encoded.body.shift_remove(name)));
                }
                let body = serde_json::to_vec(&encoded.body).map_err(Failure::internal)?;
                dropped.append(&mut encoded.dropped);
                (vec![Bytes::from(body)], dropped)
            }
        };
        Ok(Outgoing { path: path.to_owned(), headers: request_headers(call, home), body, dropped, home })
    }

    fn decoder(&self, call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
        decode::decoder(call, home)
    }

    fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        error::from_response(status, headers, body)
    }

    fn forwarded_headers(&self) -> &'static [&'static str] {
        &FORWARDED_REPLY_HEADERS
    }
}

/// Settings of an answer, which a request to count has no room for.
const NOT_COUNTED: [&str; 8] = [
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_logprobs",
    "include",
    "store",
    "safety_identifier",
    "stream",
];

/// The conversation without what other vendors sealed, and with what was compacted here in
/// plain words: OpenAI's own servers refuse the one and cannot read the other.
fn theirs(chat: &Chat) -> (Cow<'_, Chat>, Vec<Dropped>) {
    let mut chat = chat.clone();
    let mut dropped = Vec::new();
    for (index, message) in chat.messages.iter_mut().enumerate() {
        if note(&message.extra, "compaction").is_some() {
            message.extra.clear();
        }
        let mut place = 0;
        message.content.retain(|block| {
            let keep = match &block.kind {
                BlockKind::Thinking { signature: Some(seal), .. } => Sealer::read(seal).0 == Sealer::OpenAi,
                BlockKind::RedactedThinking(_) => false,
                _ => true,
            };
            if !keep {
                let path = format!("messages.{index}.content.{place}");
                dropped.push(Dropped { path, why: "thinking that only its own vendor can read" });
            }
            place += 1;
            keep
        });
    }
    chat.messages.retain(|message| !message.content.is_empty() || message.role != Role::Assistant);
    (Cow::Owned(chat), dropped)
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
