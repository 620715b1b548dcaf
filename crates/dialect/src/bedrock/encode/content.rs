//! [`Block`]s of this dialect → Converse content blocks: the other half of
//! `bedrock/content`, which says what stands where in a block's `extra`.

use message::{
    Block, BlockKind, CacheMarker, Citation, Dialect, Document, Extra, Failure, Media, MediaSource, SPELLING,
    SearchResult, ToolOrigin,
};
use serde_json::{Map, Value, json};

use crate::bedrock::citation;
use crate::bedrock::media::Medium;
use crate::bedrock::whole::tool_input;

/// A list of content blocks.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported) for a block of another vendor.
pub(super) fn content(blocks: Vec<Block>) -> Result<Value, Failure> {
    let mut items = Vec::with_capacity(blocks.len());
    for Block { kind, cache, citations, mut extra } in blocks {
        let notes = notes(&mut extra);
        if notes.get("block").is_some_and(|block| block == "cachePoint") {
            items.push(cache_point(cache.unwrap_or_default(), extra));
            continue;
        }
        items.push(block(kind, &citations, extra, notes)?);
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

fn block(
    kind: BlockKind,
    citations: &[Citation],
    mut extra: Extra,
    mut notes: Extra,
) -> Result<Value, Failure> {
    if let Some(Value::Object(mut guarded)) = extra.shift_remove("guardContent") {
        let inner = self::notes(&mut guarded);
        return Ok(json!({ "guardContent": match kind {
            BlockKind::Image(media) => json!({ "image": file(media, Medium::Image, guarded, inner) }),
            other => json!({ "text": with("text", text_of(other), guarded) }),
        }}));
    }
    let cited = notes.shift_remove(CITED).or_else(|| extra.shift_remove(CITED));
    let cited = cited.or_else(|| {
        let citations: Vec<Value> = citations.iter().map(citation::write).collect();
        (!citations.is_empty()).then(|| json!({ "citations": citations }))
    });
    if let Some(Value::Object(cited)) = cited {
        let members = match pieces(text_of(kind), notes) {
            Some(content) => with("content", content, cited),
            None => Value::Object(cited),
        };
        return Ok(json!({ CITED: members }));
    }
    Ok(match kind {
        BlockKind::Text(text) if notes.get("block").is_some_and(|block| block == "json") => {
            json!({ "json": serde_json::from_str::<Value>(&text).unwrap_or(Value::String(text)) })
        }
        BlockKind::Text(text) | BlockKind::Refusal(text) => json!({ "text": text }),
        BlockKind::Image(media) => json!({ "image": file(media, Medium::Image, extra, notes) }),
        BlockKind::Document(Document { media, context, citations }) => {
            let config = citable(citations, &mut extra);
            let mut document = file(media, Medium::Document, extra, notes);
            for (name, value) in [("context", context.map(Value::from)), ("citations", config)] {
                if let Some(value) = value {
                    document[name] = value;
                }
            }
            json!({ "document": document })
        }
        BlockKind::SearchResult(result) => json!({ "searchResult": search_result(result, extra) }),
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

/// A text with citations.
const CITED: &str = "citationsContent";

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

/// `citations` of something that may be cited.
fn citable(enabled: Option<bool>, extra: &mut Extra) -> Option<Value> {
    let kept = extra.shift_remove("citations");
    let Some(enabled) = enabled else { return kept };
    let mut config = Map::from_iter([("enabled".to_owned(), Value::from(enabled))]);
    if let Some(Value::Object(kept)) = kept {
        config.extend(kept);
    }
    Some(Value::Object(config))
}

fn search_result(result: SearchResult, mut extra: Extra) -> Value {
    let SearchResult { source, title, content, citations } = result;
    let pieces = content.into_iter().map(|Block { kind, extra, .. }| with("text", text_of(kind), extra));
    let mut out = Map::from_iter([
        ("source".to_owned(), Value::from(source)),
        ("title".to_owned(), Value::from(title)),
        ("content".to_owned(), pieces.collect()),
    ]);
    out.extend(citable(citations, &mut extra).map(|config| ("citations".to_owned(), config)));
    out.extend(extra);
    Value::Object(out)
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
