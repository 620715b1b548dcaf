//! Responses that are kept: made whole from earlier ones, recorded as they are answered,
//! answered in the background, asked for again.
//!
//! Where they lie is `platform`'s, what they look like `dialect`'s; here the two meet.
//! Only calls of the Responses dialect come this way.

mod background;
mod compact;
mod record;
mod resource;

use std::sync::Arc;

use bytes::Bytes;
use dialect::openai::responses::inbound::previous_not_found;
use dialect::openai::responses::stored::{self, PREVIOUS_RESPONSE, Wishes};
use http::{HeaderMap, HeaderValue, Response};
use message::{Call, Failure, NewCall, Operation};
use platform::responses::{Kept, Responses};
use serde_json::Value;

use crate::body::ResponseBody;
use crate::reply;
use crate::route::Router;

use self::record::Recording;
pub(crate) use self::resource::{Asked, command};

/// Answers a call of the Responses dialect, keeping what its client wants kept.
///
/// # Errors
/// Whatever fails before the response head can be sent.
pub(crate) async fn answer(
    mut call: Call,
    responses: &Responses,
    router: &Router,
) -> Result<Response<ResponseBody>, Failure> {
    let wishes = Wishes::read(&call.body)?;
    let own = if wishes.store { stored::input_items(&call)? } else { Vec::new() };
    let mut previous = None;
    if let Some(id) = &wishes.previous {
        match history(responses, &call, id).await? {
            Some(items) => {
                let body = stored::expand(&call.body, items)?;
                call = with_body(call, body, Some(id))?;
                previous = Some(id.clone());
            }
            // Made here, and gone: no vendor can have it. Others may be the vendor's own.
            None if is_ours(id) => return Err(previous_not_found(id)),
            None => {}
        }
    }
    if call.operation != Operation::Chat || !wishes.store {
        return reply::answer(call, &router.gateway.service, &router.shutdown, router.keepalive).await;
    }
    let input = Value::Array(own).to_string();
    let keep = Keep { responses: responses.clone(), previous, input };
    if wishes.background {
        return background::answer(call, keep, router).await;
    }
    let recording = Recording::service(router.gateway.service.clone(), keep);
    reply::answer(call, &recording, &router.shutdown, router.keepalive).await
}

/// What is kept beside the response itself, and where.
#[derive(Clone)]
struct Keep {
    responses: Responses,
    previous: Option<String>,
    input: String,
}

impl Keep {
    /// Keeps a whole response object.
    fn response(&self, call: &Call, response: &Value) {
        let Some(id) = response.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()) else { return };
        self.responses.keep(Kept {
            principal: Arc::clone(&call.principal.key_id),
            id: id.to_owned(),
            previous: self.previous.clone(),
            response: response.to_string(),
            input: self.input.clone(),
        });
    }
}

/// Whether an id has the form of those made here: the hexadecimal digits of a UUID.
fn is_ours(id: &str) -> bool {
    const DIGITS: usize = 32;
    id.strip_prefix("resp_")
        .is_some_and(|hex| hex.len() == DIGITS && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Every item up to and including an earlier response's output; `None` if it is not here.
async fn history(responses: &Responses, call: &Call, id: &str) -> Result<Option<Vec<Value>>, Failure> {
    let Some(turns) = responses.history(&call.principal.key_id, id).await? else { return Ok(None) };
    let mut items = Vec::new();
    for turn in turns {
        items.extend(items_of(&turn.input)?);
        let mut response: Value = serde_json::from_str(&turn.response).map_err(Failure::internal)?;
        if matches!(response["status"].as_str(), Some("queued" | "in_progress")) {
            let message = "the previous response is still being answered; wait for it";
            return Err(Failure::invalid_field("previous_response_id", message));
        }
        items.extend(output_of(&mut response));
    }
    Ok(Some(items))
}

/// Takes the items of a response.
fn output_of(response: &mut Value) -> Vec<Value> {
    match response.get_mut("output").map(Value::take) {
        Some(Value::Array(output)) => output,
        _ => Vec::new(),
    }
}

fn items_of(input: &str) -> Result<Vec<Value>, Failure> {
    serde_json::from_str(input).map_err(Failure::internal)
}

/// The same call with another body, which goes on from `previous`.
fn with_body(call: Call, body: Bytes, previous: Option<&str>) -> Result<Call, Failure> {
    let inbound = dialect::inbound(call.dialect, call.operation, None, false, &body)?;
    let mut headers = HeaderMap::clone(&call.headers);
    headers.remove(&PREVIOUS_RESPONSE);
    if let Some(id) = previous.and_then(|id| HeaderValue::from_str(id).ok()) {
        headers.insert(PREVIOUS_RESPONSE, id);
    }
    Ok(Call::new(NewCall {
        id: call.id,
        operation: call.operation,
        dialect: call.dialect,
        head: inbound.head,
        body,
        headers: Arc::new(headers),
        principal: call.principal,
        received: call.received,
        strict: call.strict,
        decode: inbound.decode,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_here_are_known() {
        assert!(is_ours("resp_0b5e77aa0b5e77aa0b5e77aa0b5e77aa"));
        for id in ["resp_68f2a0b5e77aa0b5e77aa0b5e77aa0b5e77aa0b5e77aa0b5e77aa", "resp_x", "0b5e", ""] {
            assert!(!is_ours(id), "{id}");
        }
    }
}
