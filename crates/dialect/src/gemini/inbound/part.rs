//! One part of a content → [`Block`]s.
//!
//! A part's seal becomes a thinking block of its own, without text, right before the block
//! it was on: the hub's form, which every other dialect can carry. Parts only Gemini
//! understands (executable code and its results, server-side tools) stay whole.

use message::{Block, BlockKind, Dialect, Failure, Media, MediaSource, ToolOrigin};
use serde_json::{Value, json};

use super::calls::Calls;
use crate::gemini::seal::{self, Held};
use crate::json::fields::{At, Fields};

/// The members that say what a part is, as far as the hub knows them.
const KINDS: [&str; 5] = ["text", "inlineData", "fileData", "functionCall", "functionResponse"];

/// Decodes one part into one block, or two if a seal stands on it.
pub(super) fn part(
    at: At<'_>,
    value: Value,
    calls: &mut Calls,
    blocks: &mut Vec<Block>,
) -> Result<(), Failure> {
    let mut fields = Fields::of(at, value)?;
    let mut kinds = KINDS.into_iter().filter(|kind| fields.peek(kind).is_some());
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        let value = fields.whole();
        blocks.push(Block::new(BlockKind::Opaque { dialect: Dialect::Gemini, value }));
        return Ok(());
    };
    let thought = fields.bool("thought")?;
    if thought == Some(true) && kind == "text" {
        blocks.push(thinking(fields)?);
        return Ok(());
    }
    if let Some(thought) = thought {
        fields.note("thought", thought);
    }
    if let Some(signature) = fields.string("thoughtSignature")? {
        // Ours stand on thoughts only; elsewhere one is a seal nobody will know.
        let travelled = match seal::of_client(&signature) {
            Held::Seal(travelled) => travelled,
            Held::Redacted(_) => message::Sealer::Gemini.tag(&signature),
        };
        let kind = BlockKind::Thinking { text: String::new(), signature: Some(travelled) };
        blocks.push(Block::new(kind));
    }
    let kind = match kind {
        "text" => BlockKind::Text(fields.required_string("text")?),
        "inlineData" => by_type(inline(&mut fields)?),
        "fileData" => by_type(file(&mut fields)?),
        "functionCall" => call(&mut fields, calls)?,
        _ => response(&mut fields, calls)?,
    };
    blocks.push(Block { extra: fields.rest(), ..Block::new(kind) });
    Ok(())
}

fn thinking(mut fields: Fields<'_>) -> Result<Block, Failure> {
    let text = fields.required_string("text")?;
    let signature = fields.string("thoughtSignature")?;
    if text.is_empty() {
        // Without text it would be taken for a seal on the next part.
        fields.note("thought", true);
    }
    let kind = match signature {
        None => BlockKind::Thinking { text, signature: None },
        Some(own) => match seal::of_client(&own) {
            Held::Seal(travelled) => BlockKind::Thinking { text, signature: Some(travelled) },
            Held::Redacted(data) => BlockKind::RedactedThinking(data),
        },
    };
    Ok(Block { extra: fields.rest(), ..Block::new(kind) })
}

/// `{"mimeType", "data", "displayName"}`: the bytes, in either base64 alphabet.
fn inline(fields: &mut Fields<'_>) -> Result<Media, Failure> {
    let at = fields.at;
    let at = at.field("inlineData");
    let value = fields.take("inlineData").unwrap_or_default();
    let mut inner = Fields::of(at, value)?;
    let media_type = inner.required_string("mimeType")?;
    let mut data = inner.required_string("data")?;
    if data.contains(['-', '_']) && !data.contains(['+', '/']) {
        data = seal::standard(&data);
        inner.note("alphabet", "url");
    }
    let unpadded = data.len() % 4;
    if unpadded > 1 && !data.ends_with('=') {
        data.extend(std::iter::repeat_n('=', 4 - unpadded));
        inner.note("padding", false);
    }
    let name = inner.string("displayName")?;
    fields.keep_rest("inlineData", inner);
    Ok(Media { media_type: Some(media_type), name, source: MediaSource::Base64(data) })
}

/// `{"mimeType", "fileUri", "displayName"}`: a link, or a file only Google can read.
fn file(fields: &mut Fields<'_>) -> Result<Media, Failure> {
    let at = fields.at;
    let at = at.field("fileData");
    let value = fields.take("fileData").unwrap_or_default();
    let mut inner = Fields::of(at, value)?;
    let media_type = inner.string("mimeType")?;
    let uri = inner.required_string("fileUri")?;
    let name = inner.string("displayName")?;
    fields.keep_rest("fileData", inner);
    let open = uri.starts_with("https://") || uri.starts_with("http://");
    let source = if open && !uri.starts_with("https://generativelanguage.googleapis.com/") {
        MediaSource::Url(uri)
    } else {
        MediaSource::Reference(json!({ "fileUri": uri }))
    };
    Ok(Media { media_type, name, source })
}

/// A file as the kind of block its media type says.
fn by_type(media: Media) -> BlockKind {
    let family = media.media_type.as_deref().and_then(|kind| kind.split('/').next());
    match family {
        Some("image") => BlockKind::Image(media),
        Some("audio") => BlockKind::Audio(media),
        Some("video") => BlockKind::Video(media),
        _ => BlockKind::Document(media.into()),
    }
}

fn call(fields: &mut Fields<'_>, calls: &mut Calls) -> Result<BlockKind, Failure> {
    let at = fields.at;
    let at = at.field("functionCall");
    let value = fields.take("functionCall").unwrap_or_default();
    let mut inner = Fields::of(at, value)?;
    let name = inner.required_string("name")?;
    let id = inner.string("id")?;
    if id.is_none() {
        inner.note("id", Value::Null);
    }
    let input = match inner.take("args") {
        Some(args @ Value::Object(_)) => args.to_string(),
        Some(other) => return Err(at.field("args").expected("an object", &other)),
        None => {
            inner.note("args", Value::Null);
            "{}".to_owned()
        }
    };
    let id = calls.asked(id, &name);
    fields.keep_rest("functionCall", inner);
    Ok(BlockKind::ToolUse { id, name, input, origin: ToolOrigin::Client })
}

fn response(fields: &mut Fields<'_>, calls: &mut Calls) -> Result<BlockKind, Failure> {
    let at = fields.at;
    let at = at.field("functionResponse");
    let value = fields.take("functionResponse").unwrap_or_default();
    let mut inner = Fields::of(at, value)?;
    let name = inner.required_string("name")?;
    let id = inner.string("id")?;
    if id.is_none() {
        inner.note("id", Value::Null);
    }
    let mut content = Vec::new();
    let mut is_error = None;
    match inner.take("response") {
        Some(response @ Value::Object(_)) => {
            let (text, failed) = said(&response);
            is_error = failed.then_some(true);
            content.push(Block::text(text));
            inner.note("response", response);
        }
        Some(other) => return Err(at.field("response").expected("an object", &other)),
        None => {}
    }
    for (index, value) in inner.filled_array("parts")?.into_iter().enumerate() {
        let mut nested = Vec::new();
        part(at.field("parts").item(index), value, calls, &mut nested)?;
        content.extend(nested);
    }
    let id = calls.answered(id, &name);
    inner.note("name", name);
    fields.keep_rest("functionResponse", inner);
    Ok(BlockKind::ToolResult { id, content, plain: false, is_error })
}

/// What a response says as text, and whether it is an error: by Google's convention
/// `output` (the SDK: `result`) and `error`, when they stand alone.
pub(in crate::gemini) fn said(response: &Value) -> (String, bool) {
    let alone = response.as_object().filter(|fields| fields.len() == 1);
    let field = |name| match alone.and_then(|fields| fields.get(name)) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
        None => None,
    };
    if let Some(text) = field("error") {
        return (text, true);
    }
    (field("output").or_else(|| field("result")).unwrap_or_else(|| response.to_string()), false)
}
