//! Rankings, on a real encoder with a made head: the same scores as its reference
//! implementation's.
//!
//! `fixtures/crossencoder.json`: pairs of a query and a document, how many tokens each has,
//! and its logit to four places, computed by transformers 5 on CPU in double precision from
//! the model that `bench/rerank/head.py` makes; `untold` is the logit where query and
//! document are not told apart (every token of type 0). The last four are cut to 512 tokens.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

mod support;

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

use bytes::Bytes;
use engine::{Engine, Task};
use futures_util::StreamExt;
use message::{
    Call, Decode, Dialect, ErrorKind, Event, Failure, FinishReason, Head, NewCall, Operation, Principal,
    Ranked, RequestId, Rerank, RerankDocument, Service, Usage,
};
use serde::Deserialize;
use serde_json::json;
use support::reranker::reranker;
use support::{chat, complete, config, engine, until};

#[derive(Deserialize)]
struct Reference {
    query: String,
    document: String,
    tokens: u64,
    logit: f64,
    untold: f64,
}

fn references() -> Vec<Reference> {
    serde_json::from_str(include_str!("fixtures/crossencoder.json")).unwrap()
}

fn ranker() -> Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(load);
    ENGINE.clone()
}

fn load() -> Engine {
    let folder = tempfile::tempdir().unwrap();
    // It is mapped: the folder may go.
    Engine::load(&reranker(folder.path(), 1), "ranker", config()).unwrap()
}

/// The decode function must be a plain function, so the request travels by number.
fn call(rerank: Rerank) -> Call {
    static REQUESTS: Mutex<Vec<Rerank>> = Mutex::new(Vec::new());
    fn decode(call: &Call) -> Result<Rerank, Failure> {
        let number: usize = String::from_utf8_lossy(&call.body).parse().unwrap();
        Ok(REQUESTS.lock().unwrap()[number].clone())
    }
    let number = {
        let mut requests = REQUESTS.lock().unwrap();
        requests.push(rerank);
        requests.len() - 1
    };
    Call::new(NewCall {
        id: RequestId::new(number.to_string()),
        operation: Operation::Rerank,
        dialect: Dialect::Cohere,
        head: Head::default(),
        body: Bytes::from(number.to_string()),
        headers: Arc::default(),
        principal: Principal { key_id: "dev".into(), name: "dev".into() },
        received: Instant::now(),
        strict: false,
        decode: Decode::Rerank(decode),
    })
}

fn request<S: AsRef<str>>(query: &str, documents: impl IntoIterator<Item = S>) -> Rerank {
    let documents = documents.into_iter().map(|text| RerankDocument::Text(text.as_ref().to_owned()));
    Rerank::new(Dialect::Cohere, query, documents.collect())
}

/// The ranking and usage; checks the order of events.
async fn rank(engine: &Engine, rerank: Rerank) -> Result<(Vec<Ranked>, Usage), Failure> {
    let mut events = engine.call(call(rerank)).await?.events;
    assert_eq!(events.next().await.unwrap()?, Event::Start { id: None });
    let Event::Ranking(ranking) = events.next().await.unwrap()? else { panic!("no ranking") };
    let Event::Usage(usage) = events.next().await.unwrap()? else { panic!("no usage") };
    let Event::Finish { reason, .. } = events.next().await.unwrap()? else { panic!("no end") };
    assert_eq!(reason, FinishReason::EndTurn);
    assert!(events.next().await.is_none());
    Ok((ranking, usage))
}

/// The logits of documents, in their order, and the tokens of all.
async fn logits(engine: &Engine, rerank: Rerank) -> (Vec<f64>, u64) {
    let (mut ranking, usage) = rank(engine, rerank).await.unwrap();
    assert!(ranking.windows(2).all(|two| two[0].score >= two[1].score), "best first");
    ranking.sort_by_key(|ranked| ranked.index);
    (ranking.iter().map(|ranked| (ranked.score / (1.0 - ranked.score)).ln()).collect(), usage.input_tokens)
}

/// Sums round otherwise in other company.
fn alike(some: &[f64], others: &[f64]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| (one - other).abs() < 0.01)
}

#[tokio::test]
async fn pairs_have_the_reference_implementations_scores() {
    let references = references();
    assert_eq!(references.len(), 64);
    let (mut compared, mut nearer) = (0, 0);
    for queries in references.chunk_by(|one, other| one.query == other.query) {
        let asked = request(&queries[0].query, queries.iter().map(|reference| &reference.document));
        let (logits, tokens) = logits(&ranker(), asked).await;
        assert_eq!(tokens, queries.iter().map(|reference| reference.tokens).sum::<u64>());
        for (reference, logit) in queries.iter().zip(logits) {
            let apart = (reference.logit - logit).abs();
            assert!(apart < 0.02, "{logit} and not {} for {:?}", reference.logit, reference.document);
            compared += 1;
            nearer += usize::from(apart < (reference.untold - logit).abs());
        }
    }
    assert_eq!(compared, 64);
    assert!(nearer > 60, "only {nearer} of 64 know which text is the query");
}

#[tokio::test]
async fn many_calls_at_once_get_their_own_rankings() {
    let engine = ranker();
    let references = references();
    let some = |n: usize| {
        let some = &references[n * 5..n * 5 + 4];
        request(&some[0].query, some.iter().map(|reference| &reference.document))
    };
    let calls = (0..12).map(|n| logits(&engine, some(n)));
    for (n, (together, _)) in futures_util::future::join_all(calls).await.into_iter().enumerate() {
        let (alone, _) = logits(&engine, some(n)).await;
        assert!(alike(&together, &alone), "{together:?} and not {alone:?}");
    }
    until(&engine, |stats| stats.busy == 0).await;
    assert_eq!(engine.stats().failed, 0);
}

#[tokio::test]
async fn documents_are_cut_and_the_query_is_not() {
    let engine = ranker();
    let long = "word ".repeat(600);
    let endless = "word ".repeat(200_000);
    let (cut, tokens) =
        logits(&engine, request("which word?", [&long, &endless, &format!("{long} end")])).await;
    assert_eq!(tokens, 3 * 512);
    assert!(alike(&[cut[0], cut[0]], &cut[1..]), "what differs was cut off: {cut:?}");
    for query in [&long, &endless] {
        let failure = rank(&engine, request(query, ["a"])).await.unwrap_err();
        assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::ContextOverflow, Some("query")));
    }
}

#[tokio::test]
async fn the_best_few_and_documents_of_every_form() {
    let engine = ranker();
    let documents = ["a kitten", "", "the bond market", " "];
    let (all, _) = rank(&engine, request("cats", documents)).await.unwrap();
    assert_eq!(all.len(), 4, "a document may be empty");
    let (few, _) = rank(&engine, Rerank { top_n: Some(2), ..request("cats", documents) }).await.unwrap();
    let scores = |ranking: &[Ranked]| ranking.iter().map(|ranked| ranked.score).collect::<Vec<_>>();
    assert!(alike(&scores(&few), &scores(&all[..2])), "{few:?} of {all:?}");
    let (more, _) = rank(&engine, Rerank { top_n: Some(99), ..request("cats", documents) }).await.unwrap();
    assert_eq!(more.len(), 4);
    let forms = [json!({"text": "a kitten"}), json!({"title": "x", "n": 1})].map(RerankDocument::Json);
    let (formed, _) = logits(&engine, Rerank::new(Dialect::Cohere, "cats", forms.into())).await;
    let (written, _) = logits(&engine, request("cats", ["a kitten", r#"{"title":"x","n":1}"#])).await;
    assert!(alike(&formed, &written), "{formed:?} and not {written:?}");
}

#[tokio::test]
async fn control_tokens_in_a_text_are_words() {
    let (scores, tokens) = logits(&ranker(), request("cats", ["[SEP] dogs", "dogs"])).await;
    assert!(tokens > 2 * 6, "[SEP] is spelt out: {tokens}");
    assert!((scores[0] - scores[1]).abs() > 1e-3);
}

#[tokio::test]
async fn what_cannot_be_ranked_is_refused_by_name() {
    let engine = ranker();
    assert_eq!(engine.model().unwrap().task, Task::Rerank);
    for (asked, param) in [
        (request("", ["a"]), "query"),
        (request(" \n", ["a"]), "query"),
        (request("a", Vec::<String>::new()), "documents"),
        (request("a", vec!["a"; 10_000]), "documents"),
        (Rerank { top_n: Some(0), ..request("a", ["a"]) }, "top_n"),
    ] {
        let failure = rank(&engine, asked).await.unwrap_err();
        assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::InvalidRequest, Some(param)));
    }
    let failure = complete(&engine, chat("Hi", 4)).await.unwrap_err();
    assert!(failure.message.contains("scores documents"), "{}", failure.message);
    let failure = rank(&self::engine(), request("a", ["a"])).await.unwrap_err();
    assert!(failure.message.contains("ask a rerank model"), "{}", failure.message);
}

#[tokio::test]
async fn a_reader_that_leaves_ends_its_call() {
    // One that nobody else asks.
    let engine = load();
    let long = "word ".repeat(600);
    tokio::select! {
        _ = engine.call(call(request("a", vec![long; 1000]))) => panic!("it takes minutes"),
        () = until(&engine, |stats| stats.busy > 0) => {}
    }
    until(&engine, |stats| stats.cancelled == 1 && stats.busy == 0).await;
    assert!(engine.stats().prefilled_tokens < 1000 * 512, "the rest was not computed");
}

#[test]
fn a_classifier_of_several_labels_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let error = Engine::load(&reranker(folder.path(), 3), "nli", config()).unwrap_err().to_string();
    assert!(error.contains("into 3 classes"), "{error}");
}
