//! [`Event`]s and [`Completion`]s → what Converse's clients read.

use message::{Block, BlockHead, BlockKind, Completion, Delta, Event, FinishReason, ToolOrigin, Usage};
use serde_json::json;

use super::*;
use crate::ReplyEncoder;
use crate::framing::eventstream::Decoder;

fn encoder() -> Box<dyn ReplyEncoder> {
    let body = json!({
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
    });
    crate::reply_encoder(&call(Dialect::BedrockConverse, Operation::Chat, body.to_string()).unwrap())
}

/// The frames, one a line: what boto3 would see, the clock's reading apart.
pub(super) fn frames(bytes: &[u8]) -> String {
    let mut decoder = Decoder::new();
    decoder.push(Bytes::copy_from_slice(bytes));
    let mut lines = Vec::new();
    while let Some(message) = decoder.next().unwrap() {
        let name = message.event_type().or(message.exception_type()).unwrap();
        let kind = message.message_type().unwrap();
        assert_eq!(message.header(":content-type"), Some("application/json"));
        let mut payload: Value = serde_json::from_slice(&message.payload).unwrap();
        if let Some(latency) = payload.pointer_mut("/metrics/latencyMs") {
            assert!(latency.is_u64());
            *latency = json!(0);
        }
        lines.push(format!("{kind} {name} {payload}"));
    }
    assert!(decoder.is_between_messages());
    lines.join("\n")
}

pub(super) fn stream(encoder: &mut dyn ReplyEncoder, events: impl IntoIterator<Item = Event>) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        encoder.event(event, &mut out);
    }
    encoder.end(&mut out);
    out
}

pub(super) fn start(index: u32, block: BlockHead) -> Event {
    Event::BlockStart { index, block }
}

pub(super) fn delta(index: u32, delta: Delta) -> Event {
    Event::Delta { index, delta }
}

pub(super) fn stop(index: u32) -> Event {
    Event::BlockStop { index }
}

pub(super) fn finish(reason: FinishReason) -> Event {
    Event::Finish { reason, stop_sequence: None }
}

fn tool(id: &str, name: &str) -> BlockHead {
    BlockHead::ToolUse { id: id.to_owned(), name: name.to_owned() }
}

const USAGE: Usage = Usage {
    input_tokens: 30,
    cache_read_tokens: 5,
    cache_write_5m_tokens: 3,
    cache_write_1h_tokens: 4,
    output_tokens: 10,
    reasoning_tokens: 2,
};

#[test]
fn a_stream_has_the_frames_of_real_bedrock() {
    let events = [
        Event::Start { id: Some("x".to_owned()) },
        Event::Usage(Usage { input_tokens: 30, ..Usage::default() }),
        start(0, BlockHead::Thinking),
        delta(0, Delta::Thinking("hm".to_owned())),
        delta(0, Delta::Signature("c2ln".to_owned())),
        stop(0),
        start(1, BlockHead::RedactedThinking("c2VhbGVk".to_owned())),
        stop(1),
        start(2, BlockHead::Text),
        delta(2, Delta::text("Hé")),
        delta(2, Delta::text("")),
        delta(2, Delta::text("\"llo\"\n")),
        stop(2),
        start(3, tool("tooluse_1", "get_weather")),
        delta(3, Delta::ToolInput("{\"city\":".to_owned())),
        delta(3, Delta::ToolInput("\"Oslo\"}".to_owned())),
        stop(3),
        Event::Finish { reason: FinishReason::ToolUse, stop_sequence: None },
        Event::Usage(USAGE),
    ];
    insta::assert_snapshot!(frames(&stream(&mut *encoder(), events)));
}

#[test]
fn s10_a_tool_call_without_arguments_is_closed_with_json() {
    let events = [start(0, tool("t", "now")), finish(FinishReason::ToolUse)];
    insta::assert_snapshot!(frames(&stream(&mut *encoder(), events)), @r#"
    event messageStart {"role":"assistant"}
    event contentBlockStart {"start":{"toolUse":{"toolUseId":"t","name":"now"}},"contentBlockIndex":0}
    event contentBlockDelta {"contentBlockIndex":0,"delta":{"toolUse":{"input":"{}"}}}
    event contentBlockStop {"contentBlockIndex":0}
    event messageStop {"stopReason":"tool_use","additionalModelResponseFields":{"stop_sequence":null}}
    event metadata {"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0,"cacheReadInputTokens":0,"cacheWriteInputTokens":0},"metrics":{"latencyMs":0}}
    "#);
}

#[test]
fn s1_s2_parallel_blocks_never_share_a_frame_sequence() {
    let input = |index, text: &str| delta(index, Delta::ToolInput(text.to_owned()));
    let events = [
        start(0, BlockHead::Text),
        start(1, tool("a", "x")),
        start(2, tool("b", "y")),
        input(2, "{\"q\":"),
        input(1, "{\"p\":1}"),
        delta(0, Delta::text("late text")),
        input(2, "2}"),
        finish(FinishReason::ToolUse),
    ];
    insta::assert_snapshot!(frames(&stream(&mut *encoder(), events)), @r#"
    event messageStart {"role":"assistant"}
    event contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"late text"}}
    event contentBlockStop {"contentBlockIndex":0}
    event contentBlockStart {"start":{"toolUse":{"toolUseId":"a","name":"x"}},"contentBlockIndex":1}
    event contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"p\":1}"}}}
    event contentBlockStop {"contentBlockIndex":1}
    event contentBlockStart {"start":{"toolUse":{"toolUseId":"b","name":"y"}},"contentBlockIndex":2}
    event contentBlockDelta {"contentBlockIndex":2,"delta":{"toolUse":{"input":"{\"q\":"}}}
    event contentBlockDelta {"contentBlockIndex":2,"delta":{"toolUse":{"input":"2}"}}}
    event contentBlockStop {"contentBlockIndex":2}
    event messageStop {"stopReason":"tool_use","additionalModelResponseFields":{"stop_sequence":null}}
    event metadata {"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0,"cacheReadInputTokens":0,"cacheWriteInputTokens":0},"metrics":{"latencyMs":0}}
    "#);
}

#[test]
fn another_vendors_blocks_leave_no_gap() {
    let opaque =
        BlockHead::Opaque { dialect: Dialect::Anthropic, value: json!({"type": "web_search_tool_result"}) };
    let events = [
        start(0, opaque),
        delta(0, Delta::text("x")),
        stop(0),
        start(1, BlockHead::Text),
        delta(1, Delta::text("hi")),
        stop(1),
        finish(FinishReason::EndTurn),
    ];
    insta::assert_snapshot!(frames(&stream(&mut *encoder(), events)), @r#"
    event messageStart {"role":"assistant"}
    event contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"hi"}}
    event contentBlockStop {"contentBlockIndex":0}
    event messageStop {"stopReason":"end_turn","additionalModelResponseFields":{"stop_sequence":null}}
    event metadata {"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0,"cacheReadInputTokens":0,"cacheWriteInputTokens":0},"metrics":{"latencyMs":0}}
    "#);
}

#[test]
fn a_stop_sequence_is_told_if_it_was_asked_for() {
    let end = Event::Finish { reason: FinishReason::StopSequence, stop_sequence: Some("END".to_owned()) };
    insta::assert_snapshot!(frames(&stream(&mut *encoder(), [end])), @r#"
    event messageStart {"role":"assistant"}
    event messageStop {"stopReason":"stop_sequence","additionalModelResponseFields":{"stop_sequence":"END"}}
    event metadata {"usage":{"inputTokens":0,"outputTokens":0,"totalTokens":0,"cacheReadInputTokens":0,"cacheWriteInputTokens":0},"metrics":{"latencyMs":0}}
    "#);
}

#[test]
fn s14_s18_a_cut_answer_ends_with_an_exception() {
    let mut encoder = encoder();
    let mut out = stream(&mut *encoder, [start(0, BlockHead::Text), delta(0, Delta::text("hi"))]);
    // Nothing may follow.
    encoder.failure(&Failure::internal("late"), &mut out);
    encoder.event(delta(0, Delta::text("late")), &mut out);
    encoder.end(&mut out);
    insta::assert_snapshot!(frames(&out), @r#"
    event messageStart {"role":"assistant"}
    event contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"hi"}}
    exception modelStreamErrorException {"message":"the answer was cut before its end"}
    "#);
}

#[test]
fn an_answer_that_mixes_too_much_ends_with_an_exception() {
    let mut encoder = encoder();
    let mut out = Vec::new();
    for event in [start(0, BlockHead::Text), start(1, BlockHead::Text)] {
        encoder.event(event, &mut out);
    }
    let megabyte = "x".repeat(1 << 20);
    for _ in 0..20 {
        encoder.event(delta(1, Delta::text(megabyte.clone())), &mut out);
    }
    encoder.event(finish(FinishReason::EndTurn), &mut out);
    encoder.end(&mut out);
    assert!(frames(&out).ends_with("nothing more can be held back\"}"), "{}", frames(&out));
}

fn whole(completion: Completion) -> Value {
    let whole = encoder().whole(completion);
    assert_eq!(whole.status, 200);
    assert_eq!(whole.headers[0].1, "application/json");
    let mut body: Value = serde_json::from_slice(&whole.body).unwrap();
    body["metrics"]["latencyMs"] = json!(0);
    body
}

#[test]
fn a_whole_answer_has_every_block() {
    let use_of = |id: &str, input: &str, origin| {
        Block::new(BlockKind::ToolUse {
            id: id.to_owned(),
            name: "n".to_owned(),
            input: input.to_owned(),
            origin,
        })
    };
    let completion = Completion {
        content: vec![
            Block::new(BlockKind::Thinking { text: "hm".to_owned(), signature: Some("c2ln".to_owned()) }),
            Block::new(BlockKind::Thinking { text: String::new(), signature: Some("c2ln".to_owned()) }),
            Block::new(BlockKind::Thinking { text: "open".to_owned(), signature: None }),
            Block::new(BlockKind::RedactedThinking("not base64!".to_owned())),
            Block::text("Hello"),
            Block::text(""),
            Block::new(BlockKind::Refusal("No.".to_owned())),
            use_of("t1", "{\"city\": \"Oslo\"}", ToolOrigin::Client),
            use_of("t2", "", ToolOrigin::Server),
            use_of("t3", "{\"cut", ToolOrigin::Client),
            Block::new(BlockKind::Opaque { dialect: Dialect::Anthropic, value: json!({}) }),
        ],
        finish: Some(FinishReason::StopSequence),
        stop_sequence: Some("END".to_owned()),
        usage: USAGE,
        ..Completion::default()
    };
    insta::assert_snapshot!(format!("{:#}", whole(completion)));
}

#[test]
fn u1_u2_every_reason_is_a_documented_one() {
    let reasons = [
        FinishReason::EndTurn,
        FinishReason::MaxTokens,
        FinishReason::StopSequence,
        FinishReason::ToolUse,
        FinishReason::Refusal,
        FinishReason::ContentFilter,
        FinishReason::Guardrail,
        FinishReason::PauseTurn,
        FinishReason::ContextWindow,
        FinishReason::MalformedToolUse,
        FinishReason::Other("malformed_model_output".to_owned()),
        FinishReason::Other("quantum".to_owned()),
    ];
    let words = reasons.map(|reason| {
        let body = whole(Completion { finish: Some(reason.clone()), ..Completion::default() });
        format!("{reason:?} {}", body["stopReason"])
    });
    insta::assert_snapshot!(words.join("\n"), @r#"
    EndTurn "end_turn"
    MaxTokens "max_tokens"
    StopSequence "stop_sequence"
    ToolUse "tool_use"
    Refusal "content_filtered"
    ContentFilter "content_filtered"
    Guardrail "guardrail_intervened"
    PauseTurn "end_turn"
    ContextWindow "model_context_window_exceeded"
    MalformedToolUse "malformed_tool_use"
    Other("malformed_model_output") "malformed_model_output"
    Other("quantum") "end_turn"
    "#);
}

#[test]
fn ids_that_bedrock_forbids_are_rewritten_and_still_pair() {
    let id = |id: &str| {
        let head = BlockKind::ToolUse {
            id: id.to_owned(),
            name: "n".to_owned(),
            input: String::new(),
            origin: ToolOrigin::Client,
        };
        let body = whole(Completion { content: vec![Block::new(head)], ..Completion::default() });
        body["output"]["message"]["content"][0]["toolUse"]["toolUseId"].as_str().unwrap().to_owned()
    };
    assert_eq!(id("toolu_01.a:b-c"), "toolu_01.a:b-c");
    let long = "x".repeat(100);
    for strange in ["", "é", "a b", "functions.f:0|1", &long] {
        let written = id(strange);
        assert!((1..=64).contains(&written.len()), "{written}");
        assert!(written.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b)), "{written}");
        assert_eq!(written, id(strange));
    }
    assert_ne!(id(&long), id(&"x".repeat(101)));
}

#[test]
fn counted_tokens_include_cached_ones() {
    let (_, body) = fixtures("count_tokens").remove(0);
    let call = call(Dialect::BedrockConverse, Operation::CountTokens, body.to_string()).unwrap();
    let whole = crate::reply_encoder(&call).whole(Completion { usage: USAGE, ..Completion::default() });
    assert_eq!(whole.body, r#"{"inputTokens":42}"#);
}
