//! Embeddings, on the real model: the same numbers as its reference implementation's.
//!
//! `fixtures/minilm.json`: sentences, how many tokens each has, and its vector to four
//! places, computed from the published weights in double precision (BERT's forward pass,
//! mean pooling, length 1) over the published `tokenizer.json` as Hugging Face's
//! tokenizers 0.23 reads it. sentence-transformers' own example is among them: the
//! first two sentences have a similarity of 0.9429.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic here is the report")]

mod support;

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Instant;

use bytes::Bytes;
use engine::{Config, Engine};
use futures_util::StreamExt;
use message::{
    Call, Decode, Dialect, Embed, EmbedInput, ErrorKind, Event, Failure, FinishReason, Head, NewCall,
    Operation, Principal, RequestId, Service, Truncate, Usage,
};
use serde::Deserialize;
use support::{chat, complete, config, embedding_model_path, engine, until};

#[derive(Deserialize)]
struct Reference {
    text: String,
    tokens: u64,
    vector: Vec<f32>,
}

fn references() -> Vec<Reference> {
    serde_json::from_str(include_str!("fixtures/minilm.json")).unwrap()
}

fn embedder() -> Engine {
    static ENGINE: LazyLock<Engine> =
        LazyLock::new(|| Engine::load(&embedding_model_path(), "minilm", config()).unwrap());
    ENGINE.clone()
}

/// The decode function must be a plain function, so the request travels by number.
fn call(embed: Embed) -> Call {
    static REQUESTS: Mutex<Vec<Embed>> = Mutex::new(Vec::new());
    fn decode(call: &Call) -> Result<Embed, Failure> {
        let number: usize = String::from_utf8_lossy(&call.body).parse().unwrap();
        Ok(REQUESTS.lock().unwrap()[number].clone())
    }
    let number = {
        let mut requests = REQUESTS.lock().unwrap();
        requests.push(embed);
        requests.len() - 1
    };
    Call::new(NewCall {
        id: RequestId::new(number.to_string()),
        operation: Operation::Embed,
        dialect: Dialect::OpenAiChat,
        head: Head::default(),
        body: Bytes::from(number.to_string()),
        headers: Arc::default(),
        principal: Principal { key_id: "dev".into(), name: "dev".into() },
        received: Instant::now(),
        strict: false,
        decode: Decode::Embed(decode),
    })
}

fn texts<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Embed {
    let inputs = texts.into_iter().map(|text| EmbedInput::Text(text.as_ref().to_owned())).collect();
    Embed::new(Dialect::OpenAiChat, inputs)
}

/// Vectors and usage; checks the order of events.
async fn embed(engine: &Engine, embed: Embed) -> Result<(Vec<Vec<f32>>, Usage), Failure> {
    let mut events = engine.call(call(embed)).await?.events;
    assert_eq!(events.next().await.unwrap()?, Event::Start { id: None });
    let (mut vectors, mut usage) = (Vec::new(), Usage::default());
    loop {
        match events.next().await.unwrap()? {
            Event::Embedding(vector) => vectors.push(vector),
            Event::Usage(counted) => usage = counted,
            Event::Finish { reason, .. } => {
                assert_eq!(reason, FinishReason::EndTurn);
                assert!(events.next().await.is_none());
                return Ok((vectors, usage));
            }
            other => panic!("unexpected {other:?}"),
        }
    }
}

fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

#[tokio::test]
async fn sentences_have_the_reference_implementations_vectors() {
    let references = references();
    assert_eq!(references.len(), 21);
    let asked = texts(references.iter().map(|reference| &reference.text));
    let (vectors, usage) = embed(&embedder(), asked).await.unwrap();
    assert_eq!(vectors.len(), references.len());
    for (reference, vector) in references.iter().zip(&vectors) {
        let same = cosine(&reference.vector, vector);
        assert!(same > 0.999, "{same} for {:?}", reference.text);
        let length: f32 = vector.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    let tokens = references.iter().map(|reference| reference.tokens).sum();
    assert_eq!(usage, Usage { input_tokens: tokens, ..Usage::default() });
    assert!((cosine(&vectors[0], &vectors[1]) - 0.9429).abs() < 0.001);
}

#[tokio::test]
async fn many_calls_at_once_get_their_own_vectors_in_order() {
    let engine = embedder();
    let alone: Vec<Vec<f32>> = embed(&engine, texts(references().iter().map(|r| &r.text))).await.unwrap().0;
    let calls = (0..12).map(|n| {
        let engine = engine.clone();
        async move {
            let references = references();
            let inputs = (0..7).map(|more| references[(n + more) % 20].text.clone());
            embed(&engine, texts(inputs)).await.unwrap().0
        }
    });
    for (n, vectors) in futures_util::future::join_all(calls).await.into_iter().enumerate() {
        for (more, vector) in vectors.iter().enumerate() {
            assert!(cosine(vector, &alone[(n + more) % 20]) > 0.9999);
        }
    }
    // A call's figures are settled right after its last event: wait for that.
    until(&engine, |stats| stats.busy == 0).await;
    assert_eq!(engine.stats().failed, 0);
}

#[tokio::test]
async fn what_is_too_long_is_refused_or_cut_as_asked() {
    let engine = embedder();
    let long = "word ".repeat(600);
    let failure = embed(&engine, texts(["short", &long])).await.unwrap_err();
    assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::ContextOverflow, Some("input.1")));
    let endless = "word ".repeat(200_000);
    for text in [&long, &endless] {
        for truncate in [Truncate::Start, Truncate::End] {
            let asked = Embed { truncate: Some(truncate), ..texts([text]) };
            let (vectors, usage) = embed(&engine, asked).await.unwrap();
            assert_eq!((vectors.len(), usage.input_tokens), (1, 512));
        }
    }
    let failure = embed(&engine, texts([&endless])).await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::ContextOverflow);
    let end = Embed { truncate: Some(Truncate::End), ..texts([format!("{long}end")]) };
    let start = Embed { truncate: Some(Truncate::Start), ..texts([format!("start {long}")]) };
    let words = Embed { truncate: Some(Truncate::End), ..texts([&long]) };
    let cut = [embed(&engine, end).await.unwrap().0, embed(&engine, start).await.unwrap().0];
    let whole = embed(&engine, words).await.unwrap().0;
    assert!(cut.iter().all(|cut| cosine(&cut[0], &whole[0]) > 0.9999), "what differs was cut off");
}

#[tokio::test]
async fn what_this_model_cannot_do_is_refused_by_name() {
    let engine = embedder();
    let tokens = Embed::new(Dialect::OpenAiChat, vec![EmbedInput::Tokens(vec![1, 2])]);
    let cut = Embed { dimensions: Some(64), ..texts(["a"]) };
    let more = Embed { dimensions: Some(1024), ..texts(["a"]) };
    for (asked, kind, param) in [
        (tokens, ErrorKind::Unsupported, "input.0"),
        (cut, ErrorKind::Unsupported, "dimensions"),
        (more, ErrorKind::InvalidRequest, "dimensions"),
        (texts([""]), ErrorKind::InvalidRequest, "input.0"),
        (texts(Vec::<String>::new()), ErrorKind::InvalidRequest, "input"),
        (texts(vec!["a"; 2049]), ErrorKind::InvalidRequest, "input"),
    ] {
        let failure = embed(&engine, asked).await.unwrap_err();
        assert_eq!((failure.kind, failure.param.as_deref()), (kind, Some(param)), "{}", failure.message);
    }
    let whole = Embed { dimensions: Some(384), ..texts(["a"]) };
    assert_eq!(embed(&engine, whole).await.unwrap().0[0].len(), 384);
    let failure = complete(&engine, chat("Hi", 4)).await.unwrap_err();
    assert!(failure.message.contains("makes embeddings"), "{}", failure.message);
    let failure = embed(&self::engine(), texts(["a"])).await.unwrap_err();
    assert!(failure.message.contains("embedding model"), "{}", failure.message);
}

#[tokio::test]
async fn purposes_and_cuts_a_model_was_trained_for() {
    let mut config = Config { threads: Some(1), ..Config::default() };
    config.embedding.query_prefix = "query: ".into();
    config.embedding.least_dimensions = Some(128);
    let trained = Engine::load(&embedding_model_path(), "trained", config).unwrap();
    assert_eq!(trained.model().unwrap().embedding_length, Some(384));
    let query = Embed { purpose: Some(message::EmbedPurpose::Query), ..texts(["What is E?"]) };
    let (asked, _) = embed(&trained, query).await.unwrap();
    let (written, _) = embed(&embedder(), texts(["query: What is E?"])).await.unwrap();
    assert!(cosine(&asked[0], &written[0]) > 0.9999);
    let cut = Embed { dimensions: Some(128), ..texts(["query: What is E?"]) };
    let (cut, _) = embed(&trained, cut).await.unwrap();
    assert!(cosine(&cut[0], &written[0][..128]) > 0.9999 && cut[0].len() == 128);
    let length: f32 = cut[0].iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-5, "of length 1 again");
    let raw = Embed { normalize: Some(false), ..texts(["query: What is E?"]) };
    let (raw, _) = embed(&trained, raw).await.unwrap();
    let length: f32 = raw[0].iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() > 0.01 && cosine(&raw[0], &written[0]) > 0.9999);
    trained.shutdown();
    let failure = embed(&trained, texts(["a"])).await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Unavailable);
}
