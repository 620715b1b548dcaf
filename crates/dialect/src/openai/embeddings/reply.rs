//! Vectors → what a client of Embeddings reads.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, StatusCode, header};
use message::{Call, Completion, Event, Failure};
use serde_json::{Value, json};

use crate::openai::error;
use crate::{ReplyEncoder, Whole, json};

/// The encoder of a call's reply.
pub fn encoder(call: &Call) -> Box<dyn ReplyEncoder> {
    Box::new(Encoder { call: call.clone() })
}

struct Encoder {
    call: Call,
}

impl ReplyEncoder for Encoder {
    fn stream_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]
    }

    /// The dialect streams no embeddings.
    fn event(&mut self, _: Event, _: &mut Vec<u8>) {}

    fn end(&mut self, _: &mut Vec<u8>) {}

    fn failure(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        out.extend_from_slice(error::object(failure).to_string().as_bytes());
    }

    fn whole(&mut self, completion: Completion) -> Whole {
        let as_base64 = self.call.embed().is_ok_and(|embed| {
            crate::openai::spelling::note(&embed.extra, "encoding_format")
                .is_some_and(|format| format == "base64")
        });
        let data = completion.embeddings.iter().enumerate().map(|(index, vector)| {
            let embedding = if as_base64 { base64(vector).into() } else { Value::from(vector.clone()) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        });
        let tokens = completion.usage.total_input();
        let body = json!({
            "object": "list",
            "data": data.collect::<Vec<_>>(),
            "model": self.call.head.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        });
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        Whole { status: StatusCode::OK, headers, body: json::bytes(&body) }
    }
}

/// Little-endian `f32`s.
fn base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
