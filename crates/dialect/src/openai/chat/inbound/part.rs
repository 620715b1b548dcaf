//! Content parts of a message → [`Block`]s.

use message::{Block, BlockKind, CacheMarker, Dialect, Extra, Failure, Media, MediaSource};
use serde_json::{Value, json};

use crate::openai::fields::{At, Fields};
use crate::openai::spelling::seal;

/// A message's content: blocks, and whether it was a bare string (or not there at all).
pub(super) fn content(fields: &mut Fields<'_>) -> Result<(Vec<Block>, bool), Failure> {
    let at = fields.at;
    let at = at.field("content");
    match fields.take("content") {
        None => Ok((Vec::new(), true)),
        Some(Value::String(text)) => Ok((vec![Block::text(text)], true)),
        Some(Value::Array(parts)) => {
            let parts = parts.into_iter().enumerate();
            Ok((parts.map(|(index, value)| part(at.item(index), value)).collect::<Result<_, _>>()?, false))
        }
        Some(other) => Err(at.expected("a string or an array of content parts", &other)),
    }
}

fn part(at: At<'_>, value: Value) -> Result<Block, Failure> {
    let mut fields = Fields::of(at, value)?;
    let kind = fields.required_string("type")?;
    let mut notes = Extra::new();
    let kind = match kind.as_str() {
        "text" => BlockKind::Text(fields.required_string("text")?),
        "refusal" => BlockKind::Refusal(fields.required_string("refusal")?),
        "image_url" => BlockKind::Image(linked(&mut fields, "image_url")?),
        "video_url" => BlockKind::Video(linked(&mut fields, "video_url")?),
        "input_audio" => BlockKind::Audio(audio(&mut fields, &mut notes)?),
        "file" => BlockKind::Document(file(&mut fields)?.into()),
        _ => return Ok(unknown(kind, fields)),
    };
    let cache = cache_marker(&mut fields);
    Ok(Block { cache, extra: seal(fields.rest(), notes), ..Block::new(kind) })
}

/// A part of a kind this version does not know: kept whole for servers that do.
fn unknown(kind: String, mut fields: Fields<'_>) -> Block {
    fields.put("type", Value::String(kind));
    Block::new(BlockKind::Opaque { dialect: Dialect::OpenAiChat, value: Value::Object(fields.rest()) })
}

/// `{"url": …, …}`: a link, or the bytes themselves in a `data:` URL.
fn linked(fields: &mut Fields<'_>, name: &'static str) -> Result<Media, Failure> {
    let at = fields.at;
    let at = at.field(name);
    let mut inner = Fields::new(at, fields.required_object(name)?);
    let url = inner.required_string("url")?;
    keep_rest(fields, name, inner);
    let (media_type, source) = match url.strip_prefix("data:") {
        None => (None, MediaSource::Url(url)),
        Some(data) => {
            let (media_type, data) = split_data_url(data).ok_or_else(|| {
                at.field("url").fault("a data: URL must be `data:<media type>;base64,<data>`")
            })?;
            (media_type, MediaSource::Base64(data))
        }
    };
    Ok(Media { media_type, name: None, source })
}

/// `{"data": base64, "format": "wav" | "mp3"}`.
fn audio(fields: &mut Fields<'_>, notes: &mut Extra) -> Result<Media, Failure> {
    let at = fields.at;
    let mut inner = Fields::new(at.field("input_audio"), fields.required_object("input_audio")?);
    let data = inner.required_string("data")?;
    let format = inner.required_string("format")?;
    keep_rest(fields, "input_audio", inner);
    let media_type = match format.as_str() {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    };
    if format == "mpeg" {
        notes.insert("format".to_owned(), Value::String(format));
    }
    Ok(Media { media_type: Some(media_type), name: None, source: MediaSource::Base64(data) })
}

/// `{"file_data": base64 or data: URL, "file_id": …, "filename": …}`.
fn file(fields: &mut Fields<'_>) -> Result<Media, Failure> {
    let at = fields.at;
    let at = at.field("file");
    let mut inner = Fields::new(at, fields.required_object("file")?);
    let name = inner.string("filename")?;
    let (media_type, source) = if let Some(id) = inner.string("file_id")? {
        (None, MediaSource::Reference(json!({ "file_id": id })))
    } else {
        let data = inner.string("file_data")?;
        let data = data.ok_or_else(|| at.fault("either `file_data` or `file_id` is required"))?;
        match data.strip_prefix("data:") {
            None => (None, MediaSource::Base64(data)),
            Some(url) => {
                let (media_type, data) = split_data_url(url).ok_or_else(|| {
                    at.field("file_data").fault("a data: URL must be `data:<media type>;base64,<data>`")
                })?;
                // Without a media type it would read as bare base64 when written again.
                (Some(media_type.unwrap_or_default()), MediaSource::Base64(data))
            }
        }
    };
    keep_rest(fields, "file", inner);
    Ok(Media { media_type, name, source })
}

/// `image/png;base64,…` → media type and data; parameters stay with the type.
fn split_data_url(url: &str) -> Option<(Option<String>, String)> {
    let (head, data) = url.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    Some(((!media_type.is_empty()).then(|| media_type.to_owned()), data.to_owned()))
}

/// Anthropic's `cache_control` on a content part: the way OpenRouter's and LiteLLM's
/// clients ask for prompt caching in this dialect.
pub(super) fn cache_marker(fields: &mut Fields<'_>) -> Option<CacheMarker> {
    let Some(Value::Object(marker)) = fields.peek("cache_control") else { return None };
    let ttl = match marker.get("ttl") {
        None => None,
        Some(Value::String(ttl)) => Some(ttl.clone()),
        Some(_) => return None,
    };
    let known = 1 + usize::from(ttl.is_some());
    if marker.len() != known || marker.get("type").and_then(Value::as_str) != Some("ephemeral") {
        return None;
    }
    fields.take("cache_control");
    Some(CacheMarker { ttl })
}

/// What nobody took of an inner object stays under its name.
pub(super) fn keep_rest(fields: &mut Fields<'_>, name: &str, inner: Fields<'_>) {
    let rest = inner.rest();
    if !rest.is_empty() {
        fields.put(name, Value::Object(rest));
    }
}
