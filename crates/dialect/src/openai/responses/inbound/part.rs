//! Content parts of items → [`Block`]s.

use message::{Block, BlockKind, Dialect, Extra, Failure, Media, MediaSource};
use serde_json::{Value, json};

use crate::openai::fields::{At, Fields};
use crate::openai::spelling::seal;

/// The content in the field `name`: blocks, and whether it was a bare string (or `null`).
pub(super) fn content(fields: &mut Fields<'_>, name: &'static str) -> Result<(Vec<Block>, bool), Failure> {
    let at = fields.at;
    let at = at.field(name);
    match fields.take(name) {
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
    let word = fields.required_string("type")?;
    let mut notes = Extra::new();
    let kind = match word.as_str() {
        "input_text" | "output_text" | "text" => {
            notes.insert("type".to_owned(), word.into());
            // Of an answer sent back; a model reads the text alone.
            if let Some(logprobs) = fields.take_any("logprobs") {
                notes.insert("logprobs".to_owned(), logprobs);
            }
            BlockKind::Text(fields.required_string("text")?)
        }
        "refusal" => BlockKind::Refusal(fields.required_string("refusal")?),
        "input_image" => BlockKind::Image(image(&mut fields, &mut notes)?),
        "input_file" => BlockKind::Document(file(&mut fields)?.into()),
        // A kind this version does not know: kept whole for servers that do.
        _ => {
            fields.put("type", word.into());
            let value = Value::Object(fields.rest());
            let kind = BlockKind::Opaque { dialect: Dialect::OpenAiResponses, value };
            // Among the model's blocks there are unknown items, too.
            let extra = seal(Extra::new(), Extra::from_iter([("part".to_owned(), true.into())]));
            return Ok(Block { extra, ..Block::new(kind) });
        }
    };
    Ok(Block { extra: seal(fields.rest(), notes), ..Block::new(kind) })
}

fn image(fields: &mut Fields<'_>, notes: &mut Extra) -> Result<Media, Failure> {
    if fields.peek("detail").is_some_and(|detail| detail == "auto") {
        notes.insert("detail".to_owned(), fields.take_any("detail").unwrap_or_default());
    }
    let at = fields.at;
    if let Some(id) = fields.string("file_id")? {
        return Ok(Media { media_type: None, name: None, source: reference(id) });
    }
    let url = fields.string("image_url")?;
    let url = url.ok_or_else(|| at.fault("either `image_url` or `file_id` is required"))?;
    linked(&at.field("image_url"), url, None)
}

fn file(fields: &mut Fields<'_>) -> Result<Media, Failure> {
    let at = fields.at;
    let name = fields.string("filename")?;
    if let Some(id) = fields.string("file_id")? {
        return Ok(Media { media_type: None, name, source: reference(id) });
    }
    if let Some(url) = fields.string("file_url")? {
        return Ok(Media { media_type: None, name, source: MediaSource::Url(url) });
    }
    let data = fields.string("file_data")?;
    let data = data.ok_or_else(|| at.fault("one of `file_data`, `file_url` and `file_id` is required"))?;
    if data.starts_with("data:") {
        let media = linked(&at.field("file_data"), data, name)?;
        // Without a media type it would read as bare base64 when written again.
        return Ok(Media { media_type: Some(media.media_type.unwrap_or_default()), ..media });
    }
    Ok(Media { media_type: None, name, source: MediaSource::Base64(data) })
}

fn reference(id: String) -> MediaSource {
    MediaSource::Reference(json!({ "file_id": id }))
}

/// A link, or the bytes themselves in a `data:` URL.
fn linked(at: &At<'_>, url: String, name: Option<String>) -> Result<Media, Failure> {
    let Some(data) = url.strip_prefix("data:") else {
        return Ok(Media { media_type: None, name, source: MediaSource::Url(url) });
    };
    let (media_type, data) =
        split(data).ok_or_else(|| at.fault("a data: URL must be `data:<media type>;base64,<data>`"))?;
    Ok(Media { media_type, name, source: MediaSource::Base64(data) })
}

/// `image/png;base64,…` → media type and data; parameters stay with the type.
fn split(url: &str) -> Option<(Option<String>, String)> {
    let (head, data) = url.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    Some(((!media_type.is_empty()).then(|| media_type.to_owned()), data.to_owned()))
}
