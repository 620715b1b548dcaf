//! A conversation made shorter: the model sums it up, and the summary stands in its place.
//!
//! Any model can do it, wherever it runs. What comes back is one `compaction` item, which
//! the client sends in place of everything before; a model is given it as plain text.
//!
//! Source: `ResponseCompactParams`, `CompactedResponse` of `openai` 3.54.0, read 2026-11-22.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dialect::Whole;
use dialect::openai::responses::inbound::previous_not_found;
use dialect::openai::responses::stored::{self, COMPACTION};
use futures_util::StreamExt;
use message::{
    Call, Completion, Dialect, ErrorKind, Event, Failure, NewCall, Operation, Principal, RequestId, Service,
};
use platform::responses::Responses;
use serde_json::{Map, Value, json};

use super::{history, with_body};
use crate::body::cut_short;
use crate::route::Router;

/// What the model is asked, after all that was said.
const ASK: &str = "Sum up this conversation so that it can go on from your summary alone. Keep the \
goal, every decision and fact that still matters (names, paths, values, code), what was done and \
what remains to be done. Leave out pleasantries. Answer with the summary only.";

/// What stands before the summary when a model reads it.
const LEAD: &str = "Summary of the conversation so far:\n\n";

/// Settings that a summary is made under; the others are an answer's.
const TAKEN: [&str; 6] =
    ["model", "instructions", "input", "previous_response_id", "prompt_cache_key", "service_tier"];

/// Asks for the summary.
///
/// # Errors
/// Whatever the model's call fails with; [`Upstream`](ErrorKind::Upstream) for an empty summary.
pub(super) async fn answer(
    body: &Bytes,
    principal: &Principal,
    id: &RequestId,
    responses: &Responses,
    router: &Router,
) -> Result<Whole, Failure> {
    let asked: Map<String, Value> = dialect::json::decode(body)?;
    let mut sent: Map<String, Value> = asked
        .into_iter()
        .filter(|(name, value)| TAKEN.contains(&name.as_str()) && !value.is_null())
        .collect();
    sent.insert("store".to_owned(), false.into());
    let mut call = new_call(Value::Object(sent), principal, id)?;
    let previous = stored::Wishes::read(&call.body)?.previous;
    let mut items = Vec::new();
    if let Some(id) = &previous {
        items = history(responses, &call, id).await?.ok_or_else(|| previous_not_found(id))?;
    }
    items.extend(stored::input_items(&call)?);
    items.push(json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": ASK}]}));
    let without_input: Map<String, Value> = {
        let mut body: Map<String, Value> = dialect::json::decode(&call.body)?;
        body.shift_remove("input");
        body
    };
    let expanded = stored::expand(Value::Object(without_input).to_string().as_bytes(), items)?;
    call = with_body(call, expanded, None)?;
    let response = run(call, router).await?;
    let summary = text_of(&response);
    if summary.is_empty() {
        return Err(Failure::new(
            ErrorKind::Upstream,
            "the model gave no summary; try again, or with another model",
        ));
    }
    let hex = id.as_str().replace('-', "");
    let created_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Ok(stored::whole(&json!({
        "id": format!("resp_{hex}"),
        "object": "response.compaction",
        "created_at": created_s,
        "output": [{
            "id": format!("cmp_{hex}"),
            "type": "compaction",
            "encrypted_content": format!("{COMPACTION}{LEAD}{summary}"),
        }],
        "usage": response["usage"],
    })))
}

fn new_call(body: Value, principal: &Principal, id: &RequestId) -> Result<Call, Failure> {
    let body = Bytes::from(body.to_string());
    let inbound = dialect::inbound(Dialect::OpenAiResponses, Operation::Chat, None, false, &body)?;
    Ok(Call::new(NewCall {
        id: id.clone(),
        operation: Operation::Chat,
        dialect: Dialect::OpenAiResponses,
        head: inbound.head,
        body,
        headers: Arc::default(),
        principal: principal.clone(),
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    }))
}

/// The whole response to a call.
async fn run(call: Call, router: &Router) -> Result<Value, Failure> {
    let mut reply = router.gateway.service.call(call.clone()).await?;
    let (mut completion, mut body) = (Completion::default(), Vec::new());
    while let Some(event) = reply.events.next().await {
        match event? {
            Event::Frame(frame) => body.extend_from_slice(&frame.bytes),
            event => completion.push(event),
        }
    }
    if body.is_empty() {
        completion.finish.as_ref().ok_or_else(cut_short)?;
        body = dialect::reply_encoder(&call).whole(completion).body.into();
    }
    serde_json::from_slice(&body).map_err(Failure::internal)
}

fn text_of(response: &Value) -> String {
    let items = response["output"].as_array().into_iter().flatten();
    let parts = items.filter_map(|item| item["content"].as_array()).flatten();
    let texts = parts.filter(|part| part["type"] == "output_text").filter_map(|part| part["text"].as_str());
    texts.collect()
}
