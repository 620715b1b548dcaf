//! Claude on Vertex AI: the same dialect under other paths.
//!
//! The model stands in the path, `anthropic_version` in the body, and betas stay a
//! header. A client's own body is changed by one splice: the member `"model": …` gives
//! its place to the version. Source: `lib/vertex/_client.py` of `anthropic` 2.12.0
//! (`_prepare_options`), read 2026-11-22. The project and region are part of the base
//! URL: `https://{region}-aiplatform.googleapis.com/v1/projects/{project}/locations/{region}`.

use std::ops::Range;

use bytes::Bytes;
use message::{Call, Failure, Operation};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::json;

/// The version Vertex AI knows.
const VERSION: &str = "vertex-2023-10-16";

/// What stays as it is in a path's segment. `@` is part of Vertex' model names
/// (`claude-sonnet-4-5@20250929`); `:` would begin the verb.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'@');

/// The path of an operation, below the location.
pub(super) fn path(call: &Call, model: &str) -> String {
    let verb = match (call.operation, call.head.stream) {
        (Operation::CountTokens, _) => {
            return "/publishers/anthropic/models/count-tokens:rawPredict".to_owned();
        }
        (_, true) => "streamRawPredict",
        (_, false) => "rawPredict",
    };
    format!("/publishers/anthropic/models/{}:{verb}", utf8_percent_encode(model, SEGMENT))
}

/// A client's own body for Vertex AI; `span` is where the value of `model` stands.
pub(super) fn spliced(call: &Call, span: Range<usize>, model: &str) -> Result<Vec<Bytes>, Failure> {
    let [version] = json::members(&call.body, ["anthropic_version"]).map_err(Failure::internal)?;
    let key = member_start(&call.body, span.start);
    match (version, key) {
        // A token count names its model in the body.
        (None, Some(start)) if call.operation == Operation::CountTokens => {
            let member = format!("\"anthropic_version\":\"{VERSION}\",\"model\":{}", Value::from(model));
            Ok(replaced(&call.body, start..span.end, member))
        }
        (None, Some(start)) => {
            let member = format!("\"anthropic_version\":\"{VERSION}\"");
            Ok(replaced(&call.body, start..span.end, member))
        }
        _ => {
            let mut body: Map<String, Value> = json::decode(&call.body)?;
            written(&mut body, call.operation);
            if call.operation == Operation::CountTokens {
                body.insert("model".to_owned(), model.into());
            }
            serde_json::to_vec(&body).map(|body| vec![body.into()]).map_err(Failure::internal)
        }
    }
}

/// A body written here for Vertex AI.
pub(super) fn rewritten(pieces: Vec<Bytes>, operation: Operation) -> Result<Vec<Bytes>, Failure> {
    let mut body: Map<String, Value> = serde_json::from_slice(&pieces.concat()).map_err(Failure::internal)?;
    written(&mut body, operation);
    serde_json::to_vec(&body).map(|body| vec![body.into()]).map_err(Failure::internal)
}

fn written(body: &mut Map<String, Value>, operation: Operation) {
    if operation != Operation::CountTokens {
        body.shift_remove("model");
    }
    // Whatever stood there named a version of another server.
    body.insert("anthropic_version".to_owned(), VERSION.into());
}

fn replaced(body: &Bytes, span: Range<usize>, member: String) -> Vec<Bytes> {
    vec![body.slice(..span.start), member.into(), body.slice(span.end..)]
}

/// Where the member begins whose value begins at `value`: its key's opening quote. The
/// key is `model`, however it is escaped, so no quote stands within it.
fn member_start(body: &[u8], value: usize) -> Option<usize> {
    let closing = memchr::memrchr(b'"', body.get(..value)?)?;
    memchr::memrchr(b'"', body.get(..closing)?)
}
