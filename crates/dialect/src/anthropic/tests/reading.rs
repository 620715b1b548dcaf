//! Streams and whole replies of a server → events.

use message::{BlockHead, Delta, ErrorKind, Event, FinishReason, Operation, Usage};

use super::super::decode::decoder;
use super::*;

fn decode_stream(pieces: &[&[u8]]) -> (Vec<Event>, Result<(), Failure>) {
    read(decoder(&asking(Operation::Chat, true), false), pieces)
}

#[test]
fn streams_are_read_as_meant() {
    for (name, bytes) in STREAMS {
        insta::assert_debug_snapshot!(name, decode_stream(&[bytes.as_bytes()]));
    }
}

#[test]
fn streams_may_be_cut_anywhere() {
    for (name, bytes) in STREAMS {
        let whole = decode_stream(&[bytes.as_bytes()]);
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.as_bytes().split_at(at);
            assert_eq!(decode_stream(&[head, tail]), whole, "{name} cut at {at}");
        }
        let single: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
        assert_eq!(decode_stream(&single), whole, "{name} byte by byte");
    }
}

#[test]
fn s14_a_cut_stream_is_a_failure() {
    let bytes = stream("text");
    let done = bytes.find("event: message_delta").expect("is there");
    for at in 0..done {
        let (_, result) = decode_stream(&[&bytes.as_bytes()[..at]]);
        assert_eq!(result.expect_err("cut").kind, ErrorKind::Upstream, "cut at {at}");
    }
}

#[test]
fn u4_cached_tokens_stay_apart() {
    let (events, result) = decode_stream(&[stream("thinking_tools").as_bytes()]);
    assert_eq!(result, Ok(()));
    let usage = events.iter().rev().find_map(|event| match event {
        Event::Usage(usage) => Some(*usage),
        _ => None,
    });
    let expected = Usage {
        input_tokens: 3,
        cache_read_tokens: 1000,
        cache_write_5m_tokens: 20,
        cache_write_1h_tokens: 30,
        output_tokens: 49,
        reasoning_tokens: 40,
    };
    assert_eq!(usage, Some(expected));
}

#[test]
fn s10_a_call_without_arguments_has_an_empty_object() {
    let (events, _) = decode_stream(&[stream("thinking_tools").as_bytes()]);
    let index = events.iter().find_map(|event| match event {
        Event::BlockStart { index, block: BlockHead::ToolUse { name, .. } } if name == "now" => Some(*index),
        _ => None,
    });
    let index = index.expect("the tool call");
    let of_block: Vec<&Event> = events
        .iter()
        .filter(|event| matches!(event, Event::Delta { index: i, .. } | Event::BlockStop { index: i } if *i == index))
        .collect();
    let input = Event::Delta { index, delta: Delta::ToolInput("{}".into()) };
    assert_eq!(of_block, [&input, &Event::BlockStop { index }]);
}

#[test]
fn r2_a_block_that_is_only_a_signature_is_kept() {
    let (events, _) = decode_stream(&[stream("thinking_tools").as_bytes()]);
    let start = Event::BlockStart { index: 2, block: BlockHead::Thinking };
    let at = events.iter().position(|event| *event == start).expect("the block");
    assert_eq!(events[at + 1], Event::Delta { index: 2, delta: Delta::Signature("sealonly".into()) });
    assert_eq!(events[at + 2], Event::BlockStop { index: 2 });
}

fn sse(events: &[&str]) -> String {
    events.iter().map(|data| format!("event: x\ndata: {data}\n\n")).collect()
}

const START: &str =
    r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":1,"output_tokens":1}}}"#;
const TEXT: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
const TOOL: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#;

#[test]
fn s2_s3_s5_a_delta_in_the_wrong_place_is_a_failure() {
    for (begin, delta) in [
        (TOOL, r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#),
        (
            TEXT,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"x"}}"#,
        ),
        (
            TEXT,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"x"}}"#,
        ),
        (TEXT, r#"{"type":"content_block_delta","index":7,"delta":{"type":"text_delta","text":"x"}}"#),
        (TEXT, r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}"#),
        (TEXT, TEXT),
        (TEXT, "not json"),
        (TEXT, r#"{"type":"content_block_start","index":1,"content_block":{}}"#),
        (TEXT, r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","name":"f"}}"#),
    ] {
        let (_, result) = decode_stream(&[sse(&[START, begin, delta]).as_bytes()]);
        assert_eq!(result.expect_err(delta).kind, ErrorKind::Upstream, "{delta}");
    }
}

#[test]
fn s3_a_second_beginning_is_not_one() {
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}"#;
    let (events, result) = decode_stream(&[sse(&[START, START, end]).as_bytes()]);
    assert_eq!(result, Ok(()));
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Start { .. })).count(), 1);
}

#[test]
fn gaps_in_the_servers_indexes_are_closed_and_open_blocks_ended() {
    let bytes = sse(&[
        START,
        r#"{"type":"content_block_start","index":3,"content_block":{"type":"text","text":"given"}}"#,
        r#"{"type":"content_block_start","index":18446744073709551615,"content_block":{"type":"tool_use","id":"t","name":"f","input":{"a":1}}}"#,
        r#"{"type":"message_stop"}"#,
    ]);
    let (events, result) = decode_stream(&[bytes.as_bytes()]);
    assert_eq!(result, Ok(()));
    assert_eq!(
        events[2..],
        [
            Event::BlockStart { index: 0, block: BlockHead::Text },
            Event::Delta { index: 0, delta: Delta::text("given") },
            Event::BlockStart { index: 1, block: BlockHead::ToolUse { id: "t".into(), name: "f".into() } },
            Event::BlockStop { index: 0 },
            Event::Delta { index: 1, delta: Delta::ToolInput(r#"{"a":1}"#.into()) },
            Event::BlockStop { index: 1 },
            Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None },
        ]
    );
}

#[test]
fn an_endless_event_is_refused() {
    let mut decoder = decoder(&asking(Operation::Chat, true), false);
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    let refused = (0..64).find_map(|_| decoder.feed(piece.clone(), &mut Vec::new()).err());
    assert_eq!(refused.expect("refused").kind, ErrorKind::Upstream);
}

const WHOLE: &str = include_str!("../../../fixtures/anthropic/replies/tools.json");
const COUNT: &str = include_str!("../../../fixtures/anthropic/replies/count.json");

#[test]
fn a_whole_reply_is_read_as_meant() {
    let whole = asking(Operation::Chat, false);
    let (events, result) = read(decoder(&whole, false), &[WHOLE.as_bytes()]);
    assert_eq!(result, Ok(()));
    for at in 0..=WHOLE.len() {
        let (head, tail) = WHOLE.as_bytes().split_at(at);
        assert_eq!(read(decoder(&whole, false), &[head, tail]).0, events);
    }
    insta::assert_debug_snapshot!("whole", events);
}

#[test]
fn a_token_count_is_read() {
    let (events, result) = read(decoder(&asking(Operation::CountTokens, false), false), &[COUNT.as_bytes()]);
    assert_eq!(result, Ok(()));
    assert_eq!(
        events,
        [
            Event::Start { id: None },
            Event::Usage(Usage { input_tokens: 2095, ..Usage::default() }),
            Event::Finish { reason: FinishReason::EndTurn, stop_sequence: None },
        ]
    );
}

#[test]
fn a_whole_reply_that_is_not_one_is_a_failure() {
    for (operation, body) in [
        (Operation::Chat, ""),
        (Operation::Chat, "<html>"),
        (Operation::Chat, "[]"),
        (Operation::Chat, r#"{"type":"message","content":[]}"#),
        (Operation::Chat, r#"{"content":[{}],"stop_reason":"end_turn"}"#),
        (Operation::CountTokens, "{}"),
    ] {
        let (_, result) = read(decoder(&asking(operation, false), false), &[body.as_bytes()]);
        assert_eq!(result.expect_err(body).kind, ErrorKind::Upstream, "{body}");
    }
}
