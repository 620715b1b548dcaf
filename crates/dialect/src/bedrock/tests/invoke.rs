//! InvokeModel: Anthropic messages inside AWS framing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderValue;
use message::{BlockHead, Completion, Delta, ErrorKind, Event, FinishReason, Role, Usage};
use serde_json::json;

use super::reply::{delta, finish, start, stop, stream};
use super::*;
use crate::framing::eventstream::Decoder;

const BODY: &str = r#"{"anthropic_version":"2026-10-21","anthropic_beta":["x"],"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;

fn invoke(body: &str) -> Call {
    call(Dialect::BedrockInvoke, Operation::Chat, body.to_owned()).unwrap()
}

#[test]
fn an_anthropic_body_is_decoded_without_model_and_stream() {
    let call = invoke(BODY);
    assert_eq!((call.head.max_tokens, call.head.stream), (Some(9), true));
    let chat = call.chat().unwrap();
    assert_eq!(chat.messages[0].role, Role::User);
    assert_eq!(chat.messages[0].content[0].as_text(), Some("hi"));
    assert_eq!(chat.sampling.max_tokens, Some(9));
}

#[test]
fn faults_of_a_body_say_what_it_looks_like() {
    let faults: Vec<String> = [
        r#"{"taskType": "TEXT_IMAGE"}"#,
        r#"{"inputText": "hi", "inputImage": "aGk="}"#,
        r#"{"anthropic_version": "x", "messages": []}"#,
        r#"{}"#,
        r#"{"messages": [}"#,
        "",
        r#"{"texts": ["a"]}"#,
    ]
    .iter()
    .map(|body| head(Dialect::BedrockInvoke, body).unwrap_err())
    .map(|failure| format!("{:?}: {}", failure.kind, failure.message))
    .collect();
    insta::assert_snapshot!("faults", faults.join("\n"));
}

#[test]
fn faults_of_the_body_begin_as_the_service_begins_them() {
    let call = invoke(r#"{"anthropic_version":"x","max_tokens":9,"messages":[{"role":"user","content":7}]}"#);
    let failure = call.chat().unwrap_err();
    assert!(failure.message.starts_with("Malformed input request: messages.0.content"), "{failure}");
    assert_eq!(failure.kind, ErrorKind::InvalidRequest);
}

#[test]
fn a_guardrail_header_is_applied_or_the_call_refused() {
    let mut headers = HeaderMap::new();
    headers.insert("x-amzn-bedrock-guardrailidentifier", HeaderValue::from_static("a1b2"));
    let call = call_with(Dialect::BedrockInvoke, Operation::Chat, BODY, headers).unwrap();
    assert_eq!(call.chat().unwrap_err().kind, ErrorKind::Unsupported);
    assert!(invoke(BODY).chat().unwrap().leave_home().is_ok());
}

#[test]
fn a_body_to_be_counted_comes_as_base64() {
    let (_, body) = fixtures("count_tokens").into_iter().find(|(name, _)| name == "invoke_model").unwrap();
    let call = call(Dialect::BedrockConverse, Operation::CountTokens, body.to_string()).unwrap();
    assert_eq!(call.chat().unwrap().messages[0].content[0].as_text(), Some("hi"));
    let hostile = json!({"input": {"invokeModel": {"body": BASE64.encode("[".repeat(1_000_000))}}});
    let call = super::call(Dialect::BedrockConverse, Operation::CountTokens, hostile.to_string()).unwrap();
    assert_eq!(call.chat().unwrap_err().kind, ErrorKind::InvalidRequest);
}

/// The native events inside the chunks.
pub(super) fn natives(bytes: &[u8]) -> Vec<Value> {
    let mut decoder = Decoder::new();
    decoder.push(Bytes::copy_from_slice(bytes));
    let mut natives = Vec::new();
    while let Some(message) = decoder.next().unwrap() {
        assert_eq!(message.event_type(), Some("chunk"));
        let payload: Value = serde_json::from_slice(&message.payload).unwrap();
        let native = BASE64.decode(payload["bytes"].as_str().unwrap()).unwrap();
        natives.push(serde_json::from_slice(&native).unwrap());
    }
    natives
}

#[test]
fn a_stream_is_native_events_in_chunks_and_ends_with_the_metrics() {
    let mut encoder = crate::reply_encoder(&invoke(BODY));
    let events = [
        Event::Start { id: None },
        start(0, BlockHead::Text),
        delta(0, Delta::text("hi")),
        stop(0),
        finish(FinishReason::EndTurn),
        Event::Usage(Usage { input_tokens: 3, cache_read_tokens: 7, output_tokens: 2, ..Usage::default() }),
    ];
    let natives = natives(&stream(&mut *encoder, events));
    let types: Vec<&str> = natives.iter().map(|native| native["type"].as_str().unwrap()).collect();
    assert_eq!(types[0], "message_start");
    assert_eq!(types[types.len() - 2..], ["message_delta", "message_stop"]);
    let metrics = &natives.last().unwrap()["amazon-bedrock-invocationMetrics"];
    assert_eq!(metrics["inputTokenCount"], 3);
    assert_eq!(metrics["outputTokenCount"], 2);
    assert_eq!(metrics["cacheReadInputTokenCount"], 7);
    assert!(metrics["invocationLatency"].is_u64() && metrics["firstByteLatency"].is_u64());
    let headers = encoder.stream_headers();
    assert!(
        headers
            .iter()
            .any(|(name, value)| name == "x-amzn-bedrock-content-type" && value == "application/json")
    );
}

#[test]
fn s18_a_broken_stream_ends_with_an_exception_of_its_union() {
    let mut encoder = crate::reply_encoder(&invoke(BODY));
    let mut out = Vec::new();
    encoder.failure(&Failure::new(ErrorKind::Timeout, "too slow"), &mut out);
    assert_eq!(super::reply::frames(&out), r#"exception modelTimeoutException {"message":"too slow"}"#);
}

#[test]
fn a_whole_answer_carries_its_counts_in_headers() {
    let mut encoder = crate::reply_encoder(&invoke(BODY));
    let whole = encoder.whole(Completion {
        content: vec![message::Block::text("hi")],
        finish: Some(FinishReason::EndTurn),
        usage: Usage { input_tokens: 3, output_tokens: 2, cache_write_5m_tokens: 5, ..Usage::default() },
        ..Completion::default()
    });
    let header = |name: &str| {
        whole.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.to_str().unwrap().to_owned())
    };
    assert_eq!(header("x-amzn-bedrock-input-token-count").as_deref(), Some("3"));
    assert_eq!(header("x-amzn-bedrock-output-token-count").as_deref(), Some("2"));
    assert_eq!(header("x-amzn-bedrock-cache-write-input-token-count").as_deref(), Some("5"));
    assert!(header("x-amzn-bedrock-invocation-latency").is_some());
    let body: Value = serde_json::from_slice(&whole.body).unwrap();
    assert_eq!((body["type"].as_str(), body["role"].as_str()), (Some("message"), Some("assistant")));
    assert_eq!(body["content"][0]["text"], "hi");
}
