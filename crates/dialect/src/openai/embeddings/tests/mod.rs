//! Embeddings: requests in and out, vectors in and out.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use message::{
    Call, Completion, Dialect, Embed, EmbedInput, EmbedPurpose, ErrorKind, Event, Failure, Frame, NewCall,
    Operation, Principal, RequestId, Usage,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::encode::encode;
use crate::Outbound;
use crate::openai::chat::outbound::OpenAiChat;

fn try_call(body: &Value) -> Result<Call, Failure> {
    let body = Bytes::from(body.to_string());
    let inbound = crate::inbound(Dialect::OpenAiChat, Operation::Embed, None, false, &body)?;
    Ok(Call::new(NewCall {
        id: RequestId::new("r"),
        operation: Operation::Embed,
        dialect: Dialect::OpenAiChat,
        head: inbound.head,
        body,
        headers: Arc::new(HeaderMap::new()),
        principal: Principal { key_id: "key_1".into(), name: "test".into() },
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    }))
}

fn call(body: &Value) -> Call {
    try_call(body).unwrap_or_else(|failure| panic!("{failure}"))
}

fn again(body: &Value) -> Value {
    let call = call(body);
    let (body, dropped) =
        encode(call.embed().expect("valid"), &call.head.model).expect("home takes everything");
    assert_eq!(dropped, []);
    body.into()
}

#[test]
fn openai_embeddings_is_lossless() {
    for body in [
        json!({"model": "m", "input": "a"}),
        json!({"model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8, "user": "ann"}),
        json!({"model": "m", "input": ["a"], "encoding_format": "float", "novel": {"x": null}, "user": null}),
        json!({"model": "m", "input": [1, 2]}),
        json!({"model": "m", "input": [[1, 2], [3]]}),
        json!({"model": "m", "input": [[1]]}),
    ] {
        assert_eq!(again(&body), body);
        let forwarded = OpenAiChat::default().encode(&call(&body), "m").expect("home");
        assert_eq!((forwarded.path.as_str(), forwarded.home), ("/embeddings", true));
        assert_eq!(forwarded.body.concat(), body.to_string().as_bytes());
    }
}

#[test]
fn what_cannot_be_embedded_is_said() {
    for (body, param) in [
        (json!({"model": "m"}), "input"),
        (json!({"input": "a"}), "model"),
        (json!({"model": "m", "input": []}), "input"),
        (json!({"model": "m", "input": {}}), "input"),
        (json!({"model": "m", "input": ["a", {}]}), "input.1"),
        (json!({"model": "m", "input": [[1, "a"]]}), "input.0.1"),
        (json!({"model": "m", "input": [[]]}), "input.0"),
        (json!({"model": "m", "input": [-1]}), "input.0"),
        (json!({"model": "m", "input": vec!["a"; 2_049]}), "input"),
        (json!({"model": "m", "input": "a", "dimensions": 0}), "dimensions"),
        (json!({"model": "m", "input": "a", "encoding_format": "hex"}), "encoding_format"),
    ] {
        let failure = try_call(&body).and_then(|call| call.embed().cloned()).expect_err(param);
        assert_eq!(failure.param.as_deref(), Some(param));
    }
}

/// What a server answers, read for a client of another dialect and at home.
fn read(home: bool, answer: &str) -> Result<Vec<Event>, Failure> {
    let call = call(&json!({"model": "m", "input": ["a", "b"]}));
    let mut decoder = OpenAiChat::default().decoder(&call, home);
    let mut events = Vec::new();
    let (first, second) = answer.split_at(answer.len() / 2);
    decoder.feed(Bytes::copy_from_slice(first.as_bytes()), &mut events)?;
    decoder.feed(Bytes::copy_from_slice(second.as_bytes()), &mut events)?;
    decoder.finish(&mut events)?;
    Ok(events)
}

fn gather(events: Vec<Event>) -> Completion {
    let mut completion = Completion::default();
    events.into_iter().for_each(|event| completion.push(event));
    completion
}

#[test]
fn numbers_and_base64_are_the_same_vectors() {
    let vectors = vec![vec![0.5, -1.25], vec![3.0, 0.1]];
    let usage = json!({"prompt_tokens": 4, "total_tokens": 4});
    for answer in [
        json!({"data": [{"index": 0, "embedding": [0.5, -1.25]}, {"index": 1, "embedding": [3, 0.1]}], "usage": usage}),
        json!({"data": [{"index": 1, "embedding": "AABAQM3MzD0="}, {"index": 0, "embedding": "AAAAPwAAoL8="}], "usage": usage}),
    ] {
        let completion = gather(read(false, &answer.to_string()).expect("vectors"));
        assert_eq!(completion.embeddings, vectors);
        assert_eq!(completion.usage, Usage { input_tokens: 4, ..Usage::default() });
        assert!(completion.finish.is_some());
        let events = read(true, &answer.to_string()).expect("forwarded");
        let [Event::Frame(Frame { bytes, seen: Some(seen) })] = events.as_slice() else {
            panic!("{events:?}")
        };
        assert_eq!(bytes, answer.to_string().as_bytes());
        assert_eq!(seen.usage, Some(completion.usage));
    }
}

#[test]
fn a_server_that_miscounts_is_found_out() {
    for answer in [
        "",
        "<html>",
        "{}",
        r#"{"data":[]}"#,
        r#"{"data":[{"embedding":[1]}]}"#,
        r#"{"data":[{"embedding":[1]},{"embedding":[1]},{"embedding":[1]}]}"#,
        r#"{"data":[{"index":0,"embedding":"AAA"},{"embedding":"AAA="}]}"#,
        r#"{"data":[{"index":9,"embedding":[1]},{"embedding":[1]}]}"#,
    ] {
        assert_eq!(read(false, answer).expect_err(answer).kind, ErrorKind::Upstream);
    }
    assert_eq!(read(true, "{}").expect_err("nothing").kind, ErrorKind::Upstream);
}

#[test]
fn other_dialects_purposes_are_declared_lost() {
    let mut embed = Embed::new(Dialect::Cohere, vec![EmbedInput::Text("a".into())]);
    embed.purpose = Some(EmbedPurpose::Query);
    let (body, dropped) = encode(&embed, "m").expect("text");
    assert_eq!(Value::from(body), json!({"model": "m", "input": ["a"], "encoding_format": "float"}));
    assert_eq!(dropped[0].path, "input_type");
    let picture =
        message::Media { media_type: None, name: None, source: message::MediaSource::Url("u".into()) };
    let embed = Embed::new(Dialect::Cohere, vec![EmbedInput::Image(picture)]);
    assert_eq!(encode(&embed, "m").expect_err("a picture").kind, ErrorKind::Unsupported);
}

proptest! {
    #[test]
    fn a_client_reads_the_vectors_it_is_sent(vectors in prop::collection::vec(prop::collection::vec(-1e3_f32..1e3, 1..4), 2..3)) {
        for format in ["float", "base64"] {
            let call = call(&json!({"model": "m", "input": ["a", "b"], "encoding_format": format}));
            let completion = Completion { embeddings: vectors.clone(), ..Completion::default() };
            let answer = super::reply::encoder(&call).whole(completion);
            let text = String::from_utf8(answer.body.to_vec()).expect("JSON");
            prop_assert_eq!(&gather(read(false, &text).expect("our own")).embeddings, &vectors);
        }
    }
}
