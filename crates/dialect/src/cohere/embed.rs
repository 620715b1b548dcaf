//! Embeddings, both ways. Source: `v2/raw_client.py` (`embed`), `EmbedInput` and
//! `EmbedByTypeResponse` of `cohere` 7.3.1, read 2026-11-22.

use bytes::Bytes;
use message::{
    Call, Completion, Dialect, Dropped, Embed, EmbedInput, EmbedPurpose, Event, Failure, FinishReason,
    Truncate, Usage,
};
use serde_json::{Map, Value, json};

use super::encode::{refuse, url};
use super::error::nonsense;
use super::inbound::media;
use crate::json;
use crate::json::fields::{At, Fields, note};

/// Decodes a body.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the field.
pub(super) fn decode(call: &Call) -> Result<Embed, Failure> {
    let whole: Map<String, Value> = json::decode(&call.body)?;
    let mut fields = Fields::new(At::Root, whole.clone());
    fields.take("model");
    let mut embed = Embed::new(Dialect::Cohere, Vec::new());
    for (name, read) in [("texts", text as Read), ("images", image), ("inputs", mixed)] {
        let at = At::Root.field(name);
        for (index, value) in fields.filled_array(name)?.into_iter().enumerate() {
            let input = read(at.item(index), value, &mut embed)?;
            embed.inputs.push(input);
        }
    }
    if embed.inputs.is_empty() {
        return Err(At::Root.field("texts").fault("something to embed is required"));
    }
    embed.purpose = match fields.string("input_type")?.as_deref() {
        None | Some("image") => None,
        Some("search_document") => Some(EmbedPurpose::Document),
        Some("search_query") => Some(EmbedPurpose::Query),
        Some("classification") => Some(EmbedPurpose::Classification),
        Some("clustering") => Some(EmbedPurpose::Clustering),
        Some(_) => return Err(At::Root.field("input_type").fault("not an input type of Cohere's")),
    };
    let wrong = || At::Root.field("output_dimension").fault("must be a small positive number");
    if let Some(count) = fields.count("output_dimension")? {
        let count = u32::try_from(count).ok().filter(|count| *count > 0);
        embed.dimensions = Some(count.ok_or_else(wrong)?);
    }
    embed.truncate = match fields.string("truncate")?.as_deref() {
        None => None,
        Some("NONE") => Some(Truncate::None),
        Some("START") => Some(Truncate::Start),
        Some("END") => Some(Truncate::End),
        Some(_) => return Err(At::Root.field("truncate").fault("expected `NONE`, `START` or `END`")),
    };
    for kind in fields.filled_array("embedding_types")? {
        if kind != "float" {
            let why = "this model gives vectors of floats; ask for embedding_types [\"float\"]";
            embed.essential.push(Dropped { path: "embedding_types".to_owned(), why });
            break;
        }
    }
    fields.note("body", whole);
    embed.extra = fields.rest();
    Ok(embed)
}

type Read = fn(At<'_>, Value, &mut Embed) -> Result<EmbedInput, Failure>;

fn text(at: At<'_>, value: Value, _: &mut Embed) -> Result<EmbedInput, Failure> {
    match value {
        Value::String(text) => Ok(EmbedInput::Text(text)),
        other => Err(at.expected("a string", &other)),
    }
}

fn image(at: At<'_>, value: Value, _: &mut Embed) -> Result<EmbedInput, Failure> {
    match value {
        Value::String(url) => Ok(EmbedInput::Image(media(&at, url)?)),
        other => Err(at.expected("a data: URL", &other)),
    }
}

/// Contents of several parts are one vector; only Cohere fuses text and pictures.
fn mixed(at: At<'_>, value: Value, embed: &mut Embed) -> Result<EmbedInput, Failure> {
    let mut fields = Fields::of(at, value)?;
    let parts = fields.array("content")?.ok_or_else(|| fields.missing("content"))?;
    if let [part] = parts.as_slice()
        && let Some(Value::String(url)) = part.get("image_url").and_then(|image| image.get("url"))
    {
        return Ok(EmbedInput::Image(media(&at, url.clone())?));
    }
    let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
    if texts.len() != parts.len() {
        let why = "it embeds text, or one picture at a time";
        embed.essential.push(Dropped { path: at.to_string(), why });
    }
    Ok(EmbedInput::Text(texts.join("\n")))
}

/// Encodes a request for a server that names the model `model`.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported) for inputs Cohere does not take.
pub(super) fn encode(embed: &Embed, model: &str) -> Result<(Value, Vec<Dropped>), Failure> {
    if let (Dialect::Cohere, Some(body)) = (embed.home, note(&embed.extra, "body")) {
        let mut body = body.clone();
        body["model"] = model.into();
        return Ok((body, Vec::new()));
    }
    embed.leave_home()?;
    let mut dropped: Vec<Dropped> = Vec::new();
    let mut drop = |path: &str, why| dropped.push(Dropped { path: path.to_owned(), why });
    for field in message::said(&embed.extra) {
        drop(field, "not known to Cohere");
    }
    if embed.normalize.is_some() {
        drop("normalize", "Cohere cannot be told");
    }
    if embed.user.is_some() {
        drop("user", "Cohere is not told who asks");
    }
    // Cohere's newer models insist on a purpose.
    let purpose = match embed.purpose {
        Some(EmbedPurpose::Query) => "search_query",
        Some(EmbedPurpose::Document) | None => "search_document",
        Some(EmbedPurpose::Classification) => "classification",
        Some(EmbedPurpose::Clustering) => "clustering",
        Some(EmbedPurpose::Similarity) => {
            drop("input_type", "Cohere knows no similarity; clustering was sent");
            "clustering"
        }
    };
    let texts: Option<Vec<&str>> = embed
        .inputs
        .iter()
        .map(|input| match input {
            EmbedInput::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let mut body = json!({"model": model, "input_type": purpose, "embedding_types": ["float"]});
    match texts {
        Some(texts) => body["texts"] = texts.into(),
        None => {
            let inputs = embed.inputs.iter().enumerate().map(|(index, input)| content(index, input));
            body["inputs"] = inputs.collect::<Result<Vec<_>, _>>()?.into();
        }
    }
    if let Some(dimensions) = embed.dimensions {
        body["output_dimension"] = dimensions.into();
    }
    if let Some(truncate) = embed.truncate {
        body["truncate"] = match truncate {
            Truncate::None => "NONE",
            Truncate::Start => "START",
            Truncate::End => "END",
        }
        .into();
    }
    Ok((body, dropped))
}

fn content(index: usize, input: &EmbedInput) -> Result<Value, Failure> {
    let at = format!("input.{index}");
    let part = match input {
        EmbedInput::Text(text) => json!({"type": "text", "text": text}),
        EmbedInput::Image(media) => json!({"type": "image_url", "image_url": {"url": url(&at, media)?}}),
        EmbedInput::Tokens(_) => return Err(refuse(at, "Cohere takes text, not token ids")),
    };
    Ok(json!({"content": [part]}))
}

/// A server's vectors.
pub(super) fn vectors(body: &Value, events: &mut Vec<Event>) -> Result<(), Failure> {
    // Without types asked for, older servers give the list itself.
    let all = body.get("embeddings").map(|all| all.get("float").unwrap_or(all)).and_then(Value::as_array);
    let all = all.filter(|all| !all.is_empty()).ok_or_else(|| nonsense("no vectors of floats"))?;
    events.push(Event::Start { id: body.get("id").and_then(Value::as_str).map(str::to_owned) });
    for vector in all {
        let numbers = vector.as_array().ok_or_else(|| nonsense("a vector that is no list"))?;
        let numbers: Option<Vec<f32>> =
            numbers.iter().map(|one| one.as_f64().map(|one| one as f32)).collect();
        events.push(Event::Embedding(numbers.ok_or_else(|| nonsense("a vector of something else"))?));
    }
    events.extend([Event::Usage(usage(body)), done()]);
    Ok(())
}

/// Tokens counted beside an answer that is no conversation.
pub(super) fn usage(body: &Value) -> Usage {
    let units = body.get("meta").and_then(|meta| meta.get("billed_units"));
    let count = |name| units.and_then(|units| units.get(name)).and_then(Value::as_f64).unwrap_or(0.0);
    let input_tokens = (count("input_tokens") + count("image_tokens")) as u64;
    Usage { input_tokens, ..Usage::default() }
}

/// The end of an answer that is no conversation.
pub(super) fn done() -> Event {
    Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None }
}

/// The whole answer for a client.
pub(super) fn reply(id: &str, completion: &Completion, texts: Vec<String>) -> Bytes {
    let body = json!({
        "id": completion.id.as_deref().unwrap_or(id),
        "embeddings": {"float": completion.embeddings},
        "texts": texts,
        "meta": {
            "api_version": {"version": "2"},
            "billed_units": {"input_tokens": completion.usage.total_input()},
        },
        "response_type": "embeddings_by_type",
    });
    json::bytes(&body)
}
