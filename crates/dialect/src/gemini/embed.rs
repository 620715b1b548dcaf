//! Embeddings, both ways: embedContent (one content) and batchEmbedContents (many).
//!
//! Source: `EmbedContentConfig`, `ContentEmbedding` and their converters of `google-genai`
//! 3.4.0 (which only ever sends batches), read 2026-11-22.

use bytes::Bytes;
use message::{
    Block, BlockKind, Call, Completion, Dialect, Dropped, Embed, EmbedInput, EmbedPurpose, Event, Extra,
    Failure, FinishReason, Media, MediaSource, Truncate, Usage,
};
use serde_json::{Map, Value, json};

use super::error::nonsense;
use super::inbound::blocks;
use super::{encode, wire};
use crate::json;
use crate::json::fields::{At, Fields, note};

/// Why inputs that are neither text nor one picture cannot travel.
const TEXT_OR_IMAGE: &str = "it embeds text, or one picture at a time";

/// Decodes a body.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the field.
pub(super) fn decode(call: &Call) -> Result<Embed, Failure> {
    decode_body(&call.body)
}

fn decode_body(body: &[u8]) -> Result<Embed, Failure> {
    let whole: Value = json::decode(body)?;
    let mut embed = Embed::new(Dialect::Gemini, Vec::new());
    let mut fields = Fields::of(At::Root, whole.clone())?;
    let requests = fields.array("requests")?;
    let is_batch = requests.is_some();
    if let Some(requests) = requests {
        let at = At::Root.field("requests");
        for (index, request) in requests.into_iter().enumerate() {
            one(Fields::of(at.item(index), request)?, index == 0, &mut embed)?;
        }
    } else {
        one(fields, true, &mut embed)?;
    }
    if embed.inputs.is_empty() {
        return Err(Failure::invalid_field("requests", "at least one content is required"));
    }
    embed.extra.insert(message::SPELLING.to_owned(), json!({"body": whole, "batch": is_batch}));
    Ok(embed)
}

/// One request; the first says what holds for all.
fn one(mut fields: Fields<'_>, is_first: bool, embed: &mut Embed) -> Result<(), Failure> {
    let at = fields.at;
    let content_at = at.field("content");
    let content = fields.take("content").ok_or_else(|| fields.missing("content"))?;
    let (blocks, _) = blocks(content_at, content)?;
    embed.inputs.push(input(blocks, &content_at, &mut embed.essential));
    fields.take("model");
    // Vertex puts them into an object of their own.
    if let Some(Value::Object(inner)) = fields.take("embedContentConfig") {
        inner.into_iter().for_each(|(name, value)| fields.put(&name, value));
    }
    let Settings { purpose, dimensions, truncate, rest } = settings(fields)?;
    if is_first {
        (embed.purpose, embed.dimensions, embed.truncate) = (purpose, dimensions, truncate);
        embed.extra = rest;
    } else if (purpose, dimensions) != (embed.purpose, embed.dimensions) {
        let why = "all inputs of one request need the same taskType and outputDimensionality";
        embed.essential.push(Dropped { path: at.to_string(), why });
    }
    Ok(())
}

/// What a request says beside its content.
struct Settings {
    purpose: Option<EmbedPurpose>,
    dimensions: Option<u32>,
    truncate: Option<Truncate>,
    rest: Extra,
}

fn settings(mut fields: Fields<'_>) -> Result<Settings, Failure> {
    let at = fields.at;
    let purpose = match fields.string("taskType")? {
        None => None,
        Some(word) => match purpose(&word) {
            Some(purpose) => Some(purpose),
            None if word == "TASK_TYPE_UNSPECIFIED" => None,
            None => return Err(at.field("taskType").fault("not a task type of Gemini's")),
        },
    };
    let dimensions = match fields.count("outputDimensionality")? {
        None => None,
        Some(count) => Some(
            u32::try_from(count)
                .ok()
                .filter(|count| *count > 0)
                .ok_or_else(|| at.field("outputDimensionality").fault("must be a small positive number"))?,
        ),
    };
    let truncate = fields.bool("autoTruncate")?.map(|cut| if cut { Truncate::End } else { Truncate::None });
    let mut rest = fields.rest();
    rest.shift_remove(message::SPELLING);
    Ok(Settings { purpose, dimensions, truncate, rest })
}

fn input(blocks: Vec<Block>, at: &At<'_>, essential: &mut Vec<Dropped>) -> EmbedInput {
    if let [Block { kind: BlockKind::Image(media), .. }] = blocks.as_slice() {
        return EmbedInput::Image(media.clone());
    }
    let texts: Vec<&str> = blocks.iter().filter_map(Block::as_text).collect();
    if texts.len() != blocks.len() || texts.is_empty() {
        essential.push(Dropped { path: at.to_string(), why: TEXT_OR_IMAGE });
    }
    EmbedInput::Text(texts.join("\n"))
}

fn purpose(word: &str) -> Option<EmbedPurpose> {
    Some(match word {
        "RETRIEVAL_QUERY" | "QUESTION_ANSWERING" | "FACT_VERIFICATION" | "CODE_RETRIEVAL_QUERY" => {
            EmbedPurpose::Query
        }
        "RETRIEVAL_DOCUMENT" => EmbedPurpose::Document,
        "CLASSIFICATION" => EmbedPurpose::Classification,
        "CLUSTERING" => EmbedPurpose::Clustering,
        "SEMANTIC_SIMILARITY" => EmbedPurpose::Similarity,
        _ => return None,
    })
}

const fn task_type(purpose: EmbedPurpose) -> &'static str {
    match purpose {
        EmbedPurpose::Query => "RETRIEVAL_QUERY",
        EmbedPurpose::Document => "RETRIEVAL_DOCUMENT",
        EmbedPurpose::Classification => "CLASSIFICATION",
        EmbedPurpose::Clustering => "CLUSTERING",
        EmbedPurpose::Similarity => "SEMANTIC_SIMILARITY",
    }
}

/// Whether the client asked for many at once, and reads its answer so.
pub(super) fn is_batch(embed: &Embed) -> bool {
    note(&embed.extra, "batch") == Some(&Value::Bool(true))
}

/// A request to a server: its method, its body, what it leaves out.
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) body: Value,
    pub(super) dropped: Vec<Dropped>,
}

/// Encodes a request for a server that names the model `model`.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported) for inputs Gemini does not take.
pub(super) fn encode(embed: &Embed, model: &str) -> Result<Request, Failure> {
    let model = format!("models/{model}");
    if embed.home == Dialect::Gemini {
        let mut body = note(&embed.extra, "body").cloned().unwrap_or_default();
        name(&mut body, &model);
        let method = if is_batch(embed) { "batchEmbedContents" } else { "embedContent" };
        return Ok(Request { method, body, dropped: Vec::new() });
    }
    embed.leave_home()?;
    let mut dropped: Vec<Dropped> = Vec::new();
    let mut drop = |path: &str, why| dropped.push(Dropped { path: path.to_owned(), why });
    for field in message::said(&embed.extra) {
        drop(field, "not known to Gemini");
    }
    for (given, path) in [
        (embed.normalize.is_some(), "normalize"),
        (embed.truncate.is_some(), "truncate"),
        (embed.user.is_some(), "user"),
    ] {
        if given {
            drop(path, "Gemini cannot be told");
        }
    }
    let mut requests = Vec::with_capacity(embed.inputs.len());
    for (index, input) in embed.inputs.iter().enumerate() {
        let mut request = Map::new();
        request.insert("model".to_owned(), model.as_str().into());
        request.insert("content".to_owned(), json!({"parts": [part(index, input)?]}));
        request.extend(embed.purpose.map(|purpose| ("taskType".to_owned(), task_type(purpose).into())));
        request.extend(embed.dimensions.map(|count| ("outputDimensionality".to_owned(), count.into())));
        requests.push(Value::Object(request));
    }
    let (method, body) = match requests.len() {
        1 => ("embedContent", requests.remove(0)),
        _ => ("batchEmbedContents", json!({ "requests": requests })),
    };
    Ok(Request { method, body, dropped })
}

/// The model stands in every request of a batch, and must be the path's.
fn name(body: &mut Value, model: &str) {
    if let Some(old) = body.get_mut("model") {
        *old = model.into();
    }
    for request in body.get_mut("requests").and_then(Value::as_array_mut).into_iter().flatten() {
        name(request, model);
    }
}

fn part(index: usize, input: &EmbedInput) -> Result<Value, Failure> {
    let at = format!("input.{index}");
    match input {
        EmbedInput::Text(text) => Ok(json!({ "text": text })),
        EmbedInput::Image(Media { media_type: Some(kind), source: MediaSource::Base64(data), .. }) => {
            Ok(json!({"inlineData": {"mimeType": kind, "data": data}}))
        }
        EmbedInput::Image(_) => Err(encode::refuse(at, "send the picture's bytes and media type")),
        EmbedInput::Tokens(_) => Err(encode::refuse(at, "Gemini takes text, not token ids")),
    }
}

/// A server's vectors.
pub(super) fn vectors(response: wire::Response, events: &mut Vec<Event>) -> Result<(), Failure> {
    let all = response.embeddings.into_iter().flatten().chain(response.embedding);
    let all: Option<Vec<Vec<f32>>> = all.map(|embedding| embedding.values).collect();
    let all = all.filter(|all| !all.is_empty()).ok_or_else(|| nonsense("no vectors"))?;
    events.push(Event::Start { id: None });
    events.extend(all.into_iter().map(Event::Embedding));
    let usage = response.usage_metadata.map_or_else(Usage::default, |usage| usage.buckets());
    events.extend([Event::Usage(usage), done()]);
    Ok(())
}

/// The end of an answer that is no conversation.
pub(super) fn done() -> Event {
    Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None }
}

/// The whole answer for a client.
pub(super) fn reply(completion: &Completion, is_batch: bool) -> Bytes {
    let usage = json!({"promptTokenCount": completion.usage.total_input()});
    let mut vectors = completion.embeddings.iter().map(|values| json!({ "values": values }));
    let body = if is_batch {
        json!({"embeddings": vectors.collect::<Vec<_>>(), "usageMetadata": usage})
    } else {
        json!({"embedding": vectors.next(), "usageMetadata": usage})
    };
    json::bytes(&body)
}
