//! A [`Call`] → a request to a server of this dialect; `/v2/…` is appended to its base URL.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use message::{Call, Dialect, Failure, Operation};

use super::{decode, embed, encode, error, rerank};
use crate::{Outbound, Outgoing, ReplyDecoder, json};

/// A server of this dialect.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cohere;

impl Outbound for Cohere {
    fn dialect(&self) -> Dialect {
        Dialect::Cohere
    }

    fn encode(&self, call: &Call, model: &str) -> Result<Outgoing, Failure> {
        let path = match call.operation {
            Operation::Chat => "/v2/chat",
            Operation::Embed => "/v2/embed",
            Operation::Rerank => "/v2/rerank",
            Operation::CountTokens => {
                return Err(Failure::unsupported(
                    "this model's server speaks Cohere, which cannot count tokens without generating",
                ));
            }
        };
        let home = call.dialect == Dialect::Cohere
            && !(call.operation == Operation::Rerank && rerank::returns_documents(call.rerank()?));
        let (body, dropped) = match (home, &call.head.model_span) {
            (true, Some(_)) if call.head.model == model => (vec![call.body.clone()], Vec::new()),
            (true, Some(span)) => (json::splice(&call.body, span.clone(), model).into(), Vec::new()),
            _ => {
                let (body, dropped) = match call.operation {
                    Operation::Embed => embed::encode(call.embed()?, model)?,
                    Operation::Rerank => rerank::encode(call.rerank()?, model)?,
                    Operation::Chat | Operation::CountTokens => {
                        let (body, dropped) = encode::encode(call.chat()?, &call.head, model)?;
                        (body.into(), dropped)
                    }
                };
                (vec![json::bytes(&body)], dropped)
            }
        };
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        Ok(Outgoing { path: path.to_owned(), headers, body, dropped, home })
    }

    fn decoder(&self, call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
        decode::decoder(call, home)
    }

    fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        error::understand(status, headers, body)
    }

    fn forwarded_headers(&self) -> &'static [&'static str] {
        &["content-type"]
    }
}
