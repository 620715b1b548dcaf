//! Reranking: Cohere's and Amazon's, which share one body.
//!
//! Source: Amazon Bedrock user guide, "Cohere Rerank models" and "Amazon Rerank";
//! read 2026-11-22.

use message::{Completion, Dialect, Event, Failure, Rerank, RerankDocument};
use serde_json::{Value, json};

use super::chunk::{Chunks, Writer};
use crate::bedrock::wire::{At, Object, list};
use crate::json;

/// Reads a query and its documents.
pub(super) fn read(body: &[u8]) -> Result<Rerank, Failure> {
    let mut body = Object::new(json::decode::<Value>(body)?, At::Body)?;
    body.take("api_version");
    let query = body.require_string("query")?;
    let at = At::Body.key("documents");
    let documents = list(body.require("documents")?, at)?.into_iter().map(document).collect();
    let top_n = body.count("top_n", 1)?;
    let top_n = top_n.map(|top_n| u32::try_from(top_n).unwrap_or(u32::MAX));
    Ok(Rerank {
        home: Dialect::BedrockInvoke,
        query,
        documents,
        top_n,
        essential: Vec::new(),
        extra: body.rest(),
    })
}

fn document(value: Value) -> RerankDocument {
    match value {
        Value::String(text) => RerankDocument::Text(text),
        other => RerankDocument::Json(other),
    }
}

/// Answers with the places of the documents, best first.
pub(super) struct Ranking;

impl Writer for Ranking {
    fn event(&mut self, _: Event, _: &mut Chunks<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn end(&mut self, _: &mut Chunks<'_>) {}

    fn whole(&mut self, completion: Completion) -> Vec<u8> {
        let results = completion.ranking.iter();
        let results: Vec<Value> =
            results.map(|ranked| json!({"index": ranked.index, "relevance_score": ranked.score})).collect();
        json!({ "results": results }).to_string().into_bytes()
    }
}
