//! Stored responses, their shapes: what of a request is stored, how a request that goes on
//! from an earlier response is made whole, what clients get who ask for one.
//!
//! Where they are kept is not known here.
//!
//! Source: the resource types of `openai` 3.54.0 (`types/responses/`), read 2026-11-22.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use message::{Call, Failure};
use serde_json::{Map, Value, json};

use super::resource::Page;
use crate::openai::fields::{At, Fields};
use crate::{Whole, json};

/// Tells the encoder of a call that was made whole which response it goes on from. Set by
/// the server, taken from clients, and forwarded to nobody.
pub const PREVIOUS_RESPONSE: HeaderName = HeaderName::from_static("x-outcrop-previous-response-id");

/// Begins the summary that stands in place of a compacted conversation.
pub const COMPACTION: &str = "outcrop.compaction:";

/// What a request says of storing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// Keep the response (the service's default).
    pub store: bool,
    /// Answer while the client is away.
    pub background: bool,
    /// Go on from this response.
    pub previous: Option<String>,
}

impl Wishes {
    /// Reads them without decoding the body.
    ///
    /// # Errors
    /// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the field.
    pub fn read(body: &[u8]) -> Result<Self, Failure> {
        let [store, background, previous] =
            json::members(body, ["store", "background", "previous_response_id"])?;
        let store = json::member(body, store, "store")?.unwrap_or(true);
        let background = json::member(body, background, "background")?.unwrap_or(false);
        let previous = json::member(body, previous, "previous_response_id")?;
        if background && !store {
            return Err(Failure::invalid_field("background", "needs `store` to be true"));
        }
        Ok(Self { store, background, previous })
    }
}

/// The items of a request's own `input`, as they are stored: each has an id.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) if `input` is no list of objects.
pub fn input_items(call: &Call) -> Result<Vec<Value>, Failure> {
    let [input] = json::members(&call.body, ["input"])?;
    let input: Option<Value> = json::member(&call.body, input, "input")?;
    let at = At::Root;
    let at = at.field("input");
    let items = match input {
        None => Vec::new(),
        Some(Value::String(said)) => {
            vec![
                json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": said}]}),
            ]
        }
        Some(Value::Array(items)) => items,
        Some(other) => return Err(at.expected("a string or an array of items", &other)),
    };
    let base = call.id.as_str().replace('-', "");
    let items = items.into_iter().enumerate().map(|(place, item)| {
        let Value::Object(mut item) = item else { return Err(at.item(place).expected("an object", &item)) };
        if item.get("id").is_none_or(Value::is_null) {
            item.insert("id".to_owned(), format!("in_{base}{place:04x}").into());
        }
        item.entry("type").or_insert_with(|| "message".into());
        if item["type"] == "message"
            && let Some(Value::String(said)) = item.get("content")
        {
            let kind = if item.get("role").is_some_and(|role| role == "assistant") {
                "output_text"
            } else {
                "input_text"
            };
            let part = json!([{"type": kind, "text": said}]);
            item.insert("content".to_owned(), part);
        }
        Ok(Value::Object(item))
    });
    items.collect()
}

/// The body with earlier items before its own, and without what says where they were.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the field.
pub fn expand(body: &[u8], before: Vec<Value>) -> Result<Bytes, Failure> {
    let mut fields = Fields::new(At::Root, json::decode::<Map<String, Value>>(body)?);
    fields.take_any("previous_response_id");
    let mut items: Vec<Value> = before.into_iter().map(without_ids).collect();
    match fields.take_any("input") {
        None | Some(Value::Null) => {}
        Some(Value::String(said)) => items.push(json!({"role": "user", "content": said})),
        Some(Value::Array(own)) => items.extend(own),
        Some(other) => return Err(At::Root.field("input").expected("a string or an array of items", &other)),
    }
    fields.put("input", items.into());
    Ok(Bytes::from(Value::Object(fields.rest()).to_string()))
}

/// Ids made here mean nothing to a vendor, who would look them up.
fn without_ids(mut item: Value) -> Value {
    if let Value::Object(fields) = &mut item
        && fields.get("type").is_none_or(|kind| kind != "reasoning" && kind != "item_reference")
    {
        fields.shift_remove("id");
        fields.shift_remove("status");
    }
    item
}

/// The body of a background request as it is sent: a stream that nobody waits for.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) if it is no object.
pub fn in_foreground(body: &[u8]) -> Result<Bytes, Failure> {
    let mut body: Map<String, Value> = json::decode(body)?;
    body.shift_remove("background");
    body.insert("stream".to_owned(), true.into());
    Ok(json::bytes(&Value::Object(body)))
}

/// The response to a request in the background before anything has come of it.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) if a setting that it repeats
/// cannot be read.
pub fn queued(call: &Call) -> Result<Value, Failure> {
    super::reply::queued(call)
}

/// A response as a whole answer.
pub fn whole(response: &Value) -> Whole {
    let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Whole { status: StatusCode::OK, headers, body: json::bytes(&response) }
}

/// The answer to a deletion.
pub fn deleted(id: &str) -> Whole {
    whole(&json!({"id": id, "object": "response", "deleted": true}))
}

/// A page of input items.
pub fn list(mut items: Vec<Value>, page: &Page) -> Whole {
    if !page.ascending {
        items.reverse();
    }
    let id = |item: &Value| item.get("id").and_then(Value::as_str).map(str::to_owned);
    let start = match &page.after {
        None => 0,
        Some(after) => {
            items.iter().position(|item| id(item).as_ref() == Some(after)).map_or(items.len(), |at| at + 1)
        }
    };
    let end = items.len().min(start + page.limit);
    let shown = &items[start..end];
    whole(&json!({
        "object": "list",
        "data": shown,
        "first_id": shown.first().and_then(id).unwrap_or_default(),
        "last_id": shown.last().and_then(id).unwrap_or_default(),
        "has_more": end < items.len(),
    }))
}
