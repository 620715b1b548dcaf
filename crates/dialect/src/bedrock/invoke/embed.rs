//! Embeddings: Amazon Titan's and Nova's, one input a call, and Cohere's, many.
//!
//! Sources: Amazon Bedrock user guide, "Amazon Titan Embeddings Text" and "Cohere Embed
//! models"; Amazon Nova user guide, "Multimodal embeddings"; read 2026-11-22.

use message::{
    Call, Completion, Dialect, Embed, EmbedInput, EmbedPurpose, Event, Failure, Media, MediaSource, Truncate,
};
use serde_json::{Map, Value, json};

use super::chunk::{Chunks, Writer};
use crate::bedrock::wire::{At, Object, leave, list, spell, string, strings};
use crate::json;

/// Under this name the kinds of vectors asked for stand in the spelling: they shape our
/// reply, and are made from the numbers that any target gives.
const TYPES: &str = "embeddingTypes";

fn object(body: &[u8]) -> Result<Object<'static>, Failure> {
    Object::new(json::decode::<Value>(body)?, At::Body)
}

fn dimensions(object: &mut Object<'_>, name: &str) -> Result<Option<u32>, Failure> {
    let count = object.count(name, 1)?;
    let at = object.at;
    count.map(|count| u32::try_from(count).map_err(|_| at.key(name).wrong("too many"))).transpose()
}

/// Kinds of vectors: floats, and those that can be made of them.
fn types(value: Value, at: At<'_>, known: &[&str], embed: &mut Embed) -> Result<(), Failure> {
    let types = strings(value, at)?;
    if let Some(index) = types.iter().position(|kind| !known.contains(&kind.as_str())) {
        let why = "this kind of vector cannot be made here; ask for float or binary";
        let at = at.index(index);
        return Err(Failure::unsupported(format!("{at}: {why}")).with_param(at.to_string()));
    }
    spell(&mut embed.extra, TYPES, Value::from(types));
    Ok(())
}

fn asked(call: &Call) -> Option<Vec<String>> {
    let types = call.embed().ok()?.extra.get(message::SPELLING)?.get(TYPES)?.as_array()?;
    Some(types.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Titan's: `inputText`.
pub(super) fn titan(body: &[u8]) -> Result<Embed, Failure> {
    let mut body = object(body)?;
    let input = EmbedInput::Text(body.require_string("inputText")?);
    let mut embed = Embed::new(Dialect::BedrockInvoke, vec![input]);
    embed.dimensions = dimensions(&mut body, "dimensions")?;
    embed.normalize = body.boolean("normalize")?;
    if let Some(value) = body.take("embeddingTypes") {
        types(value, At::Body.key("embeddingTypes"), &["float", "binary"], &mut embed)?;
    }
    embed.extra.extend(body.rest());
    Ok(embed)
}

/// Nova's: one text among its tasks.
pub(super) fn nova(body: &[u8]) -> Result<Embed, Failure> {
    let mut body = object(body)?;
    body.take("schemaVersion");
    let at = At::Body.key("taskType");
    if body.require_string("taskType")? != "SINGLE_EMBEDDING" {
        return Err(
            Failure::unsupported(format!("{at}: only SINGLE_EMBEDDING is built")).with_param("taskType")
        );
    }
    let at = At::Body.key("singleEmbeddingParams");
    let mut task = Object::new(body.require("singleEmbeddingParams")?, at)?;
    let purpose = task.string("embeddingPurpose")?;
    let wanted = dimensions(&mut task, "embeddingDimension")?;
    let Some(text) = task.take("text") else {
        return Err(Failure::unsupported("singleEmbeddingParams: only `text` can be embedded here")
            .with_param("singleEmbeddingParams"));
    };
    let mut text = Object::new(text, at.key("text"))?;
    let truncate = text.string("truncationMode")?;
    let input = EmbedInput::Text(text.require_string("value")?);
    let mut embed = Embed::new(Dialect::BedrockInvoke, vec![input]);
    embed.dimensions = wanted;
    embed.purpose = match purpose.as_deref() {
        Some("GENERIC_INDEX" | "TEXT_INDEX") => Some(EmbedPurpose::Document),
        Some("GENERIC_RETRIEVAL" | "TEXT_RETRIEVAL") => Some(EmbedPurpose::Query),
        Some("CLASSIFICATION") => Some(EmbedPurpose::Classification),
        Some("CLUSTERING") => Some(EmbedPurpose::Clustering),
        _ => None,
    };
    embed.truncate = truncate.as_deref().and_then(truncation);
    leave(&mut embed.extra, &["singleEmbeddingParams", "text"], some(text.rest()));
    leave(&mut embed.extra, &["singleEmbeddingParams"], some(task.rest()));
    leave(&mut embed.extra, &[], some(body.rest()));
    Ok(embed)
}

fn some(rest: message::Extra) -> Option<message::Extra> {
    (!rest.is_empty()).then_some(rest)
}

fn truncation(word: &str) -> Option<Truncate> {
    match word {
        "NONE" => Some(Truncate::None),
        "START" | "LEFT" => Some(Truncate::Start),
        "END" | "RIGHT" => Some(Truncate::End),
        _ => None,
    }
}

/// Cohere's: `texts`, `images` or, since version 4, `inputs`.
pub(super) fn cohere(body: &[u8]) -> Result<Embed, Failure> {
    let mut body = object(body)?;
    let mut inputs = Vec::new();
    if let Some(texts) = body.take("texts") {
        inputs.extend(strings(texts, At::Body.key("texts"))?.into_iter().map(EmbedInput::Text));
    }
    if let Some(images) = body.take("images") {
        let at = At::Body.key("images");
        for (index, uri) in strings(images, at)?.into_iter().enumerate() {
            inputs.push(image(&uri, at.index(index))?);
        }
    }
    if let Some(mixed) = body.take("inputs") {
        let at = At::Body.key("inputs");
        for (index, item) in list(mixed, at)?.into_iter().enumerate() {
            inputs.push(mixed_input(item, at.index(index))?);
        }
    }
    let mut embed = Embed::new(Dialect::BedrockInvoke, inputs);
    embed.purpose = match body.string("input_type")?.as_deref() {
        Some("search_document") => Some(EmbedPurpose::Document),
        Some("search_query") => Some(EmbedPurpose::Query),
        Some("classification") => Some(EmbedPurpose::Classification),
        Some("clustering") => Some(EmbedPurpose::Clustering),
        _ => None,
    };
    embed.truncate = body.string("truncate")?.as_deref().and_then(truncation);
    embed.dimensions = dimensions(&mut body, "output_dimension")?;
    if let Some(value) = body.take("embedding_types") {
        types(value, At::Body.key("embedding_types"), &["float", "binary", "ubinary"], &mut embed)?;
    }
    embed.extra.extend(body.rest());
    Ok(embed)
}

/// An input of version 4: a list of parts, of which one can be embedded here.
fn mixed_input(value: Value, at: At<'_>) -> Result<EmbedInput, Failure> {
    let mut item = Object::new(value, at)?;
    let at = at.key("content");
    let mut parts = list(item.require("content")?, at)?;
    let (Some(part), true) = (parts.pop(), parts.is_empty()) else {
        return Err(Failure::unsupported(format!("{at}: one part an input")).with_param(at.to_string()));
    };
    let at = at.index(0);
    let mut part = Object::new(part, at)?;
    match part.require_string("type")?.as_str() {
        "text" => part.require_string("text").map(EmbedInput::Text),
        "image_url" => {
            let url = part.require("image_url")?;
            let at = at.key("image_url");
            let url =
                if url.is_object() { Object::new(url, at)?.require_string("url")? } else { string(url, at)? };
            image(&url, at)
        }
        _ => Err(at.key("type").wrong("must be `text` or `image_url`")),
    }
}

/// `data:image/png;base64,…`
fn image(uri: &str, at: At<'_>) -> Result<EmbedInput, Failure> {
    let parsed = uri.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let Some((media_type, data)) = parsed else {
        return Err(at.wrong("expected a data URI: `data:image/png;base64,…`"));
    };
    let media_type = Some(media_type.to_owned());
    Ok(EmbedInput::Image(Media { media_type, name: None, source: MediaSource::Base64(data.to_owned()) }))
}

/// Answers as Titan does.
pub(super) struct Titan {
    types: Option<Vec<String>>,
}

impl Titan {
    pub(super) fn new(call: &Call) -> Self {
        Self { types: asked(call) }
    }
}

impl Writer for Titan {
    fn event(&mut self, _: Event, _: &mut Chunks<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn end(&mut self, _: &mut Chunks<'_>) {}

    fn whole(&mut self, completion: Completion) -> Vec<u8> {
        let vector = completion.embeddings.into_iter().next().unwrap_or_default();
        let types = self.types.take().unwrap_or_else(|| vec!["float".to_owned()]);
        let by_type: Map<String, Value> = types
            .into_iter()
            .map(|kind| {
                let numbers = match kind.as_str() {
                    "binary" => vector.iter().map(|number| u8::from(*number > 0.0)).collect(),
                    _ => floats(&vector),
                };
                (kind, numbers)
            })
            .collect();
        let mut answer =
            json!({"embeddingsByType": by_type, "inputTextTokenCount": completion.usage.total_input()});
        // Only floats also stand where version 1 had them.
        if answer["embeddingsByType"].get("float").is_some() {
            answer["embedding"] = floats(&vector);
        }
        answer.to_string().into_bytes()
    }
}

/// Answers as Nova does.
pub(super) struct Nova;

impl Writer for Nova {
    fn event(&mut self, _: Event, _: &mut Chunks<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn end(&mut self, _: &mut Chunks<'_>) {}

    fn whole(&mut self, completion: Completion) -> Vec<u8> {
        let vectors = completion.embeddings.iter();
        let vectors: Vec<Value> =
            vectors.map(|vector| json!({"embeddingType": "TEXT", "embedding": floats(vector)})).collect();
        json!({ "embeddings": vectors }).to_string().into_bytes()
    }
}

/// Answers as Cohere does.
pub(super) struct Cohere {
    id: String,
    texts: Vec<String>,
    types: Option<Vec<String>>,
}

impl Cohere {
    pub(super) fn new(call: &Call, id: String) -> Self {
        let inputs = call.embed().map(|embed| embed.inputs.as_slice()).unwrap_or_default();
        let texts = inputs.iter().filter_map(|input| match input {
            EmbedInput::Text(text) => Some(text.clone()),
            _ => None,
        });
        Self { id, texts: texts.collect(), types: asked(call) }
    }
}

impl Writer for Cohere {
    fn event(&mut self, _: Event, _: &mut Chunks<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn end(&mut self, _: &mut Chunks<'_>) {}

    fn whole(&mut self, completion: Completion) -> Vec<u8> {
        let vectors = &completion.embeddings;
        let (kind, embeddings) = match self.types.take() {
            None => ("embeddings_floats", vectors.iter().map(|vector| floats(vector)).collect()),
            Some(types) => {
                let by_type: Map<String, Value> = types
                    .into_iter()
                    .map(|kind| {
                        let numbers = vectors.iter().map(|vector| match kind.as_str() {
                            "ubinary" => Value::from(packed(vector)),
                            "binary" => {
                                packed(vector).into_iter().map(|byte| i16::from(byte) - 128).collect()
                            }
                            _ => floats(vector),
                        });
                        (kind.clone(), numbers.collect())
                    })
                    .collect();
                ("embeddings_by_type", Value::Object(by_type))
            }
        };
        let texts = std::mem::take(&mut self.texts);
        json!({"id": self.id, "embeddings": embeddings, "response_type": kind, "texts": texts})
            .to_string()
            .into_bytes()
    }
}

/// Eight signs a byte, the first in its highest bit.
fn packed(vector: &[f32]) -> Vec<u8> {
    let byte = |signs: &[f32]| {
        (0..8).fold(0, |byte, bit| byte << 1 | u8::from(signs.get(bit).is_some_and(|sign| *sign > 0.0)))
    };
    vector.chunks(8).map(byte).collect()
}

/// Numbers as short as they can be read back: a float widened to a double shows digits
/// that it never had.
fn floats(vector: &[f32]) -> Value {
    let short = |number: &f32| number.to_string().parse::<f64>().map_or(Value::Null, Value::from);
    vector.iter().map(short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_packed_as_numpy_packs_them() {
        assert_eq!(packed(&[1.0, -1.0, 0.5, 0.0, -2.0, 3.0, 1.0, 1.0, 0.1]), [0b1010_0111, 0b1000_0000]);
    }
}
