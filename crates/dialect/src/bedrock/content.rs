//! Converse content blocks → [`Block`]s.
//!
//! Every block of the model is understood or kept whole. Where a Converse block says
//! more than the hub's, the rest stays in the block's `extra` under the block's own
//! name (`guardContent`, `citationsContent`) and how it was written under
//! [`SPELLING`](message::SPELLING), from which it can be written back; to any other
//! dialect it is what it is made of: text, its citations, a cache marker.
//!
//! Source: `ContentBlock` and its members, bedrock-runtime service model of botocore
//! 1.44.5 (read 2026-11-22).

use message::{
    Block, BlockKind, CacheMarker, Citation, Dialect, Document, Extra, Failure, SearchResult, ToolOrigin,
};
use serde_json::{Value, json};

use super::citation;
use super::media::{self, Medium, read_pieces};
use super::wire::{At, Object, leave, list, spell, string, union};

const BLOCKS: &str = "text, image, document, video, audio, toolUse, toolResult, reasoningContent, \
                      cachePoint, guardContent, citationsContent, searchResult, toolAddition, toolRemoval";

/// Reads a list of content blocks. A cache point becomes a marker on the block before it.
pub(super) fn read(value: Value, at: At<'_>) -> Result<Vec<Block>, Failure> {
    let items = list(value, at)?;
    let mut blocks: Vec<Block> = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let at = at.index(index);
        let (member, value) = union(item, at, BLOCKS)?;
        if member != "cachePoint" {
            blocks.push(block(&member, value, at.key(&member))?);
            continue;
        }
        let (marker, extra) = cache_point(value, at.key("cachePoint"))?;
        match blocks.last_mut() {
            Some(block) if block.cache.is_none() && extra.is_empty() => block.cache = Some(marker),
            // Nothing to mark: an empty text carries it, which no model sees.
            _ => {
                let mut carrier = Block { cache: Some(marker), extra, ..Block::text("") };
                spell(&mut carrier.extra, "block", Value::from("cachePoint"));
                blocks.push(carrier);
            }
        }
    }
    Ok(blocks)
}

/// Reads `{"type": "default", "ttl": …}`; what it says beyond that comes second.
pub(super) fn cache_point(value: Value, at: At<'_>) -> Result<(CacheMarker, Extra), Failure> {
    let mut point = Object::new(value, at)?;
    let kind = point.string("type")?.filter(|kind| kind != "default");
    let ttl = point.string("ttl")?;
    let mut extra = point.rest();
    extra.extend(kind.map(|kind| ("type".to_owned(), Value::String(kind))));
    Ok((CacheMarker { ttl }, extra))
}

fn block(member: &str, value: Value, at: At<'_>) -> Result<Block, Failure> {
    let mut extra = Extra::new();
    let mut citations = Vec::new();
    let kind = match member {
        "text" => BlockKind::Text(string(value, at)?),
        "image" => BlockKind::Image(media::read(value, at, Medium::Image, &mut extra)?),
        "document" => document(value, at, &mut extra)?,
        "audio" => BlockKind::Audio(media::read(value, at, Medium::Audio, &mut extra)?),
        "video" => BlockKind::Video(media::read(value, at, Medium::Video, &mut extra)?),
        "toolUse" => tool_use(value, at, &mut extra)?,
        "toolResult" => tool_result(value, at, &mut extra)?,
        "reasoningContent" => reasoning(value, at, &mut extra)?,
        "guardContent" => guarded(value, at, &mut extra)?,
        "citationsContent" => cited(value, at, &mut extra, &mut citations)?,
        "searchResult" => search_result(value, at, &mut extra)?,
        // Only inside tool results: a JSON document, which is text to everyone else.
        "json" => {
            spell(&mut extra, "block", Value::from("json"));
            BlockKind::Text(value.to_string())
        }
        // toolAddition, toolRemoval, and whatever a newer client knows.
        _ => BlockKind::Opaque { dialect: Dialect::BedrockConverse, value: json!({ member: value }) },
    };
    Ok(Block { kind, cache: None, citations, extra })
}

fn tool_use(value: Value, at: At<'_>, extra: &mut Extra) -> Result<BlockKind, Failure> {
    let mut tool = Object::new(value, at)?;
    let id = tool.require_string("toolUseId")?;
    let name = tool.require_string("name")?;
    let input = tool.require("input")?.to_string();
    let origin = match tool.string("type")?.as_deref() {
        None => ToolOrigin::Client,
        Some("server_tool_use") => ToolOrigin::Server,
        Some(_) => return Err(at.key("type").wrong("must be `server_tool_use`, or left out")),
    };
    extra.extend(tool.rest());
    Ok(BlockKind::ToolUse { id, name, input, origin })
}

fn tool_result(value: Value, at: At<'_>, extra: &mut Extra) -> Result<BlockKind, Failure> {
    let mut result = Object::new(value, at)?;
    let id = result.require_string("toolUseId")?;
    let content = result.require("content")?;
    let content = read(content, at.key("content"))?;
    if content.iter().any(|block| matches!(block.kind, BlockKind::ToolResult { .. })) {
        return Err(at.key("content").wrong("a tool result cannot hold another"));
    }
    let is_error = match result.string("status")?.as_deref() {
        None => None,
        Some("success") => Some(false),
        Some("error") => Some(true),
        Some(_) => return Err(at.key("status").wrong("must be `success` or `error`")),
    };
    extra.extend(result.rest());
    Ok(BlockKind::ToolResult { id, content, plain: false, is_error })
}

fn reasoning(value: Value, at: At<'_>, extra: &mut Extra) -> Result<BlockKind, Failure> {
    let (member, value) = union(value, at, "reasoningText, redactedContent")?;
    let at = at.key(&member);
    match member.as_str() {
        "reasoningText" => {
            let mut shown = Object::new(value, at)?;
            let text = shown.require_string("text")?;
            let signature = shown.string("signature")?;
            extra.extend(shown.rest());
            Ok(BlockKind::Thinking { text, signature })
        }
        "redactedContent" => string(value, at).map(BlockKind::RedactedThinking),
        _ => Err(at.wrong("expected reasoningText or redactedContent")),
    }
}

/// Content marked for guardrails is ordinary content, and a mark.
fn guarded(value: Value, at: At<'_>, extra: &mut Extra) -> Result<BlockKind, Failure> {
    let (member, value) = union(value, at, "text, image")?;
    let at = at.key(&member);
    let mut rest = Extra::new();
    let kind = match member.as_str() {
        "text" => {
            let mut guarded = Object::new(value, at)?;
            let text = guarded.require_string("text")?;
            rest.extend(guarded.rest());
            BlockKind::Text(text)
        }
        "image" => BlockKind::Image(media::read(value, at, Medium::Image, &mut rest)?),
        _ => return Err(at.wrong("expected text or image")),
    };
    extra.insert("guardContent".to_owned(), Value::Object(rest));
    Ok(kind)
}

fn document(value: Value, at: At<'_>, extra: &mut Extra) -> Result<BlockKind, Failure> {
    let mut document = Object::new(value, at)?;
    let context = document.string("context")?;
    let citations = citable(&mut document, extra)?;
    let media = media::read(Value::Object(document.rest()), at, Medium::Document, extra)?;
    Ok(BlockKind::Document(Document { media, context, citations }))
}

fn search_result(value: Value, at: At<'_>, extra: &mut Extra) -> Result<BlockKind, Failure> {
    let mut result = Object::new(value, at)?;
    let title = result.require_string("title")?;
    let source = result.require_string("source")?;
    let pieces = result.require("content")?;
    let here = at.key("content");
    let pieces = list(pieces, here)?.into_iter().enumerate();
    let content: Result<Vec<Block>, Failure> =
        pieces.map(|(index, value)| piece(value, here.index(index))).collect();
    let citations = citable(&mut result, extra)?;
    extra.extend(result.rest());
    Ok(BlockKind::SearchResult(SearchResult { source, title, content: content?, citations }))
}

/// A piece of a search result: `{"text": …}`.
fn piece(value: Value, at: At<'_>) -> Result<Block, Failure> {
    let mut piece = Object::new(value, at)?;
    let text = piece.require_string("text")?;
    Ok(Block { extra: piece.rest(), ..Block::text(text) })
}

/// Reads `citations` of something that may be cited: whether it should be.
fn citable(object: &mut Object<'_>, extra: &mut Extra) -> Result<Option<bool>, Failure> {
    let Some(config) = object.take("citations") else { return Ok(None) };
    let mut config = Object::new(config, object.at.key("citations"))?;
    let enabled = config.boolean("enabled")?;
    leave(extra, &["citations"], config.left());
    Ok(enabled)
}

/// Text and what it rests on. Citations that are all understood are only a matter of
/// spelling beyond the hub's; one that is not leaves them to their own dialect.
fn cited(
    value: Value,
    at: At<'_>,
    extra: &mut Extra,
    citations: &mut Vec<Citation>,
) -> Result<BlockKind, Failure> {
    let mut cited = Object::new(value, at)?;
    let text = match cited.take("content") {
        Some(content) => read_pieces(content, at.key("content"), extra)?,
        None => {
            spell(extra, "content", Value::Null);
            String::new()
        }
    };
    let rest = cited.rest();
    match understood(&rest) {
        Some(read) => {
            *citations = read;
            spell(extra, "citationsContent", Value::Object(rest));
        }
        None => drop(extra.insert("citationsContent".to_owned(), Value::Object(rest))),
    }
    Ok(BlockKind::Text(text))
}

fn understood(rest: &Extra) -> Option<Vec<Citation>> {
    let citations = rest.get("citations").filter(|_| rest.len() == 1)?.as_array()?;
    citations.iter().map(citation::read).collect()
}
