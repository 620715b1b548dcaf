//! Ranking, both ways. Source: `v2/raw_client.py` (`rerank`) and `V2RerankResponse` of
//! `cohere` 7.3.1, read 2026-11-22; version 1 (`raw_base_client.py`, `RerankResponse`) reads
//! the same and can ask for the documents back. What clients of Jina, vLLM and llama.cpp's
//! server look for beside it, the tokens under `usage`, is there, too.

use bytes::Bytes;
use message::{Call, Completion, Dialect, Dropped, Event, Extra, Failure, Ranked, Rerank, RerankDocument};
use serde_json::{Map, Value, json};

use super::embed::{done, usage};
use super::error::nonsense;
use crate::json;
use crate::json::fields::{At, Fields, note};

/// Notes whether the documents are wanted back.
const RETURN: &str = "return_documents";

/// Whether the client wants the documents back, beside their places. Only version 1 has it:
/// a server of version 2 cannot be asked, so they are put in here.
pub(super) fn returns_documents(rerank: &Rerank) -> bool {
    note(&rerank.extra, RETURN).is_some_and(|wanted| wanted == true)
}

/// Decodes a body.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the field.
pub(super) fn decode(call: &Call) -> Result<Rerank, Failure> {
    let whole: Map<String, Value> = json::decode(&call.body)?;
    let mut fields = Fields::new(At::Root, whole.clone());
    fields.take("model");
    let query = fields.required_string("query")?;
    let at = At::Root.field("documents");
    let documents = fields.array("documents")?.ok_or_else(|| fields.missing("documents"))?;
    if documents.is_empty() {
        return Err(at.fault("at least one document is required"));
    }
    let documents = documents.into_iter().enumerate().map(|(index, document)| match document {
        Value::String(text) => Ok(RerankDocument::Text(text)),
        // Version 1's form, which servers still take.
        object @ Value::Object(_) => Ok(RerankDocument::Json(object)),
        other => Err(at.item(index).expected("a string", &other)),
    });
    let documents = documents.collect::<Result<Vec<_>, _>>()?;
    let top_n = match fields.count("top_n")? {
        None => None,
        Some(count) => {
            let wrong = || At::Root.field("top_n").fault("must be a positive number");
            Some(u32::try_from(count).ok().filter(|count| *count > 0).ok_or_else(wrong)?)
        }
    };
    fields.note("body", whole);
    if let Some(wanted) = fields.bool("return_documents")? {
        fields.note(RETURN, wanted);
    }
    let extra = fields.rest();
    Ok(Rerank { home: Dialect::Cohere, query, documents, top_n, essential: Vec::new(), extra })
}

/// Encodes a request for a server that names the model `model`.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported), naming the field.
pub(super) fn encode(rerank: &Rerank, model: &str) -> Result<(Value, Vec<Dropped>), Failure> {
    if let (Dialect::Cohere, Some(body)) = (rerank.home, note(&rerank.extra, "body")) {
        let mut body = body.clone();
        body["model"] = model.into();
        if let Some(body) = body.as_object_mut() {
            body.shift_remove(RETURN);
        }
        return Ok((body, Vec::new()));
    }
    rerank.leave_home()?;
    let documents = rerank.documents.iter().map(|document| match document {
        RerankDocument::Text(text) => text.clone(),
        RerankDocument::Json(value) => value.to_string(),
    });
    let mut body = json!({
        "model": model, "query": rerank.query, "documents": documents.collect::<Vec<_>>(),
    });
    if let Some(top_n) = rerank.top_n {
        body["top_n"] = top_n.into();
    }
    Ok((body, lost(&rerank.extra)))
}

fn lost(extra: &Extra) -> Vec<Dropped> {
    let lost = message::said(extra);
    lost.map(|name| Dropped { path: name.to_owned(), why: "not known to Cohere" }).collect()
}

/// A server's ranking.
pub(super) fn ranking(body: &Value, events: &mut Vec<Event>) -> Result<(), Failure> {
    let results = body.get("results").and_then(Value::as_array).ok_or_else(|| nonsense("no results"))?;
    let one = |result: &Value| {
        let index = u32::try_from(result.get("index")?.as_u64()?).ok()?;
        Some(Ranked { index, score: result.get("relevance_score")?.as_f64()? })
    };
    let ranking: Option<Vec<Ranked>> = results.iter().map(one).collect();
    let ranking = ranking.ok_or_else(|| nonsense("a result without place or score"))?;
    events.push(Event::Start { id: body.get("id").and_then(Value::as_str).map(str::to_owned) });
    events.extend([Event::Ranking(ranking), Event::Usage(usage(body)), done()]);
    Ok(())
}

/// The whole answer for a client.
pub(super) fn reply(call: &Call, id: &str, completion: &Completion) -> Bytes {
    let asked = call.rerank().ok().filter(|rerank| returns_documents(rerank));
    let document = |index: u32| asked.and_then(|rerank| rerank.documents.get(index as usize));
    let result = |Ranked { index, score }: &Ranked| {
        let mut result = json!({"index": index, "relevance_score": score});
        if let Some(document) = document(*index) {
            result["document"] = match document {
                RerankDocument::Text(text) => json!({ "text": text }),
                RerankDocument::Json(value) => value.clone(),
            };
        }
        result
    };
    let mut body = json!({
        "id": completion.id.as_deref().unwrap_or(id),
        "results": completion.ranking.iter().map(result).collect::<Vec<_>>(),
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
    });
    // Hosted rerankers count searches and no tokens.
    if let tokens @ 1.. = completion.usage.total_input() {
        body["meta"]["tokens"] = json!({ "input_tokens": tokens });
        body["usage"] = json!({ "total_tokens": tokens });
    }
    json::bytes(&body)
}
