//! A [`Call`] → a request to a server that continues bare prompts.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use message::{Call, Dialect, Failure, Operation};

use super::decode;
use super::encode::encode;
use crate::openai::error;
use crate::{Outbound, Outgoing, Quirks, ReplyDecoder, json};

/// A server of this dialect, and how it differs from OpenAI's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenAiCompletions(pub Quirks);

impl Outbound for OpenAiCompletions {
    fn dialect(&self) -> Dialect {
        Dialect::OpenAiCompletions
    }

    fn encode(&self, call: &Call, model: &str) -> Result<Outgoing, Failure> {
        if call.operation != Operation::Chat {
            return Err(Failure::unsupported("this model's server does nothing but continue prompts"));
        }
        let home = call.dialect == Dialect::OpenAiCompletions;
        let (body, dropped) = match (home, &call.head.model_span) {
            (true, Some(_)) if call.head.model == model => (vec![call.body.clone()], Vec::new()),
            (true, Some(span)) => (json::splice(&call.body, span.clone(), model).into(), Vec::new()),
            _ => {
                let (body, dropped) = encode(call.chat()?, &call.head, model, self.0)?;
                let body = serde_json::to_vec(&body).map_err(Failure::internal)?;
                (vec![Bytes::from(body)], dropped)
            }
        };
        let accept = if call.head.stream { "text/event-stream" } else { "application/json" };
        let headers = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::ACCEPT, HeaderValue::from_static(accept)),
        ];
        Ok(Outgoing { path: "/completions".to_owned(), headers, body, dropped, home })
    }

    fn decoder(&self, call: &Call, home: bool) -> Box<dyn ReplyDecoder> {
        decode::decoder(call, home)
    }

    fn failure(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        error::from_response(status, headers, body)
    }

    fn forwarded_headers(&self) -> &'static [&'static str] {
        &["content-type"]
    }
}
