//! [`Block`]s of this dialect → Converse content blocks: the other half of
//! `bedrock/content`, which says what stands where in a block's `extra`.

use message::{
    Block, BlockKind, CacheMarker, Dialect, Extra, Failure, Media, MediaSource, SPELLING, ToolOrigin,
};
use serde_json::{Map, Value, json};

use crate::bedrock::media::Medium;
use crate::bedrock::whole::tool_input;

/// A list of content blocks.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported) for a block of another vendor.
pub(super) fn content(blocks: Vec<Block>) -> Result<Value, Failure> {
    let mut items = Vec::with_capacity(blocks.len());
    for Block { kind, cache, mut extra } in blocks {
        let notes = notes(&mut extra);
        if notes.get("block").is_some_and(|block| block == "cachePoint") {
            items.push(cache_point(cache.unwrap_or_default(), extra));
            continue;
        }
        items.push(block(kind, extra, notes)?);
        items.extend(cache.map(|marker| cache_point(marker, Extra::new())));
    }
    Ok(Value::Array(items))
}

pub(super) fn cache_point(marker: CacheMarker, kept: Extra) -> Value {
    let mut point = Map::from_iter([("type".to_owned(), Value::from("default"))]);
    point.extend(marker.ttl.map(|ttl| ("ttl".to_owned(), Value::from(ttl))));
    point.extend(kept);
    json!({ "cachePoint": point })
}

/// How the block was written, taken out of what it says.
fn notes(extra: &mut Extra) -> Extra {
    match extra.shift_remove(SPELLING) {
        Some(Value::Object(notes)) => notes,
        _ => Extra::new(),
    }
}

fn block(kind: BlockKind, mut extra: Extra, notes: Extra) -> Result<Value, Failure> {
    if let Some(Value::Object(mut guarded)) = extra.shift_remove("guardContent") {
        let inner = self::notes(&mut guarded);
        return Ok(json!({ "guardContent": match kind {
            BlockKind::Image(media) => json!({ "image": file(media, Medium::Image, guarded, inner) }),
            other => json!({ "text": with("text", text_of(other), guarded) }),
        }}));
    }
    if let Some(Value::Object(cited)) = extra.shift_remove("citationsContent") {
        let members = match pieces(text_of(kind), notes) {
            Some(content) => with("content", content, cited),
            None => Value::Object(cited),
        };
        return Ok(json!({ "citationsContent": members }));
    }
    Ok(match kind {
        BlockKind::Text(text) if notes.get("block").is_some_and(|block| block == "json") => {
            json!({ "json": serde_json::from_str::<Value>(&text).unwrap_or(Value::String(text)) })
        }
        BlockKind::Text(text) | BlockKind::Refusal(text) => json!({ "text": text }),
        BlockKind::Document(media) if extra.contains_key("searchResult") => {
            search_result(media, extra, notes)
        }
        BlockKind::Image(media) => json!({ "image": file(media, Medium::Image, extra, notes) }),
        BlockKind::Document(media) => json!({ "document": file(media, Medium::Document, extra, notes) }),
        BlockKind::Audio(media) => json!({ "audio": file(media, Medium::Audio, extra, notes) }),
        BlockKind::Video(media) => json!({ "video": file(media, Medium::Video, extra, notes) }),
        BlockKind::ToolUse { id, name, input, origin } => {
            let mut tool = Map::new();
            tool.insert("toolUseId".to_owned(), Value::from(id));
            tool.insert("name".to_owned(), Value::from(name));
            let input = serde_json::from_str(&input).unwrap_or_else(|_| tool_input(input));
            tool.insert("input".to_owned(), input);
            if origin == ToolOrigin::Server {
                tool.insert("type".to_owned(), Value::from("server_tool_use"));
            }
            tool.extend(extra);
            json!({ "toolUse": tool })
        }
        BlockKind::ToolResult { id, content: blocks, is_error, .. } => {
            let mut result = Map::new();
            result.insert("toolUseId".to_owned(), Value::from(id));
            result.insert("content".to_owned(), content(blocks)?);
            let status = is_error.map(|failed| if failed { "error" } else { "success" });
            result.extend(status.map(|status| ("status".to_owned(), Value::from(status))));
            result.extend(extra);
            json!({ "toolResult": result })
        }
        BlockKind::Thinking { text, signature } => {
            let mut shown = Map::from_iter([("text".to_owned(), Value::from(text))]);
            shown.extend(signature.map(|seal| ("signature".to_owned(), Value::from(seal))));
            shown.extend(extra);
            json!({ "reasoningContent": { "reasoningText": shown } })
        }
        BlockKind::RedactedThinking(data) => json!({ "reasoningContent": { "redactedContent": data } }),
        BlockKind::Opaque { dialect: Dialect::BedrockConverse, value } => value,
        BlockKind::Opaque { dialect, .. } => {
            return Err(Failure::unsupported(format!("Converse has no words for a block of {dialect}")));
        }
    })
}

fn with(name: &str, value: impl Into<Value>, kept: Extra) -> Value {
    let mut members = Map::from_iter([(name.to_owned(), value.into())]);
    members.extend(kept);
    Value::Object(members)
}

fn text_of(kind: BlockKind) -> String {
    match kind {
        BlockKind::Text(text) => text,
        _ => String::new(),
    }
}

/// Text as the list of pieces it was; `None` if the list was not there.
fn pieces(text: String, mut notes: Extra) -> Option<Value> {
    match notes.shift_remove("content") {
        Some(Value::Null) => None,
        Some(spelt) => Some(spelt),
        None => Some(json!([{ "text": text }])),
    }
}

fn search_result(media: Media, mut extra: Extra, notes: Extra) -> Value {
    let mut result = match extra.shift_remove("searchResult") {
        Some(Value::Object(kept)) => kept,
        _ => Extra::new(),
    };
    result.insert("title".to_owned(), Value::from(media.name.unwrap_or_default()));
    let text = match media.source {
        MediaSource::Text(text) => text,
        _ => String::new(),
    };
    result.extend(pieces(text, notes).map(|content| ("content".to_owned(), content)));
    json!({ "searchResult": result })
}

/// An image, document, audio or video.
fn file(media: Media, medium: Medium, extra: Extra, mut notes: Extra) -> Value {
    let Media { media_type, name, source } = media;
    let mut members = Map::new();
    let known = media_type.as_deref().and_then(|media_type| medium.format(media_type)).map(Value::from);
    members.extend(notes.shift_remove("format").or(known).map(|format| ("format".to_owned(), format)));
    if medium == Medium::Document {
        members.insert("name".to_owned(), Value::from(name.unwrap_or_default()));
    }
    let source = match (source, notes.shift_remove("content")) {
        (MediaSource::Text(_), Some(content)) => json!({ "content": content }),
        (MediaSource::Text(text), None) => json!({ "text": text }),
        (MediaSource::Base64(data), _) => json!({ "bytes": data }),
        (MediaSource::Reference(place), _) => place,
        (MediaSource::Url(uri), _) => json!({ "s3Location": { "uri": uri } }),
    };
    members.insert("source".to_owned(), source);
    members.extend(extra);
    Value::Object(members)
}
