//! Converse's format words ⇄ MIME types.
//!
//! Source: `ImageFormat`, `DocumentFormat`, `AudioFormat`, `VideoFormat` of the
//! bedrock-runtime service model, botocore 1.44.5 (read 2026-11-22).

use message::{Extra, Failure, Media, MediaSource};
use serde_json::Value;

use super::wire::{At, Object, list, spell, string, union};

/// What a media block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    Image,
    Document,
    Audio,
    Video,
}

/// (medium, format, MIME type). Where several formats share a type, the first is the
/// one written back, and the others are kept as they were said.
const FORMATS: &[(Medium, &str, &str)] = &[
    (Medium::Image, "png", "image/png"),
    (Medium::Image, "jpeg", "image/jpeg"),
    (Medium::Image, "gif", "image/gif"),
    (Medium::Image, "webp", "image/webp"),
    (Medium::Document, "pdf", "application/pdf"),
    (Medium::Document, "csv", "text/csv"),
    (Medium::Document, "doc", "application/msword"),
    (Medium::Document, "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (Medium::Document, "xls", "application/vnd.ms-excel"),
    (Medium::Document, "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (Medium::Document, "html", "text/html"),
    (Medium::Document, "txt", "text/plain"),
    (Medium::Document, "md", "text/markdown"),
    (Medium::Audio, "mp3", "audio/mpeg"),
    (Medium::Audio, "mpeg", "audio/mpeg"),
    (Medium::Audio, "mpga", "audio/mpeg"),
    (Medium::Audio, "opus", "audio/opus"),
    (Medium::Audio, "wav", "audio/wav"),
    (Medium::Audio, "aac", "audio/aac"),
    (Medium::Audio, "x-aac", "audio/aac"),
    (Medium::Audio, "flac", "audio/flac"),
    (Medium::Audio, "mp4", "audio/mp4"),
    (Medium::Audio, "m4a", "audio/mp4"),
    (Medium::Audio, "ogg", "audio/ogg"),
    (Medium::Audio, "mkv", "audio/x-matroska"),
    (Medium::Audio, "mka", "audio/x-matroska"),
    (Medium::Audio, "pcm", "audio/pcm"),
    (Medium::Audio, "webm", "audio/webm"),
    (Medium::Video, "mkv", "video/x-matroska"),
    (Medium::Video, "mov", "video/quicktime"),
    (Medium::Video, "mp4", "video/mp4"),
    (Medium::Video, "webm", "video/webm"),
    (Medium::Video, "flv", "video/x-flv"),
    (Medium::Video, "mpeg", "video/mpeg"),
    (Medium::Video, "mpg", "video/mpeg"),
    (Medium::Video, "wmv", "video/x-ms-wmv"),
    (Medium::Video, "three_gp", "video/3gpp"),
];

impl Medium {
    fn media_type(self, format: &str) -> Option<&'static str> {
        FORMATS.iter().find(|row| row.0 == self && row.1 == format).map(|row| row.2)
    }

    /// The format Converse has for a MIME type.
    pub(super) fn format(self, media_type: &str) -> Option<&'static str> {
        FORMATS.iter().find(|row| row.0 == self && row.2 == media_type).map(|row| row.1)
    }
}

/// Reads an image, document, audio or video block. What it has beyond format, name and
/// source is kept in `extra`; so is a format whose MIME type says less than it does.
pub(super) fn read(value: Value, at: At<'_>, medium: Medium, extra: &mut Extra) -> Result<Media, Failure> {
    let mut block = Object::new(value, at)?;
    let format = match medium {
        Medium::Document => block.string("format")?,
        _ => Some(block.require_string("format")?),
    };
    let name = match medium {
        Medium::Document => Some(block.require_string("name")?),
        _ => None,
    };
    let source = block.require("source")?;
    let source = read_source(source, at.key("source"), extra)?;
    let media_type = format.as_deref().and_then(|format| medium.media_type(format));
    extra.extend(block.rest());
    match (format, media_type) {
        (Some(format), None) => drop(extra.insert("format".to_owned(), Value::String(format))),
        (Some(format), Some(known)) if medium.format(known) != Some(&format) => {
            spell(extra, "format", Value::String(format));
        }
        _ => {}
    }
    Ok(Media { media_type: media_type.map(str::to_owned), name, source })
}

fn read_source(value: Value, at: At<'_>, extra: &mut Extra) -> Result<MediaSource, Failure> {
    let (member, value) = union(value, at, "bytes, s3Location, text, content")?;
    let at = at.key(&member);
    match member.as_str() {
        "bytes" => string(value, at).map(MediaSource::Base64),
        "text" => string(value, at).map(MediaSource::Text),
        "content" => {
            // Told apart from `text` by its spelling.
            spell(extra, "content", value.clone());
            read_pieces(value, at, extra).map(MediaSource::Text)
        }
        // An S3 location, or a kind of source this version does not know.
        _ => Ok(MediaSource::Reference(Value::Object(Extra::from_iter([(member.clone(), value)])))),
    }
}

/// Reads a list of `{"text": …}` as one text, and notes the pieces where joining them
/// would lose how they were written.
pub(super) fn read_pieces(value: Value, at: At<'_>, extra: &mut Extra) -> Result<String, Failure> {
    let pieces = list(value, at)?;
    let mut text = String::new();
    for (index, piece) in pieces.iter().enumerate() {
        match piece.get("text") {
            Some(Value::String(piece)) => text.push_str(piece),
            _ => return Err(at.index(index).wrong("expected an object with a string `text`")),
        }
    }
    if pieces.len() != 1 || pieces.iter().any(|piece| piece.as_object().is_some_and(|piece| piece.len() > 1))
    {
        spell(extra, "content", Value::Array(pieces));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use message::SPELLING;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_format_is_read_and_none_is_lost() {
        for (medium, format, media_type) in FORMATS {
            let mut extra = Extra::new();
            let block = json!({"format": format, "name": "n", "source": {"bytes": "aGk="}, "new": 1});
            let media = read(block, At::Body, *medium, &mut extra).unwrap();
            assert_eq!(media.media_type.as_deref(), Some(*media_type));
            assert_eq!(media.source, MediaSource::Base64("aGk=".to_owned()));
            let spelt = extra.get(SPELLING).map(|spelling| spelling["format"].as_str().unwrap());
            assert_eq!(spelt.unwrap_or(medium.format(media_type).unwrap()), *format);
            assert_eq!(extra["new"], 1);
        }
    }

    #[test]
    fn a_format_of_tomorrow_is_kept() {
        let mut extra = Extra::new();
        let media = read(
            json!({"format": "avif", "source": {"s3Location": {"uri": "s3://a/b"}}}),
            At::Body,
            Medium::Image,
            &mut extra,
        )
        .unwrap();
        assert_eq!(media.media_type, None);
        assert_eq!(extra["format"], "avif");
        assert_eq!(media.source, MediaSource::Reference(json!({"s3Location": {"uri": "s3://a/b"}})));
    }

    #[test]
    fn what_is_missing_is_named() {
        let read = |value, medium| read(value, At::Body.key("image"), medium, &mut Extra::new());
        let failure = read(json!({"source": {"bytes": ""}}), Medium::Image).unwrap_err();
        assert_eq!(failure.message, "image.format: required, but missing");
        let failure = read(json!({"format": "png", "source": {}}), Medium::Image).unwrap_err();
        assert_eq!(failure.param.as_deref(), Some("image.source"));
        let failure = read(json!({"format": "png", "source": {"bytes": 1}}), Medium::Image).unwrap_err();
        assert_eq!(failure.message, "image.source.bytes: expected a string, found a number");
        let failure = read(json!({"source": {"text": "x"}}), Medium::Document).unwrap_err();
        assert_eq!(failure.param.as_deref(), Some("image.name"));
    }
}
