//! [`Block`]s → content parts.

use message::{Block, BlockKind, CacheMarker, Dialect, Document, Failure, Media, MediaSource, SearchResult};
use serde_json::{Map, Value, json};

use super::{Encoder, refuse};
use crate::openai::spelling::note;

impl Encoder {
    /// One content part; `None` where it has to be left out.
    ///
    /// # Errors
    /// [`Unsupported`](message::ErrorKind::Unsupported) for a file that cannot be carried.
    pub(super) fn part(&mut self, path: &str, block: &Block) -> Result<Option<Value>, Failure> {
        let part = match &block.kind {
            BlockKind::Text(text) => json!({"type": "text", "text": text}),
            BlockKind::Refusal(text) => json!({"type": "refusal", "refusal": text}),
            BlockKind::Image(media) => json!({"type": "image_url", "image_url": {"url": url(path, media)?}}),
            BlockKind::Video(media) if self.home => {
                json!({"type": "video_url", "video_url": {"url": url(path, media)?}})
            }
            BlockKind::Video(_) => return Err(refuse(path, "Chat Completions takes no video")),
            BlockKind::Audio(media) => audio(path, block, media)?,
            BlockKind::Document(Document { media, .. }) => document(path, media)?,
            BlockKind::SearchResult(result) => {
                self.drop(path, SearchResult::AS_TEXT);
                json!({"type": "text", "text": result.to_text()})
            }
            BlockKind::Opaque { dialect: Dialect::OpenAiChat, value } => return Ok(Some(value.clone())),
            BlockKind::Opaque { .. } => {
                self.drop(path, "only its own vendor understands it");
                return Ok(None);
            }
            BlockKind::RedactedThinking(_) | BlockKind::Thinking { .. } => {
                self.drop(path, "thinking that only its own vendor can read");
                return Ok(None);
            }
            // `message` has taken these out before.
            BlockKind::ToolUse { .. } | BlockKind::ToolResult { .. } => {
                return Err(refuse(path, "a tool call or result cannot stand here"));
            }
        };
        let Value::Object(mut part) = part else { return Ok(None) };
        self.cache(|| path.to_owned(), block.cache.as_ref(), &mut part);
        for name in block.citing() {
            self.drop(format!("{path}.{name}"), "not known to Chat Completions");
        }
        self.extra(|| path.to_owned(), &block.extra, &mut part);
        Ok(Some(part.into()))
    }

    /// A cache marker: written back at home, reported elsewhere.
    pub(super) fn cache(
        &mut self,
        path: impl FnOnce() -> String,
        marker: Option<&CacheMarker>,
        out: &mut Map<String, Value>,
    ) {
        let Some(CacheMarker { ttl }) = marker else { return };
        if !self.home {
            return self.drop_cache(path);
        }
        let mut marker = Map::new();
        marker.insert("type".to_owned(), "ephemeral".into());
        if let Some(ttl) = ttl {
            marker.insert("ttl".to_owned(), ttl.as_str().into());
        }
        out.insert("cache_control".to_owned(), marker.into());
    }
}

/// A link to a file, or the file itself in a `data:` URL.
fn url(path: &str, media: &Media) -> Result<String, Failure> {
    match &media.source {
        MediaSource::Url(url) => Ok(url.clone()),
        MediaSource::Base64(data) => Ok(data_url(media, data)),
        MediaSource::Text(_) | MediaSource::Reference(_) => {
            Err(refuse(path, "its bytes are not in the request; send them as base64 or as a URL"))
        }
    }
}

fn data_url(media: &Media, data: &str) -> String {
    format!("data:{};base64,{data}", media.media_type.as_deref().unwrap_or_default())
}

fn audio(path: &str, block: &Block, media: &Media) -> Result<Value, Failure> {
    let MediaSource::Base64(data) = &media.source else {
        return Err(refuse(path, "sound can be sent as base64 only"));
    };
    let subtype = media.media_type.as_deref().and_then(|media_type| media_type.strip_prefix("audio/"));
    let format = match subtype {
        Some("mpeg") => note(&block.extra, "format").and_then(Value::as_str).unwrap_or("mp3"),
        Some("x-wav" | "wave" | "vnd.wave") => "wav",
        Some(other) => other,
        None => return Err(refuse(path, "the sound's media type is not known")),
    };
    Ok(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}))
}

fn document(path: &str, media: &Media) -> Result<Value, Failure> {
    let mut file = Map::new();
    match &media.source {
        MediaSource::Base64(data) => {
            let data = if media.media_type.is_some() { data_url(media, data) } else { data.clone() };
            file.insert("file_data".to_owned(), data.into());
        }
        MediaSource::Reference(Value::Object(reference)) if reference.contains_key("file_id") => {
            file.insert("file_id".to_owned(), reference["file_id"].clone());
        }
        MediaSource::Text(text) => return Ok(json!({"type": "text", "text": named(media, text)})),
        MediaSource::Url(_) | MediaSource::Reference(_) => {
            return Err(refuse(path, "a document can be sent as base64 only"));
        }
    }
    if let Some(name) = &media.name {
        file.insert("filename".to_owned(), name.as_str().into());
    }
    Ok(json!({"type": "file", "file": file}))
}

/// A text document becomes text, under its name.
fn named(media: &Media, text: &str) -> String {
    match &media.name {
        Some(name) => format!("{name}:\n\n{text}"),
        None => text.to_owned(),
    }
}
