//! Embeddings, both ways.

use ::message::{
    Completion, Dialect, Embed, EmbedInput, EmbedPurpose, ErrorKind, Event, FinishReason, Operation, Usage,
};
use serde_json::{Value, json};

use super::{gather, read, try_call};
use crate::Outbound;
use crate::gemini::decode::decoder;
use crate::gemini::embed;
use crate::gemini::outbound::Gemini;
use crate::gemini::reply::encoder;

fn batch() -> Value {
    json!({"requests": [
        {"model": "models/e", "content": {"parts": [{"text": "a"}]}, "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 8},
        {"model": "models/e", "content": {"parts": [{"text": "b"}, {"text": "c"}]}, "task_type": "RETRIEVAL_QUERY", "outputDimensionality": 8},
    ]})
}

fn one() -> Value {
    json!({"content": {"parts": [{"text": "a"}]}, "title": "t"})
}

#[test]
fn requests_are_understood() {
    let call = try_call(Operation::Embed, false, "", &batch()).expect("good");
    let embed = call.embed().expect("good");
    assert_eq!(embed.inputs, [EmbedInput::Text("a".to_owned()), EmbedInput::Text("b\nc".to_owned())]);
    assert_eq!((embed.purpose, embed.dimensions), (Some(EmbedPurpose::Query), Some(8)));
    assert_eq!(embed.leave_home(), Ok(()));
    let call = try_call(Operation::Embed, false, "", &one()).expect("good");
    assert_eq!(::message::said(&call.embed().expect("good").extra).collect::<Vec<_>>(), ["title"]);
}

#[test]
fn a_server_at_home_is_sent_the_same_with_its_own_name() {
    for (body, method) in [(batch(), "batchEmbedContents"), (one(), "embedContent")] {
        let call = try_call(Operation::Embed, false, "", &body).expect("good");
        let outgoing = Gemini::default().encode(&call, "x").expect("home");
        assert_eq!(outgoing.path, format!("/models/x:{method}"));
        let sent: Value = serde_json::from_slice(&outgoing.body.concat()).expect("JSON");
        let expected = body.to_string().replace("models/e", "models/x");
        assert_eq!(sent.to_string(), expected);
    }
}

#[test]
fn a_server_elsewhere_is_asked_in_googles_words() {
    let texts = ["a", "b"].map(|text| EmbedInput::Text(text.to_owned()));
    let mut asked = Embed::new(Dialect::OpenAiChat, texts.to_vec());
    asked.purpose = Some(EmbedPurpose::Document);
    asked.dimensions = Some(4);
    asked.user = Some("ann".to_owned());
    let request = embed::encode(&asked, "e").expect("said");
    let first = json!({"model": "models/e", "content": {"parts": [{"text": "a"}]},
        "taskType": "RETRIEVAL_DOCUMENT", "outputDimensionality": 4});
    assert_eq!((request.method, &request.body["requests"][0]), ("batchEmbedContents", &first));
    assert_eq!(request.dropped[0].path, "user");
    asked.inputs.truncate(1);
    assert_eq!(embed::encode(&asked, "e").expect("said").body, first);
    asked.inputs = vec![EmbedInput::Tokens(vec![1])];
    assert_eq!(embed::encode(&asked, "e").err().map(|failure| failure.kind), Some(ErrorKind::Unsupported));
}

#[test]
fn vectors_travel_both_ways() {
    for (body, reply) in [
        (
            batch(),
            json!({"embeddings": [{"values": [0.5, -1.0]}, {"values": [1.0]}], "usageMetadata": {"promptTokenCount": 3}}),
        ),
        (one(), json!({"embedding": {"values": [0.5]}, "usageMetadata": {"promptTokenCount": 3}})),
    ] {
        let call = try_call(Operation::Embed, false, "", &body).expect("good");
        let (events, result) = read(decoder(&call, false), &[reply.to_string().as_bytes()]);
        assert_eq!(result, Ok(()));
        assert_eq!(
            events.last(),
            Some(&Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None })
        );
        let completion: Completion = gather(events);
        assert_eq!(completion.usage, Usage { input_tokens: 3, ..Usage::default() });
        let whole = encoder(&call).whole(completion);
        assert_eq!(serde_json::from_slice::<Value>(&whole.body).expect("JSON"), reply);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    for (body, param) in [
        (json!({}), "content"),
        (json!({"requests": []}), "requests"),
        (json!({"requests": [{"content": {"parts": []}, "taskType": "X"}]}), "requests.0.taskType"),
        (json!({"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 0}), "outputDimensionality"),
    ] {
        let call = try_call(Operation::Embed, false, "", &body).expect("JSON");
        assert_eq!(call.embed().expect_err(param).param.as_deref(), Some(param), "{body}");
    }
    let mixed = json!({"requests": [
        {"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 3},
    ]});
    let call = try_call(Operation::Embed, false, "", &mixed).expect("JSON");
    assert_eq!(
        call.embed().expect("good").leave_home().err().and_then(|failure| failure.param).as_deref(),
        Some("requests.1")
    );
}
