//! [`Block`]s → content parts.

use message::{Block, BlockKind, Dialect, Document, Failure, Media, MediaSource, SearchResult};
use serde_json::{Map, Value, json};

use super::{Encoder, refuse};
use crate::openai::spelling::note;

impl Encoder {
    /// One content part, said by the model or to it; `None` where it has to be left out.
    ///
    /// # Errors
    /// [`Unsupported`](message::ErrorKind::Unsupported) for a file that cannot be carried.
    pub(super) fn part(&mut self, path: &str, block: &Block, models: bool) -> Result<Option<Value>, Failure> {
        let part = match &block.kind {
            BlockKind::Text(text) => {
                let noted = note(&block.extra, "type").and_then(Value::as_str).filter(|_| self.home);
                let usual = if models { "output_text" } else { "input_text" };
                json!({"type": noted.unwrap_or(usual), "text": text})
            }
            BlockKind::Refusal(text) => json!({"type": "refusal", "refusal": text}),
            BlockKind::Image(media) => image(path, media)?,
            BlockKind::Document(Document { media, .. }) => document(path, media, self.home)?,
            BlockKind::Audio(_) => return Err(refuse(path, "Responses takes no sound")),
            BlockKind::Video(_) => return Err(refuse(path, "Responses takes no video")),
            BlockKind::SearchResult(result) => {
                self.drop(path, SearchResult::AS_TEXT);
                json!({"type": "input_text", "text": result.to_text()})
            }
            BlockKind::Opaque { dialect: Dialect::OpenAiResponses, value } => return Ok(Some(value.clone())),
            BlockKind::Opaque { .. } => {
                self.drop(path, "only its own vendor understands it");
                return Ok(None);
            }
            BlockKind::RedactedThinking(_) | BlockKind::Thinking { .. } => {
                self.drop(path, "thinking that only its own vendor can read");
                return Ok(None);
            }
            // `item` has taken these out before.
            BlockKind::ToolUse { .. } | BlockKind::ToolResult { .. } => {
                return Err(refuse(path, "a tool call or result cannot stand here"));
            }
        };
        let Value::Object(mut part) = part else { return Ok(None) };
        if block.cache.is_some() {
            self.drop_cache(|| path.to_owned());
        }
        if self.home {
            for name in ["detail", "logprobs"] {
                part.extend(note(&block.extra, name).map(|value| (name.to_owned(), value.clone())));
            }
        } else if models && part.contains_key("text") {
            part.insert("annotations".to_owned(), Value::Array(Vec::new()));
        } else if matches!(block.kind, BlockKind::Image(_)) {
            part.insert("detail".to_owned(), "auto".into());
        }
        for name in block.citing() {
            self.drop(format!("{path}.{name}"), "not known to Responses");
        }
        self.extra(|| path.to_owned(), &block.extra, &mut part);
        Ok(Some(part.into()))
    }
}

fn file_id(media: &Media) -> Option<&Value> {
    match &media.source {
        MediaSource::Reference(reference) => reference.get("file_id"),
        _ => None,
    }
}

fn data_url(media: &Media, data: &str) -> String {
    format!("data:{};base64,{data}", media.media_type.as_deref().unwrap_or_default())
}

fn image(path: &str, media: &Media) -> Result<Value, Failure> {
    let url = match &media.source {
        MediaSource::Url(url) => url.clone(),
        MediaSource::Base64(data) => data_url(media, data),
        MediaSource::Text(_) | MediaSource::Reference(_) => {
            let id = file_id(media).ok_or_else(|| {
                refuse(path, "its bytes are not in the request; send them as base64 or as a URL")
            })?;
            return Ok(json!({"type": "input_image", "file_id": id}));
        }
    };
    Ok(json!({"type": "input_image", "image_url": url}))
}

fn document(path: &str, media: &Media, home: bool) -> Result<Value, Failure> {
    let mut part = Map::new();
    part.insert("type".to_owned(), "input_file".into());
    match &media.source {
        MediaSource::Base64(data) => {
            let data = if media.media_type.is_some() { data_url(media, data) } else { data.clone() };
            part.insert("file_data".to_owned(), data.into());
        }
        MediaSource::Url(url) => {
            part.insert("file_url".to_owned(), url.as_str().into());
        }
        MediaSource::Text(text) => {
            // A text document becomes text, under its name.
            let text = match &media.name {
                Some(name) => format!("{name}:\n\n{text}"),
                None => text.clone(),
            };
            return Ok(json!({"type": "input_text", "text": text}));
        }
        MediaSource::Reference(_) => {
            let id =
                file_id(media).ok_or_else(|| refuse(path, "a document's bytes must be in the request"))?;
            part.insert("file_id".to_owned(), id.clone());
        }
    }
    if let Some(name) = &media.name {
        part.insert("filename".to_owned(), name.as_str().into());
    } else if !home && part.contains_key("file_data") {
        // The service insists on a name beside data.
        part.insert("filename".to_owned(), UNNAMED.into());
    }
    Ok(part.into())
}

/// The name given to a document whose client gave none.
const UNNAMED: &str = "document";
