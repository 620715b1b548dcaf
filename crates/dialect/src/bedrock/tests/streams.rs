//! What Bedrock answers → [`Event`]s, and what is forwarded as it came.

use message::{BlockHead, Completion, Delta, ErrorKind, Event, FinishReason, Frame, Seen, Usage};
use serde_json::json;

use super::*;
use crate::ReplyDecoder;
use crate::framing::eventstream::{write_error, write_event, write_exception};

fn asked(dialect: Dialect, stream: bool) -> Call {
    let body = r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}],
        "tools":[{"name":"a tool with spaces","input_schema":{"type":"object"}}]}"#;
    let converse = r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#;
    let body = if dialect == Dialect::BedrockConverse { converse } else { body };
    let mut call = call(dialect, Operation::Chat, body).unwrap();
    call.head.stream = stream;
    call
}

fn decoder(dialect: Dialect, stream: bool, home: bool) -> Box<dyn ReplyDecoder> {
    let outbound = crate::outbound(Dialect::BedrockConverse, &crate::Quirks::default()).unwrap();
    outbound.decoder(&asked(dialect, stream), home)
}

fn frames(events: &[(&str, Value)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, payload) in events {
        write_event(&mut out, name, payload.to_string().as_bytes());
    }
    out
}

fn read(mut decoder: Box<dyn ReplyDecoder>, pieces: &[&[u8]]) -> (Vec<Event>, Result<(), Failure>) {
    let mut events = Vec::new();
    let mut ending = Ok(());
    for piece in pieces {
        ending = ending.and_then(|()| decoder.feed(Bytes::copy_from_slice(piece), &mut events));
    }
    let ending = ending.and_then(|()| decoder.finish(&mut events));
    (events, ending)
}

fn stream() -> Vec<u8> {
    let sent = crate::bedrock::names::tool_name("a tool with spaces").into_owned();
    frames(&[
        ("messageStart", json!({"role": "assistant", "p": "abcdef"})),
        ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}})),
        (
            "contentBlockDelta",
            json!({"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "c2ln"}}}),
        ),
        ("contentBlockStop", json!({"contentBlockIndex": 0})),
        (
            "contentBlockDelta",
            json!({"contentBlockIndex": 1, "delta": {"reasoningContent": {"redactedContent": "c2VhbA=="}}}),
        ),
        ("contentBlockStop", json!({"contentBlockIndex": 1})),
        ("contentBlockDelta", json!({"contentBlockIndex": 2, "delta": {"text": "Hé"}})),
        ("contentBlockDelta", json!({"contentBlockIndex": 2, "delta": {"citation": {"title": "t"}}})),
        ("contentBlockStop", json!({"contentBlockIndex": 2})),
        ("newEvent", json!({"x": 1})),
        (
            "contentBlockStart",
            json!({"contentBlockIndex": 3, "start": {"toolUse": {"toolUseId": "t1", "name": sent}}}),
        ),
        (
            "contentBlockStart",
            json!({"contentBlockIndex": 4, "start": {"toolUse": {"toolUseId": "t2", "name": "now"}}}),
        ),
        ("contentBlockDelta", json!({"contentBlockIndex": 3, "delta": {"toolUse": {"input": "{\"a\":"}}})),
        ("contentBlockDelta", json!({"contentBlockIndex": 3, "delta": {"toolUse": {"input": "1}"}}})),
        ("contentBlockStop", json!({"contentBlockIndex": 3})),
        ("contentBlockStop", json!({"contentBlockIndex": 4})),
        (
            "messageStop",
            json!({"stopReason": "tool_use", "additionalModelResponseFields": {"stop_sequence": null}}),
        ),
        (
            "metadata",
            json!({"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7, "cacheReadInputTokens": 5,
            "cacheWriteInputTokens": 9, "cacheDetails": [{"ttl": "1h", "inputTokens": 2}, {"ttl": "5m", "inputTokens": 7}]},
            "metrics": {"latencyMs": 1}}),
        ),
    ])
}

#[test]
fn t6_s10_a_stream_is_understood_wherever_it_is_cut() {
    let wire = stream();
    let whole = read(decoder(Dialect::Anthropic, true, false), &[&wire]);
    assert_eq!(whole.1, Ok(()));
    insta::assert_debug_snapshot!("stream", whole.0);
    for at in 0..wire.len() {
        let (first, second) = wire.split_at(at);
        assert_eq!(read(decoder(Dialect::Anthropic, true, false), &[first, second]), whole, "cut at {at}");
    }
    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    assert_eq!(read(decoder(Dialect::Anthropic, true, false), &bytes), whole);
}

#[test]
fn u4_counted_tokens_are_disjoint() {
    let (events, _) = read(decoder(Dialect::Anthropic, true, false), &[&stream()]);
    let usage = Usage {
        input_tokens: 3,
        cache_read_tokens: 5,
        cache_write_5m_tokens: 7,
        cache_write_1h_tokens: 2,
        output_tokens: 4,
        reasoning_tokens: 0,
    };
    assert!(events.contains(&Event::Usage(usage)));
}

#[test]
fn s14_a_cut_stream_is_not_whole() {
    let wire = stream();
    let whole = read(decoder(Dialect::Anthropic, true, false), &[&wire]).0;
    // All but the metadata is whole, only its cost is not known.
    let stop = wire.len() - frames(&[]).len();
    for at in (0..stop).step_by(7) {
        let (events, ending) = read(decoder(Dialect::Anthropic, true, false), &[&wire[..at]]);
        match ending {
            Ok(()) => assert!(matches!(events.last(), Some(Event::Finish { .. }))),
            Err(failure) => {
                assert_eq!(failure.kind, ErrorKind::Upstream);
                assert!(whole.starts_with(&events));
            }
        }
    }
}

#[test]
fn s18_exceptions_are_failures_of_their_kind() {
    for (name, kind) in [
        ("throttlingException", ErrorKind::RateLimited),
        ("validationException", ErrorKind::InvalidRequest),
        ("internalServerException", ErrorKind::Upstream),
        ("modelStreamErrorException", ErrorKind::Upstream),
        ("serviceUnavailableException", ErrorKind::Unavailable),
        ("modelTimeoutException", ErrorKind::Timeout),
    ] {
        for home in [false, true] {
            let dialect = if home { Dialect::BedrockConverse } else { Dialect::Anthropic };
            let mut wire = frames(&[("messageStart", json!({"role": "assistant"}))]);
            write_exception(&mut wire, name, br#"{"message":"told why"}"#);
            let (events, ending) = read(decoder(dialect, true, home), &[&wire]);
            let failure = ending.unwrap_err();
            assert_eq!(
                (failure.kind, failure.message.as_str(), events.len()),
                (kind, "told why", 1),
                "{name}"
            );
        }
    }
    let mut wire = Vec::new();
    write_error(&mut wire, "InternalError", "broke");
    let failure = read(decoder(Dialect::Anthropic, true, false), &[&wire]).1.unwrap_err();
    assert_eq!((failure.kind, failure.message.as_str()), (ErrorKind::Upstream, "broke"));
}

#[test]
fn s2_s3_deltas_of_another_kind_are_no_guess() {
    for (second, delta) in [
        (json!({"toolUse": {"input": "{}"}}), json!({"text": "a"})),
        (json!({"text": "b"}), json!({"reasoningContent": {"text": "a"}})),
        (json!({"reasoningContent": {"redactedContent": "aGk="}}), json!({"text": "a"})),
    ] {
        let wire = frames(&[
            ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": delta})),
            ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": second})),
        ]);
        assert_eq!(
            read(decoder(Dialect::Anthropic, true, false), &[&wire]).1.unwrap_err().kind,
            ErrorKind::Upstream
        );
    }
    for (name, payload) in [
        ("contentBlockDelta", json!({"delta": {"text": "a"}})),
        ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}})),
        ("contentBlockStart", json!({"contentBlockIndex": 0, "start": {"toolUse": {"name": "n"}}})),
        ("messageStop", json!("x")),
    ] {
        let wire = frames(&[(name, payload)]);
        assert_eq!(
            read(decoder(Dialect::Anthropic, true, false), &[&wire]).1.unwrap_err().kind,
            ErrorKind::Upstream
        );
    }
}

#[test]
fn u2_stop_reasons_go_round() {
    for word in [
        "end_turn",
        "tool_use",
        "max_tokens",
        "stop_sequence",
        "guardrail_intervened",
        "content_filtered",
        "malformed_model_output",
        "malformed_tool_use",
        "model_context_window_exceeded",
    ] {
        let reason = crate::bedrock::answer::finish_reason(word);
        assert_eq!(crate::bedrock::whole::stop_reason(&reason), word);
    }
}

const WHOLE: &str = r#"{"output":{"message":{"role":"assistant","content":[
    {"reasoningContent":{"reasoningText":{"text":"r","signature":"s"}}},
    {"reasoningContent":{"redactedContent":"c2VhbA=="}},
    {"text":"hi"},
    {"citationsContent":{"content":[{"text":"a"},{"text":"b"}],"citations":[{"title":"t"}]}},
    {"toolUse":{"toolUseId":"t","name":"now","input":{}}},
    {"toolUse":{"toolUseId":"w","name":"web","input":{},"type":"server_tool_use"}}]}},
    "stopReason":"stop_sequence","usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5},
    "additionalModelResponseFields":{"stop_sequence":"END"},"metrics":{"latencyMs":3}}"#;

#[test]
fn a_whole_answer_is_understood() {
    let (events, ending) = read(decoder(Dialect::Anthropic, false, false), &[WHOLE.as_bytes()]);
    assert_eq!(ending, Ok(()));
    let mut completion = Completion::default();
    events.into_iter().for_each(|event| completion.push(event));
    insta::assert_debug_snapshot!("whole", completion);
    for broken in [&WHOLE[..100], "{}", "[]", "", r#"{"stopReason":"end_turn"}"#] {
        let ending = read(decoder(Dialect::Anthropic, false, false), &[broken.as_bytes()]).1;
        assert_eq!(ending.unwrap_err().kind, ErrorKind::Upstream);
    }
}

#[test]
fn a_token_count_is_understood() {
    let (_, body) = fixtures("count_tokens").remove(0);
    let call = call(Dialect::BedrockConverse, Operation::CountTokens, body.to_string()).unwrap();
    let outbound = crate::outbound(Dialect::BedrockConverse, &crate::Quirks::default()).unwrap();
    let mut call = call;
    call.head.stream = false;
    let (events, _) = read(outbound.decoder(&call, false), &[br#"{"inputTokens":42}"#]);
    assert_eq!(events[1], Event::Usage(Usage { input_tokens: 42, ..Usage::default() }));
    let (events, ending) = read(outbound.decoder(&call, true), &[br#"{"input"#, br#"Tokens":42}"#]);
    assert_eq!(ending, Ok(()));
    assert_eq!(forwarded(&events).1.usage, Some(Usage { input_tokens: 42, ..Usage::default() }));
}

/// The bytes that go on, and what was seen in them.
fn forwarded(events: &[Event]) -> (Vec<u8>, Seen) {
    let (mut bytes, mut all) = (Vec::new(), Seen::default());
    for event in events {
        let Event::Frame(Frame { bytes: piece, seen }) = event else { panic!("{event:?}") };
        bytes.extend_from_slice(piece);
        if let Some(seen) = seen {
            all.usage = seen.usage.or(all.usage);
            all.finish = seen.finish.clone().or(all.finish);
        }
    }
    (bytes, all)
}

#[test]
fn home_streams_go_on_as_they_came_wherever_they_are_cut() {
    let wire = stream();
    for at in 0..wire.len() {
        let (first, second) = wire.split_at(at);
        let (events, ending) = read(decoder(Dialect::BedrockConverse, true, true), &[first, second]);
        assert_eq!(ending, Ok(()));
        let (bytes, seen) = forwarded(&events);
        assert_eq!(bytes, wire);
        assert_eq!((seen.usage.unwrap().input_tokens, seen.finish), (3, Some(FinishReason::ToolUse)));
        // Frames end where messages end: an exception of ours may follow any.
        for event in &events {
            let Event::Frame(frame) = event else { panic!("{event:?}") };
            super::reply::frames(&frame.bytes);
        }
    }
    let (events, ending) = read(decoder(Dialect::BedrockConverse, true, true), &[&wire[..wire.len() - 1]]);
    assert_eq!(ending.unwrap_err().kind, ErrorKind::Upstream);
    assert!(wire.starts_with(&forwarded(&events).0));
}

#[test]
fn damaged_frames_are_not_forwarded() {
    let mut wire = stream();
    let last = wire.len() - 1;
    wire[last] ^= 1;
    let (_, ending) = read(decoder(Dialect::BedrockConverse, true, true), &[&wire]);
    assert_eq!(ending.unwrap_err().kind, ErrorKind::Upstream);
}

#[test]
fn home_answers_go_on_as_they_came() {
    for at in 0..WHOLE.len() {
        let (first, second) = WHOLE.as_bytes().split_at(at);
        let (events, ending) = read(decoder(Dialect::BedrockConverse, false, true), &[first, second]);
        assert_eq!(ending, Ok(()));
        let (bytes, seen) = forwarded(&events);
        assert_eq!(bytes, WHOLE.as_bytes());
        assert_eq!((seen.usage.unwrap().output_tokens, seen.finish), (2, Some(FinishReason::StopSequence)));
    }
}

#[test]
fn server_tools_stay_whole() {
    let wire = frames(&[
        (
            "contentBlockStart",
            json!({"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "w", "name": "web", "type": "server_tool_use"}}}),
        ),
        ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"toolResult": [{"text": "x"}]}})),
        ("messageStop", json!({"stopReason": "end_turn"})),
    ]);
    let (events, ending) = read(decoder(Dialect::Anthropic, true, false), &[&wire]);
    assert_eq!(ending, Ok(()));
    assert!(matches!(&events[1], Event::BlockStart { block: BlockHead::Opaque { .. }, .. }));
    assert!(matches!(&events[2], Event::Delta { delta: Delta::Opaque(_), .. }));
}
