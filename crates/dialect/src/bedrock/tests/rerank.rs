//! Rerank of the agent runtime.

use message::{Completion, Ranked, RerankDocument};
use serde_json::json;

use super::*;
use crate::reply_encoder;

fn body() -> Value {
    json!({
        "queries": [{"type": "TEXT", "textQuery": {"text": "q"}}],
        "sources": [
            {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": "a"}}},
            {"type": "INLINE", "inlineDocumentSource": {"type": "JSON", "jsonDocument": {"b": 1}}},
        ],
        "rerankingConfiguration": {
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {
                "modelConfiguration": {
                    "modelArn": "arn:aws:bedrock:us-west-2::foundation-model/amazon.rerank-v1:0",
                    "additionalModelRequestFields": {"x": 1},
                },
                "numberOfResults": 1,
            },
        },
    })
}

fn rerank(body: &Value) -> Result<Call, Failure> {
    let call = call(Dialect::BedrockConverse, Operation::Rerank, body.to_string())?;
    call.rerank()?;
    Ok(call)
}

#[test]
fn the_model_stands_in_the_body() {
    let call = rerank(&body()).unwrap();
    assert_eq!(call.head.model, "amazon.rerank-v1:0");
    let rerank = call.rerank().unwrap();
    let documents = [RerankDocument::Text("a".into()), RerankDocument::Json(json!({"b": 1}))];
    assert_eq!(
        (rerank.query.as_str(), rerank.documents.as_slice(), rerank.top_n),
        ("q", &documents[..], Some(1))
    );
    let left: Vec<_> = message::said(&rerank.extra).collect();
    assert_eq!(left, ["rerankingConfiguration"], "what a model may not know is told");
}

#[test]
fn places_and_scores_are_the_answer() {
    let call = rerank(&body()).unwrap();
    let completion = Completion { ranking: vec![Ranked { index: 1, score: 0.5 }], ..Completion::default() };
    let whole = reply_encoder(&call).whole(completion);
    let told: Value = serde_json::from_slice(&whole.body).unwrap();
    assert_eq!(told, json!({"results": [{"index": 1, "relevanceScore": 0.5}]}));
}

#[test]
fn faults_are_named_by_their_place() {
    for (pointer, value, place) in [
        ("/queries", json!([]), "queries"),
        ("/queries/0/type", json!("IMAGE"), "queries.0.type"),
        ("/queries/0/textQuery", json!({}), "queries.0.textQuery.text"),
        ("/sources", json!("a"), "sources"),
        ("/sources/1/type", json!("S3"), "sources.1.type"),
        ("/sources/0/inlineDocumentSource/type", json!("PDF"), "sources.0.inlineDocumentSource.type"),
        ("/rerankingConfiguration", json!({}), "rerankingConfiguration.bedrockRerankingConfiguration"),
        ("/rerankingConfiguration/type", json!("x"), "rerankingConfiguration.type"),
    ] {
        let mut body = body();
        *body.pointer_mut(pointer).unwrap() = value;
        let failure = rerank(&body).err().unwrap();
        let param = failure.param.clone().unwrap_or_default();
        assert!(param.starts_with(place), "{pointer}: {param}");
    }
    assert!(call(Dialect::BedrockConverse, Operation::Rerank, "[").is_err());
}
