//! Rerank of `bedrock-agent-runtime`: one query, documents inline, and their places back.
//! The model stands in the body.
//!
//! Source: service model `bedrock-agent-runtime` of botocore 1.44.5, read 2026-11-23.

use message::{Call, Completion, Dialect, Event, Failure, Head, Ranked, Rerank, RerankDocument};
use serde_json::{Value, json};

use super::models::model_id;
use super::reply::ok;
use super::wire::{At, Object, leave, list};
use crate::{ReplyEncoder, Whole, json};

/// Where the model stands in the body.
const MODEL: [&str; 4] =
    ["rerankingConfiguration", "bedrockRerankingConfiguration", "modelConfiguration", "modelArn"];

/// Reads the model's name.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) where it is missing.
pub(super) fn head(body: &[u8]) -> Result<Head, Failure> {
    let missing = || Failure::invalid_field(MODEL.join("."), "required, but missing");
    let mut inner = body;
    for key in MODEL.into_iter().take(3) {
        let [found] = json::members(inner, [key])?;
        let found = found.and_then(|found| inner.get(found)).filter(|found| found.starts_with(b"{"));
        inner = found.ok_or_else(missing)?;
    }
    let [found] = json::members(inner, [MODEL[3]])?;
    let model = json::member::<String>(inner, found, MODEL[3])?.filter(|model| !model.is_empty());
    // A model of another name than the service's own stands at the end of an ARN, too.
    let model = model_id(&model.ok_or_else(missing)?).to_owned();
    Ok(Head { model, model_span: None, stream: false, max_tokens: None })
}

/// Decodes a body.
pub(super) fn decode(call: &Call) -> Result<Rerank, Failure> {
    let mut body = Object::new(json::decode::<Value>(&call.body)?, At::Body)?;
    let at = At::Body.key("queries");
    let mut queries = list(body.require("queries")?, at)?.into_iter();
    let (Some(query), None) = (queries.next(), queries.next()) else {
        return Err(at.wrong("expected exactly one query"));
    };
    let at = at.index(0);
    let mut query = Object::new(query, at)?;
    known(&query.require_string("type")?, "TEXT", at)?;
    let at = at.key("textQuery");
    let query = Object::new(query.require("textQuery")?, at)?.require_string("text")?;
    let at = At::Body.key("sources");
    let sources = list(body.require("sources")?, at)?.into_iter().enumerate();
    let documents = sources.map(|(index, source)| document(source, at.index(index)));
    let documents = documents.collect::<Result<Vec<_>, _>>()?;

    let at = At::Body.key(MODEL[0]);
    let mut configuration = Object::new(body.require(MODEL[0])?, at)?;
    known(&configuration.require_string("type")?, "BEDROCK_RERANKING_MODEL", at)?;
    let at = at.key(MODEL[1]);
    let mut inner = Object::new(configuration.require(MODEL[1])?, at)?;
    let top_n = inner.count("numberOfResults", 1)?;
    let at = at.key(MODEL[2]);
    let mut model = Object::new(inner.require(MODEL[2])?, at)?;
    model.take(MODEL[3]);

    let mut rerank = Rerank::new(Dialect::BedrockConverse, query, documents);
    rerank.top_n = top_n.map(|top_n| u32::try_from(top_n).unwrap_or(u32::MAX));
    rerank.extra = body.rest();
    leave(&mut rerank.extra, &MODEL[..3], model.left());
    leave(&mut rerank.extra, &MODEL[..2], inner.left());
    Ok(rerank)
}

fn document(source: Value, at: At<'_>) -> Result<RerankDocument, Failure> {
    let mut source = Object::new(source, at)?;
    known(&source.require_string("type")?, "INLINE", at)?;
    let at = at.key("inlineDocumentSource");
    let mut inline = Object::new(source.require("inlineDocumentSource")?, at)?;
    match inline.require_string("type")?.as_str() {
        "TEXT" => {
            let at = at.key("textDocument");
            Object::new(inline.require("textDocument")?, at)?.require_string("text").map(RerankDocument::Text)
        }
        "JSON" => Ok(RerankDocument::Json(inline.require("jsonDocument")?)),
        _ => Err(at.key("type").wrong("expected TEXT or JSON")),
    }
}

fn known(found: &str, expected: &str, at: At<'_>) -> Result<(), Failure> {
    if found == expected { Ok(()) } else { Err(at.key("type").wrong(format_args!("expected {expected}"))) }
}

/// Answers with the places of the documents, best first, all on one page.
pub(super) struct Ranking;

impl ReplyEncoder for Ranking {
    /// Never asked for: there is no stream.
    fn stream_headers(&self) -> Vec<(http::HeaderName, http::HeaderValue)> {
        Vec::new()
    }

    fn event(&mut self, _: Event, _: &mut Vec<u8>) {}

    fn end(&mut self, _: &mut Vec<u8>) {}

    fn failure(&mut self, _: &Failure, _: &mut Vec<u8>) {}

    fn whole(&mut self, completion: Completion) -> Whole {
        let results = completion.ranking.iter();
        let results = results.map(|Ranked { index, score }| json!({"index": index, "relevanceScore": score}));
        ok(&json!({ "results": results.collect::<Vec<_>>() }))
    }
}
