//! Content blocks ⇄ the hub's [`Block`]s, both ways.
//!
//! Kinds without a field of their own in the hub (server tools and their results,
//! compaction …) are carried whole as [`BlockKind::Opaque`], as are kinds this
//! version does not know. Source: `content_block_param.py` and its beta sibling of the
//! Python SDK `anthropic` 2.12.0, read 2026-11-22.

use message::{
    Block, BlockKind, CacheMarker, Citation, Dialect, Document, Extra, Failure, Media, MediaSource, SPELLING,
    SearchResult, ToolOrigin,
};
use serde::ser::{Error, Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::citation;
use super::fields::{Fields, Path, each, expected};

/// Content as it is written: a bare string, or a list of blocks.
pub(super) struct Content {
    /// The blocks.
    pub(super) blocks: Vec<Block>,
    /// It was a bare string, or (with no blocks) not there at all.
    pub(super) plain: bool,
}

/// Reads `content`: a string or a list of blocks; `None` if the field is not there.
pub(super) fn content(value: Option<Value>, at: &Path<'_>) -> Result<Content, Failure> {
    match value {
        None => Ok(Content { blocks: Vec::new(), plain: true }),
        Some(Value::String(text)) => Ok(Content { blocks: vec![Block::text(text)], plain: true }),
        Some(Value::Array(items)) => Ok(Content { blocks: each(items, at, block)?, plain: false }),
        Some(other) => Err(expected(at, "a string or an array of content blocks", &other)),
    }
}

/// Reads one block.
pub(super) fn block(value: Value, at: &Path<'_>) -> Result<Block, Failure> {
    let kind = match value.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(other) => return Err(expected(&Path::Key(at, "type"), "a string", other)),
        None if value.is_object() => return Err(Path::Key(at, "type").fail("field required")),
        None => return Err(expected(at, "a content block", &value)),
    };
    let read = match kind {
        "text" => text,
        "image" => image,
        "document" => document,
        "search_result" => search_result,
        "tool_use" => tool_use,
        "tool_result" => tool_result,
        "thinking" => thinking,
        "redacted_thinking" => redacted_thinking,
        _ => return opaque(value, at),
    };
    let mut fields = Fields::of(value, at)?;
    fields.take("type");
    let kind = read(&mut fields, at)?;
    let cache = cache(&mut fields, at)?;
    let cited = matches!(kind, BlockKind::Text(_)).then(|| cited(&mut fields)).flatten();
    let mut extra = fields.rest();
    let mut citations = Vec::new();
    if let Some((read, written)) = cited {
        extra.insert(SPELLING.to_owned(), json!({"citations": written}));
        citations = read;
    }
    Ok(Block { kind, cache, citations, extra })
}

/// The citations of a text, and how they were written; `None` if it has none, or one that
/// this version does not know: then the field stays as it is.
fn cited(fields: &mut Fields<'_>) -> Option<(Vec<Citation>, Value)> {
    let items = fields.peek("citations")?.as_array().filter(|items| !items.is_empty())?;
    let read: Vec<Citation> =
        items.iter().cloned().map(|item| citation::read(item).ok()).collect::<Option<_>>()?;
    Some((read, fields.take("citations")?))
}

/// The whole value is kept; its cache marker is also shown to whoever looks for markers.
fn opaque(value: Value, at: &Path<'_>) -> Result<Block, Failure> {
    let marker = value.get("cache_control").cloned();
    let cache = match marker {
        None | Some(Value::Null) => None,
        Some(marker) => cache(&mut Fields::of(json!({"cache_control": marker}), at)?, at)?,
    };
    let kind = BlockKind::Opaque { dialect: Dialect::Anthropic, value };
    Ok(Block { cache, ..Block::new(kind) })
}

/// Reads `cache_control`. What a [`CacheMarker`] cannot hold (a scope) keeps the field.
pub(super) fn cache(fields: &mut Fields<'_>, at: &Path<'_>) -> Result<Option<CacheMarker>, Failure> {
    let Some(value) = fields.take("cache_control") else { return Ok(None) };
    let here = Path::Key(at, "cache_control");
    let mut control = Fields::of(value, &here)?;
    let kind = control.required_string("type")?;
    let ttl = control.string("ttl")?;
    if kind != EPHEMERAL {
        control.keep("type", kind.into());
    }
    if let Some(rest) = control.remainder() {
        fields.keep("cache_control", rest);
    }
    Ok(Some(CacheMarker { ttl }))
}

/// The only type of cache marker so far.
const EPHEMERAL: &str = "ephemeral";

fn text(fields: &mut Fields<'_>, _: &Path<'_>) -> Result<BlockKind, Failure> {
    fields.required_string("text").map(BlockKind::Text)
}

fn image(fields: &mut Fields<'_>, at: &Path<'_>) -> Result<BlockKind, Failure> {
    media(fields, at).map(BlockKind::Image)
}

fn document(fields: &mut Fields<'_>, at: &Path<'_>) -> Result<BlockKind, Failure> {
    let mut media = media(fields, at)?;
    media.name = fields.string("title")?;
    let context = fields.string("context")?;
    let citations = citable(fields, at)?;
    Ok(BlockKind::Document(Document { media, context, citations }))
}

fn search_result(fields: &mut Fields<'_>, at: &Path<'_>) -> Result<BlockKind, Failure> {
    let source = fields.required_string("source")?;
    let title = fields.required_string("title")?;
    let here = Path::Key(at, "content");
    let content = match fields.take("content") {
        Some(Value::Array(items)) => each(items, &here, block)?,
        Some(other) => return Err(expected(&here, "an array of text blocks", &other)),
        None => return Err(fields.missing("content")),
    };
    if let Some(place) = content.iter().position(|piece| piece.as_text().is_none()) {
        return Err(Path::Index(&here, place).fail("a search result holds text only"));
    }
    let citations = citable(fields, at)?;
    Ok(BlockKind::SearchResult(SearchResult { source, title, content, citations }))
}

/// Reads `citations` of something that may be cited: whether it should be.
fn citable(fields: &mut Fields<'_>, at: &Path<'_>) -> Result<Option<bool>, Failure> {
    let Some(value) = fields.take("citations") else { return Ok(None) };
    let here = Path::Key(at, "citations");
    let mut config = Fields::of(value, &here)?;
    let enabled = config.boolean("enabled")?;
    if let Some(rest) = config.remainder() {
        fields.keep("citations", rest);
    }
    Ok(enabled)
}

fn media(fields: &mut Fields<'_>, at: &Path<'_>) -> Result<Media, Failure> {
    let here = Path::Key(at, "source");
    let value = fields.take("source").ok_or_else(|| fields.missing("source"))?;
    let known = matches!(value.get("type").and_then(Value::as_str), Some("base64" | "text" | "url"));
    if !known && value.get("type").is_some_and(Value::is_string) {
        // An uploaded file, blocks as a document, or what is yet to come.
        return Ok(Media { media_type: None, name: None, source: MediaSource::Reference(value) });
    }
    let mut source = Fields::of(value, &here)?;
    let kind = source.required_string("type")?;
    let media_type = if kind == "url" { None } else { Some(source.required_string("media_type")?) };
    let read = match kind.as_str() {
        "base64" => MediaSource::Base64(source.required_string("data")?),
        "text" => MediaSource::Text(source.required_string("data")?),
        _ => MediaSource::Url(source.required_string("url")?),
    };
    let rest = source.rest();
    if !rest.is_empty() {
        fields.keep("source", Value::Object(rest));
    }
    Ok(Media { media_type, name: None, source: read })
}

fn tool_use(fields: &mut Fields<'_>, _: &Path<'_>) -> Result<BlockKind, Failure> {
    let id = fields.required_string("id")?;
    let name = fields.required_string("name")?;
    let input = fields.take("input").ok_or_else(|| fields.missing("input"))?.to_string();
    Ok(BlockKind::ToolUse { id, name, input, origin: ToolOrigin::Client })
}

fn tool_result(fields: &mut Fields<'_>, at: &Path<'_>) -> Result<BlockKind, Failure> {
    let id = fields.required_string("tool_use_id")?;
    let Content { blocks, plain } = content(fields.take("content"), &Path::Key(at, "content"))?;
    let is_error = fields.boolean("is_error")?;
    Ok(BlockKind::ToolResult { id, content: blocks, plain, is_error })
}

fn thinking(fields: &mut Fields<'_>, _: &Path<'_>) -> Result<BlockKind, Failure> {
    let text = fields.required_string("thinking")?;
    Ok(BlockKind::Thinking { text, signature: fields.string("signature")? })
}

fn redacted_thinking(fields: &mut Fields<'_>, _: &Path<'_>) -> Result<BlockKind, Failure> {
    fields.required_string("data").map(BlockKind::RedactedThinking)
}

/// A part of the hub as this dialect writes it.
pub(super) struct Wire<T>(pub(super) T);

impl Serialize for Wire<&Block> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Block { kind, cache, citations, extra } = self.0;
        if let BlockKind::Opaque { dialect: Dialect::Anthropic, value } = kind {
            return value.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        let mut written: &[&str] = &[];
        match kind {
            BlockKind::Text(text) | BlockKind::Refusal(text) => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
                if let Some(spelt) = extra.get(SPELLING).and_then(|notes| notes.get("citations")) {
                    map.serialize_entry("citations", spelt)?;
                } else if !citations.is_empty() {
                    let citations: Vec<Value> = citations.iter().filter_map(citation::write).collect();
                    map.serialize_entry("citations", &citations)?;
                }
            }
            BlockKind::Image(media) => {
                map.serialize_entry("type", "image")?;
                map.serialize_entry("source", &Source { media, rest: extra.get("source") })?;
                written = &["source"];
            }
            BlockKind::Document(Document { media, context, citations }) => {
                map.serialize_entry("type", "document")?;
                map.serialize_entry("source", &Source { media, rest: extra.get("source") })?;
                written = &["source", "citations"];
                if let Some(title) = &media.name {
                    map.serialize_entry("title", title)?;
                }
                if let Some(context) = context {
                    map.serialize_entry("context", context)?;
                }
                write_citable(&mut map, *citations, extra)?;
            }
            BlockKind::SearchResult(SearchResult { source, title, content, citations }) => {
                map.serialize_entry("type", "search_result")?;
                map.serialize_entry("source", source)?;
                map.serialize_entry("title", title)?;
                map.serialize_entry("content", &Wire(content.as_slice()))?;
                written = &["citations"];
                write_citable(&mut map, *citations, extra)?;
            }
            BlockKind::ToolUse { id, name, input, .. } => {
                map.serialize_entry("type", "tool_use")?;
                map.serialize_entry("id", id)?;
                map.serialize_entry("name", name)?;
                let input: &RawValue = serde_json::from_str(input).map_err(S::Error::custom)?;
                map.serialize_entry("input", input)?;
            }
            BlockKind::ToolResult { id, content, plain, is_error } => {
                map.serialize_entry("type", "tool_result")?;
                map.serialize_entry("tool_use_id", id)?;
                write_content(&mut map, content, *plain)?;
                if let Some(is_error) = is_error {
                    map.serialize_entry("is_error", is_error)?;
                }
            }
            BlockKind::Thinking { text, signature } => {
                map.serialize_entry("type", "thinking")?;
                map.serialize_entry("thinking", text)?;
                if let Some(signature) = signature {
                    map.serialize_entry("signature", signature)?;
                }
            }
            BlockKind::RedactedThinking(data) => {
                map.serialize_entry("type", "redacted_thinking")?;
                map.serialize_entry("data", data)?;
            }
            BlockKind::Audio(_) | BlockKind::Video(_) | BlockKind::Opaque { .. } => {
                return Err(S::Error::custom("a block that this dialect cannot express"));
            }
        }
        write_marked(&mut map, cache.as_ref(), extra, written)?;
        map.end()
    }
}

impl Serialize for Wire<&[Block]> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Wire))
    }
}

/// Writes `content` the way it was read; see [`Content::plain`].
pub(super) fn write_content<M: SerializeMap>(
    map: &mut M,
    blocks: &[Block],
    plain: bool,
) -> Result<(), M::Error> {
    match blocks {
        [] if plain => Ok(()),
        [Block { kind: BlockKind::Text(text), .. }] if plain => map.serialize_entry("content", text),
        _ => map.serialize_entry("content", &Wire(blocks)),
    }
}

/// Writes `citations` of something that may be cited.
fn write_citable<M: SerializeMap>(map: &mut M, enabled: Option<bool>, extra: &Extra) -> Result<(), M::Error> {
    let rest = extra.get("citations");
    let Some(enabled) = enabled else {
        return rest.map_or(Ok(()), |rest| map.serialize_entry("citations", rest));
    };
    let mut config = Extra::from_iter([("enabled".to_owned(), enabled.into())]);
    config.extend(rest.and_then(Value::as_object).cloned().unwrap_or_default());
    map.serialize_entry("citations", &config)
}

/// Writes a cache marker and what home kept, but for the fields `written` already.
pub(super) fn write_marked<M: SerializeMap>(
    map: &mut M,
    cache: Option<&CacheMarker>,
    extra: &Extra,
    written: &[&str],
) -> Result<(), M::Error> {
    let Some(CacheMarker { ttl }) = cache else { return write_extra(map, extra, written) };
    let mut control = json!({"type": EPHEMERAL});
    if let Some(ttl) = ttl {
        control["ttl"] = ttl.as_str().into();
    }
    if let Some(Value::Object(rest)) = extra.get("cache_control") {
        for (key, value) in rest {
            control[key] = value.clone();
        }
    }
    map.serialize_entry("cache_control", &control)?;
    write_extra(map, extra, &[written, &["cache_control"]].concat())
}

/// Writes what home kept, but for the fields `written` already.
pub(super) fn write_extra<M: SerializeMap>(
    map: &mut M,
    extra: &Extra,
    written: &[&str],
) -> Result<(), M::Error> {
    for (key, value) in extra {
        if key != SPELLING && !written.contains(&key.as_str()) {
            map.serialize_entry(key, value)?;
        }
    }
    Ok(())
}

/// The `source` of an image or document.
struct Source<'a> {
    media: &'a Media,
    rest: Option<&'a Value>,
}

impl Serialize for Source<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Media { media_type, source, .. } = self.media;
        if let MediaSource::Reference(value) = source {
            return value.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        match source {
            MediaSource::Base64(data) => {
                map.serialize_entry("type", "base64")?;
                map.serialize_entry("media_type", media_type)?;
                map.serialize_entry("data", data)?;
            }
            MediaSource::Text(data) => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("media_type", media_type)?;
                map.serialize_entry("data", data)?;
            }
            MediaSource::Url(url) => {
                map.serialize_entry("type", "url")?;
                map.serialize_entry("url", url)?;
            }
            MediaSource::Reference(_) => {}
        }
        if let Some(Value::Object(rest)) = self.rest {
            write_extra(&mut map, rest, &[])?;
        }
        map.end()
    }
}
