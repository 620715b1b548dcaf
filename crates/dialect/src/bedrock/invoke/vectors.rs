//! Embeddings and rankings asked for by other dialects: InvokeModel's bodies, written for
//! the model's family, and its answers read whichever family they are of.
//!
//! Sources as in `embed` and `rerank`.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use message::{
    Dropped, Embed, EmbedInput, EmbedPurpose, Event, Extra, Failure, FinishReason, Operation, Ranked, Rerank,
    RerankDocument, Truncate, Usage, said,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ReplyDecoder;
use crate::bedrock::adapt::refuse;
use crate::bedrock::decode::{REPLY_BYTES_MAX, nonsense, parse};
use crate::bedrock::family::Family;
use crate::bedrock::home::counted;
use crate::bedrock::wire::At;

/// A body and what it leaves out.
pub(in crate::bedrock) type Written = (Value, Vec<Dropped>);

/// A request for embeddings in the words of `model`'s family.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported) for what the family cannot embed.
pub(in crate::bedrock) fn embed(embed: &Embed, family: Family, model: &str) -> Result<Written, Failure> {
    embed.leave_home()?;
    let mut dropped = unknown(&embed.extra);
    if embed.user.is_some() {
        dropped.push(Dropped { path: "user".to_owned(), why: "not known to this model" });
    }
    let body = match family {
        Family::TitanEmbed => titan(embed, model)?,
        Family::CohereEmbed => cohere(embed, model)?,
        Family::NovaEmbed => nova(embed)?,
        _ => {
            return Err(refuse(
                At::Body.key("model"),
                "Bedrock embeds with Amazon Titan, Amazon Nova and Cohere Embed, by their ids",
            ));
        }
    };
    if embed.purpose.is_some() && family == Family::TitanEmbed {
        dropped.push(Dropped { path: "purpose".to_owned(), why: "Titan's vectors serve every purpose" });
    }
    if embed.truncate.is_some() && family == Family::TitanEmbed {
        dropped.push(Dropped { path: "truncate".to_owned(), why: "Titan refuses what is too long" });
    }
    if embed.normalize.is_some() && family != Family::TitanEmbed {
        dropped.push(Dropped { path: "normalize".to_owned(), why: "not known to this model" });
    }
    Ok((Value::Object(body), dropped))
}

fn unknown(extra: &Extra) -> Vec<Dropped> {
    let fields = said(extra).filter(|name| *name != "encoding_format");
    fields.map(|name| Dropped { path: name.to_owned(), why: "not known to this model" }).collect()
}

/// The one text that some families take.
fn only_text(embed: &Embed) -> Result<&str, Failure> {
    match embed.inputs.as_slice() {
        [EmbedInput::Text(text)] => Ok(text),
        [_] => Err(refuse(At::Body.key("input"), "this model embeds text only")),
        _ => Err(refuse(At::Body.key("input"), "this model embeds one input a call; send them one by one")),
    }
}

fn titan(embed: &Embed, model: &str) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    body.insert("inputText".to_owned(), Value::from(only_text(embed)?));
    let first = !model.contains("embed-text-v2");
    if first && embed.dimensions.is_some() {
        return Err(refuse(At::Body.key("dimensions"), "this model's vectors have one size; leave it out"));
    }
    body.extend(embed.dimensions.map(|count| ("dimensions".to_owned(), Value::from(count))));
    if !first {
        body.extend(embed.normalize.map(|normalize| ("normalize".to_owned(), Value::from(normalize))));
    }
    Ok(body)
}

fn cohere(embed: &Embed, model: &str) -> Result<Map<String, Value>, Failure> {
    let at = At::Body.key("input");
    let mut texts = Vec::with_capacity(embed.inputs.len());
    for (index, input) in embed.inputs.iter().enumerate() {
        match input {
            EmbedInput::Text(text) => texts.push(Value::from(text.as_str())),
            EmbedInput::Tokens(_) => {
                return Err(refuse(at.index(index), "this model takes text, not tokens"));
            }
            EmbedInput::Image(_) => {
                return Err(refuse(at.index(index), "pictures are not sent to this model"));
            }
        }
    }
    let input_type = match embed.purpose {
        Some(EmbedPurpose::Query) => "search_query",
        Some(EmbedPurpose::Classification) => "classification",
        Some(EmbedPurpose::Clustering | EmbedPurpose::Similarity) => "clustering",
        Some(EmbedPurpose::Document) | None => "search_document",
    };
    let mut body = Map::new();
    body.insert("texts".to_owned(), Value::Array(texts));
    body.insert("input_type".to_owned(), Value::from(input_type));
    body.insert("embedding_types".to_owned(), json!(["float"]));
    let fourth = model.contains("embed-v4");
    let truncate = embed.truncate.map(|truncate| match (truncate, fourth) {
        (Truncate::None, _) => "NONE",
        (Truncate::Start, true) => "LEFT",
        (Truncate::Start, false) => "START",
        (Truncate::End, true) => "RIGHT",
        (Truncate::End, false) => "END",
    });
    body.extend(truncate.map(|word| ("truncate".to_owned(), Value::from(word))));
    if let Some(count) = embed.dimensions {
        if !fourth {
            return Err(refuse(
                At::Body.key("dimensions"),
                "this model's vectors have one size; leave it out",
            ));
        }
        body.insert("output_dimension".to_owned(), Value::from(count));
    }
    Ok(body)
}

fn nova(embed: &Embed) -> Result<Map<String, Value>, Failure> {
    let purpose = match embed.purpose {
        Some(EmbedPurpose::Query) => "GENERIC_RETRIEVAL",
        Some(EmbedPurpose::Classification) => "CLASSIFICATION",
        Some(EmbedPurpose::Clustering | EmbedPurpose::Similarity) => "CLUSTERING",
        Some(EmbedPurpose::Document) | None => "GENERIC_INDEX",
    };
    let truncate = match embed.truncate {
        Some(Truncate::None) => "NONE",
        Some(Truncate::Start) => "START",
        Some(Truncate::End) | None => "END",
    };
    let mut task = Map::new();
    task.insert("embeddingPurpose".to_owned(), Value::from(purpose));
    task.extend(embed.dimensions.map(|count| ("embeddingDimension".to_owned(), Value::from(count))));
    task.insert("text".to_owned(), json!({"truncationMode": truncate, "value": only_text(embed)?}));
    let body = json!({
        "schemaVersion": "nova-multimodal-embed-v1",
        "taskType": "SINGLE_EMBEDDING",
        "singleEmbeddingParams": task,
    });
    match body {
        Value::Object(body) => Ok(body),
        _ => Ok(Map::new()),
    }
}

/// A request to rerank, in the words of the models that do.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported) for another model.
pub(in crate::bedrock) fn rerank(rerank: &Rerank, family: Family) -> Result<Written, Failure> {
    rerank.leave_home()?;
    let Family::Rerank { cohere } = family else {
        return Err(refuse(
            At::Body.key("model"),
            "Bedrock ranks with Cohere Rerank and Amazon Rerank, by their ids",
        ));
    };
    let documents = rerank.documents.iter().map(|document| match document {
        RerankDocument::Text(text) => text.clone(),
        RerankDocument::Json(value) => value.to_string(),
    });
    let documents: Vec<String> = documents.collect();
    let mut body = json!({ "query": rerank.query, "documents": documents });
    if let Some(top_n) = rerank.top_n {
        body["top_n"] = Value::from(top_n);
    }
    if cohere {
        body["api_version"] = Value::from(2);
    }
    Ok((body, unknown(&rerank.extra)))
}

/// Reads the answer of whichever family.
pub(in crate::bedrock) struct Vectors {
    operation: Operation,
    body: BytesMut,
    /// Cohere counts in the reply's head.
    counted: Option<Usage>,
}

impl Vectors {
    pub(in crate::bedrock) fn new(operation: Operation) -> Self {
        Self { operation, body: BytesMut::new(), counted: None }
    }
}

/// All that any of the families answers.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    embedding: Option<Vec<f32>>,
    #[serde(rename = "embeddingsByType")]
    by_type: Option<ByType>,
    embeddings: Option<Many>,
    #[serde(rename = "inputTextTokenCount")]
    input_tokens: Option<u64>,
    results: Option<Vec<Place>>,
}

#[derive(Deserialize)]
struct ByType {
    float: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Many {
    Plain(Vec<Vec<f32>>),
    Typed { float: Vec<Vec<f32>> },
    Named(Vec<Named>),
}

#[derive(Deserialize)]
struct Named {
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Place {
    index: u32,
    #[serde(alias = "relevanceScore")]
    relevance_score: f64,
}

impl ReplyDecoder for Vectors {
    fn head(&mut self, from: &HeaderMap, _: &mut HeaderMap) {
        self.counted = counted(from);
    }

    fn feed(&mut self, piece: Bytes, _: &mut Vec<Event>) -> Result<(), Failure> {
        if self.body.len() + piece.len() > REPLY_BYTES_MAX {
            return Err(nonsense(format_args!("it is larger than {REPLY_BYTES_MAX} bytes")));
        }
        self.body.extend_from_slice(&piece);
        Ok(())
    }

    fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), Failure> {
        let answer: Answer = parse(&self.body)?;
        events.push(Event::Start { id: None });
        if self.operation == Operation::Rerank {
            let places = answer.results.ok_or_else(|| nonsense("a ranking without results"))?;
            let ranked =
                places.into_iter().map(|place| Ranked { index: place.index, score: place.relevance_score });
            events.push(Event::Ranking(ranked.collect()));
        } else {
            let many = match (answer.embedding, answer.by_type, answer.embeddings) {
                (Some(one), _, _) => vec![one],
                (_, Some(ByType { float }), _) => vec![float],
                (_, _, Some(Many::Plain(many) | Many::Typed { float: many })) => many,
                (_, _, Some(Many::Named(many))) => many.into_iter().map(|named| named.embedding).collect(),
                (None, None, None) => return Err(nonsense("embeddings without a vector")),
            };
            events.extend(many.into_iter().map(Event::Embedding));
        }
        let own = answer.input_tokens.map(|input_tokens| Usage { input_tokens, ..Usage::default() });
        events.extend(own.or(self.counted).map(Event::Usage));
        events.push(Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None });
        Ok(())
    }
}
