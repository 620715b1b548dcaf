//! Events → streams and whole messages, as the SDKs demand them.

use message::{
    Block, BlockHead, BlockKind, Completion, Delta, ErrorKind, FinishReason, Operation, ToolOrigin, Usage,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::decode::decoder;
use super::super::reply::encoder;
use super::*;

fn write(events: impl IntoIterator<Item = Event>) -> String {
    let mut encoder = encoder(&asking(Operation::Chat, true));
    let mut out = Vec::new();
    for event in events {
        encoder.event(event, &mut out);
    }
    encoder.end(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

/// The payloads of a stream, each checked against its event name.
fn payloads(stream: &str) -> Vec<Value> {
    stream
        .split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once("\ndata: ").expect("an event");
            let payload: Value = serde_json::from_str(data).expect("JSON");
            assert_eq!(name, format!("event: {}", payload["type"].as_str().expect("a type")));
            payload
        })
        .collect()
}

/// Reads a stream the way the SDKs do, and fails on whatever they fall over.
fn accumulate(stream: &str) -> Value {
    let payloads = payloads(stream);
    let (first, rest) = payloads.split_first().expect("events");
    assert_eq!(first["type"], "message_start");
    assert!(first["message"]["usage"]["input_tokens"].is_u64(), "S6");
    let mut message = first["message"].clone();
    let mut inputs = std::collections::HashMap::<usize, String>::new();
    let mut open = std::collections::HashSet::new();
    for payload in rest {
        let index = payload["index"].as_u64().unwrap_or_default() as usize;
        let content = message["content"].as_array_mut().expect("content");
        match payload["type"].as_str().expect("a type") {
            "content_block_start" => {
                assert_eq!(index, content.len(), "blocks come in order");
                content.push(payload["content_block"].clone());
                open.insert(index);
            }
            "content_block_delta" => {
                assert!(open.contains(&index), "S5: block {index} is not open");
                let delta = &payload["delta"];
                let (block, key) = match (content[index]["type"].as_str(), delta["type"].as_str()) {
                    (Some("text"), Some("text_delta")) => (&mut content[index], "text"),
                    (Some("thinking"), Some("thinking_delta")) => (&mut content[index], "thinking"),
                    (Some("thinking"), Some("signature_delta")) => (&mut content[index], "signature"),
                    (Some("tool_use"), Some("input_json_delta")) => {
                        inputs
                            .entry(index)
                            .or_default()
                            .push_str(delta["partial_json"].as_str().expect("text"));
                        continue;
                    }
                    other => panic!("S2, S3: {other:?}"),
                };
                let whole =
                    format!("{}{}", block[key].as_str().expect("text"), delta[key].as_str().expect("text"));
                block[key] = whole.into();
            }
            "content_block_stop" => {
                assert!(open.remove(&index), "a block ends once");
                if let Some(input) = inputs.remove(&index) {
                    content[index]["input"] = serde_json::from_str(&input).expect("JSON input");
                }
            }
            "message_delta" => {
                message["stop_reason"] = payload["delta"]["stop_reason"].clone();
                message["usage"]["output_tokens"] = payload["usage"]["output_tokens"].clone();
            }
            "message_stop" => {
                assert!(std::ptr::eq(payload, rest.last().expect("an event")), "nothing follows")
            }
            other => panic!("{other}"),
        }
    }
    assert!(open.is_empty(), "every block ends");
    assert!(message["stop_reason"].is_string());
    message
}

fn start(index: u32, block: BlockHead) -> Event {
    Event::BlockStart { index, block }
}

fn tool(index: u32) -> Event {
    start(index, BlockHead::ToolUse { id: format!("toolu_{index}"), name: "f".into() })
}

fn delta(index: u32, delta: Delta) -> Event {
    Event::Delta { index, delta }
}

fn stop(index: u32) -> Event {
    Event::BlockStop { index }
}

fn input(index: u32, piece: &str) -> Event {
    delta(index, Delta::ToolInput(piece.into()))
}

fn finish(reason: FinishReason) -> Event {
    Event::Finish { reason, stop_sequence: None }
}

fn usage() -> Usage {
    Usage { input_tokens: 5, cache_read_tokens: 6, output_tokens: 7, reasoning_tokens: 2, ..Usage::default() }
}

fn conversation() -> Vec<Event> {
    vec![
        Event::Start { id: Some("msg_9".into()) },
        Event::Usage(Usage { output_tokens: 1, reasoning_tokens: 0, ..usage() }),
        start(0, BlockHead::Thinking),
        delta(0, Delta::Thinking("Hm.".into())),
        delta(0, Delta::Signature("se".into())),
        delta(0, Delta::Signature("al".into())),
        stop(0),
        start(1, BlockHead::RedactedThinking("Emw".into())),
        stop(1),
        start(2, BlockHead::Text),
        delta(2, Delta::text("Grüß \"dich\"\n")),
        stop(2),
        tool(3),
        input(3, "{\"a\":"),
        input(3, "1}"),
        stop(3),
        tool(4),
        stop(4),
        finish(FinishReason::ToolUse),
        Event::Usage(usage()),
    ]
}

#[test]
fn a_stream_is_written_as_the_sdks_read_it() {
    let stream = write(conversation());
    insta::assert_snapshot!("stream", stream);
    let message = accumulate(&stream);
    assert_eq!(message["content"][0]["signature"], "seal");
    assert_eq!(message["content"][4]["input"], json!({}));
    assert_eq!(message["stop_reason"], "tool_use");
}

#[test]
fn a_stream_that_is_written_is_read_as_it_was() {
    for name in ["text", "thinking_tools", "server_tools", "stop_sequence"] {
        let call = asking(Operation::Chat, true);
        let (events, result) = read(decoder(&call, false), &[stream(name).as_bytes()]);
        assert_eq!(result, Ok(()));
        let written = write(events.clone());
        let (again, result) = read(decoder(&call, false), &[written.as_bytes()]);
        assert_eq!(result, Ok(()));
        let without_usage = |events: Vec<Event>| -> Vec<Event> {
            events.into_iter().filter(|event| !matches!(event, Event::Usage(_))).collect()
        };
        assert_eq!(without_usage(again), without_usage(events), "{name}");
    }
}

#[test]
fn s1_parallel_tool_calls_do_not_mix() {
    let message = accumulate(&write([
        tool(0),
        tool(1),
        input(1, "{\"b\""),
        input(0, "{\"a\""),
        input(1, ":2}"),
        input(0, ":1}"),
        stop(1),
        stop(0),
        finish(FinishReason::ToolUse),
    ]));
    assert_eq!(message["content"][0]["input"], json!({"a": 1}));
    assert_eq!(message["content"][1]["input"], json!({"b": 2}));
}

#[test]
fn s2_s3_a_delta_goes_only_where_it_belongs() {
    let message = accumulate(&write([
        tool(0),
        delta(0, Delta::text("lost")),
        stop(0),
        start(1, BlockHead::Text),
        delta(1, Delta::Thinking("lost".into())),
        delta(1, Delta::text("kept")),
        delta(9, Delta::text("lost")),
        finish(FinishReason::EndTurn),
    ]));
    assert_eq!(message["content"][1]["text"], "kept");
}

#[test]
fn s5_s10_open_blocks_are_ended_and_late_deltas_dropped() {
    let message = accumulate(&write([
        start(0, BlockHead::Text),
        stop(0),
        delta(0, Delta::text("late")),
        tool(1),
        tool(2),
        finish(FinishReason::ToolUse),
    ]));
    assert_eq!(message["content"].as_array().map(Vec::len), Some(3));
}

#[test]
fn s6_usage_stands_in_the_first_event_even_if_nothing_is_known() {
    let message = accumulate(&write([]));
    assert_eq!(message["usage"]["input_tokens"], 0);
    let first =
        &payloads(&write([Event::Start { id: None }, Event::Usage(usage()), start(0, BlockHead::Text)]))[0];
    assert_eq!(first["message"]["usage"]["input_tokens"], 5);
    assert_eq!(first["message"]["id"], "msg_0a1b2c3d");
}

#[test]
fn u4_usage_is_told_in_this_dialects_words() {
    let stream = write([Event::Usage(usage()), finish(FinishReason::EndTurn)]);
    let all = payloads(&stream);
    let told = &all[all.len() - 2]["usage"];
    assert_eq!(
        *told,
        json!({"input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 6,
            "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 2}})
    );
}

#[test]
fn u1_a_refusal_is_a_refusal() {
    let refused =
        [start(0, BlockHead::Refusal), delta(0, Delta::text("No.")), stop(0), finish(FinishReason::EndTurn)];
    let message = accumulate(&write(refused));
    assert_eq!((&message["stop_reason"], &message["content"][0]["text"]), (&json!("refusal"), &json!("No.")));
    assert_eq!(accumulate(&write([finish(FinishReason::ContentFilter)]))["stop_reason"], "refusal");
}

#[test]
fn blocks_of_other_vendors_take_no_index() {
    let message = accumulate(&write([
        start(0, BlockHead::Opaque { dialect: Dialect::OpenAiChat, value: json!({"x": 1}) }),
        delta(0, Delta::Opaque(json!({"y": 1}))),
        stop(0),
        start(1, BlockHead::Text),
        delta(1, Delta::text("t")),
        stop(1),
        finish(FinishReason::EndTurn),
    ]));
    assert_eq!(message["content"], json!([{"type": "text", "text": "t"}]));
}

#[test]
fn s14_a_broken_stream_ends_in_an_error_event() {
    let mut encoder = encoder(&asking(Operation::Chat, true));
    let mut out = Vec::new();
    encoder.event(start(0, BlockHead::Text), &mut out);
    encoder.failure(&Failure::new(ErrorKind::Overloaded, "busy"), &mut out);
    let all = payloads(std::str::from_utf8(&out).expect("UTF-8"));
    let error = json!({"type": "overloaded_error", "message": "busy"});
    assert_eq!(all.last(), Some(&json!({"type": "error", "error": error, "request_id": "0a1b-2c3d"})));
}

#[test]
fn too_much_to_hold_is_let_go_interleaved() {
    let piece = "x".repeat(1 << 16);
    let mut events = vec![start(0, BlockHead::Text), start(1, BlockHead::Text), start(2, BlockHead::Text)];
    events.extend((0..40).map(|n| delta(1 + n % 2, Delta::text(piece.as_str()))));
    events.extend([stop(2), stop(1), delta(0, Delta::text("end")), stop(0), finish(FinishReason::EndTurn)]);
    let mut encoder = encoder(&asking(Operation::Chat, true));
    let mut out = Vec::new();
    let mut let_go_at = None;
    for (step, event) in events.into_iter().enumerate() {
        encoder.event(event, &mut out);
        if out.len() > 1 << 16 {
            let_go_at.get_or_insert(step);
        }
    }
    encoder.end(&mut out);
    assert!(let_go_at.expect("let go") < 25, "before the end");
    let message = accumulate(std::str::from_utf8(&out).expect("UTF-8"));
    assert_eq!(message["content"][0]["text"], "end");
    assert_eq!(message["content"][1]["text"].as_str().map(str::len), Some(20 << 16));
    assert_eq!(message["content"][2]["text"].as_str().map(str::len), Some(20 << 16));
}

fn whole(operation: Operation, completion: Completion) -> Value {
    let whole = encoder(&asking(operation, false)).whole(completion);
    assert_eq!(whole.status, 200);
    serde_json::from_slice(&whole.body).expect("JSON")
}

#[test]
fn a_whole_message_is_written_as_the_sdks_read_it() {
    let mut completion = Completion::default();
    conversation().into_iter().for_each(|event| completion.push(event));
    let message = whole(Operation::Chat, completion);
    insta::assert_json_snapshot!("whole_written", message);
}

#[test]
fn a_whole_reply_that_is_read_is_written_as_it_was() {
    let text = include_str!("../../../fixtures/anthropic/replies/tools.json");
    let call = asking(Operation::Chat, false);
    let (events, result) = read(decoder(&call, false), &[text.as_bytes()]);
    assert_eq!(result, Ok(()));
    let mut completion = Completion::default();
    events.into_iter().for_each(|event| completion.push(event));
    let original: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(whole(Operation::Chat, completion), original);
    // The same from a stream of the vendor's own blocks: their deltas are gathered.
    let (events, _) =
        read(decoder(&asking(Operation::Chat, true), false), &[stream("server_tools").as_bytes()]);
    let mut completion = Completion::default();
    events.into_iter().for_each(|event| completion.push(event));
    let message = whole(Operation::Chat, completion);
    assert_eq!(message["content"][0]["input"], json!({"query": "q"}));
    assert_eq!(message["content"][2]["citations"][0]["encrypted_index"], "i");
    assert_eq!(message["content"][3], json!({"type": "compaction", "content": "So far."}));
    assert_eq!(message["stop_reason"], "pause_turn");
}

#[test]
fn tool_input_is_always_an_object() {
    let input = |input: &str| {
        let kind = BlockKind::ToolUse {
            id: "t".into(),
            name: "f".into(),
            input: input.into(),
            origin: ToolOrigin::Client,
        };
        let completion = Completion { content: vec![Block::new(kind)], ..Completion::default() };
        whole(Operation::Chat, completion)["content"][0]["input"].clone()
    };
    assert_eq!(input(""), json!({}));
    assert_eq!(input(" null "), json!({}));
    assert_eq!(input(r#"{"a":1}"#), json!({"a": 1}));
    let brackets = format!(r#"{{"a":"{}"}}"#, "[".repeat(1000));
    assert_eq!(input(&brackets)["a"], "[".repeat(1000));
    for broken in [r#"{"a":"#, "[1]", "3", "{} {}", &"{\"a\":".repeat(1000), &nested(120)] {
        assert_eq!(input(broken), json!({"INVALID_JSON": broken}));
    }
}

fn nested(levels: usize) -> String {
    format!("{}0{}", "{\"a\":".repeat(levels), "}".repeat(levels))
}

#[test]
fn a_token_count_is_written() {
    let completion = Completion { usage: usage(), ..Completion::default() };
    assert_eq!(whole(Operation::CountTokens, completion), json!({"input_tokens": 11}));
}

/// Blocks that begin in order and then grow and end in any order.
fn interleaved() -> impl Strategy<Value = Vec<Event>> {
    let step = (0_u8..4, 0_u32..6, "[a-z\"\\\\é\n]{0,4}");
    prop::collection::vec(step, 0..40).prop_map(|steps| {
        let mut events = vec![Event::Start { id: None }];
        let mut begun = 0;
        for (what, pick, text) in steps {
            let index = if begun == 0 { 0 } else { pick % begun };
            events.push(match what {
                0 => {
                    begun += 1;
                    let block = if pick % 2 == 0 { BlockHead::Text } else { BlockHead::Thinking };
                    start(begun - 1, block)
                }
                1 => stop(index),
                2 => delta(index, Delta::text(text)),
                _ => delta(index, Delta::Thinking(text)),
            });
        }
        events.push(finish(FinishReason::EndTurn));
        events
    })
}

proptest! {
    #[test]
    fn any_order_of_events_is_written_in_order(events in interleaved()) {
        // What each block holds when deltas after its end and of another kind are left out.
        let mut expected: Vec<(bool, String, bool)> = Vec::new();
        for event in &events {
            match event {
                Event::BlockStart { block, .. } => {
                    expected.push((*block == BlockHead::Text, String::new(), true));
                }
                Event::BlockStop { index } => {
                    if let Some(block) = expected.get_mut(*index as usize) { block.2 = false; }
                }
                Event::Delta { index, delta } => {
                    if let (Some((is_text, whole, true)), Delta::Text { text, .. } | Delta::Thinking(text)) =
                        (expected.get_mut(*index as usize), delta)
                    && *is_text == matches!(delta, Delta::Text { .. }) {
                        whole.push_str(text);
                    }
                }
                _ => {}
            }
        }
        let message = accumulate(&write(events));
        let content = message["content"].as_array().expect("content");
        prop_assert_eq!(content.len(), expected.len());
        for (block, (is_text, whole, _)) in content.iter().zip(expected) {
            prop_assert_eq!(block[if is_text { "text" } else { "thinking" }].as_str(), Some(whole.as_str()));
        }
    }
}
