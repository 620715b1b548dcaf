//! Replies of servers: recorded shapes → events, cut at every byte; and forwarded.

use ::message::{BlockKind, ErrorKind, FinishReason, Operation, Sealer, Usage};
use serde_json::json;

use super::{array, asking, forwarded, gather, read, sse, thinking_and_tools};
use crate::gemini::decode::decoder;

const USAGE: Usage = Usage {
    input_tokens: 20,
    cache_read_tokens: 80,
    cache_write_5m_tokens: 0,
    cache_write_1h_tokens: 0,
    output_tokens: 9,
    reasoning_tokens: 5,
};

#[test]
fn r4_s8_a_stream_gives_its_blocks_seals_and_calls() {
    let call = asking(Operation::Chat, true, "alt=sse");
    let (events, result) = read(decoder(&call, false), &[&sse(&thinking_and_tools())]);
    assert_eq!(result, Ok(()));
    let completion = gather(events);
    let kinds: Vec<&BlockKind> = completion.content.iter().map(|block| &block.kind).collect();
    let [
        BlockKind::Thinking { text: thought, signature: None },
        BlockKind::Text(text),
        BlockKind::Thinking { text: nothing, signature: Some(seal) },
        BlockKind::ToolUse { id: one, name, input: first, .. },
        BlockKind::ToolUse { id: two, input: second, .. },
        BlockKind::Opaque { .. },
    ] = kinds.as_slice()
    else {
        panic!("{kinds:?}")
    };
    assert_eq!(
        (thought.as_str(), text.as_str(), nothing.as_str()),
        ("Let me see.", "Looking \"é\\\" }]\n", "")
    );
    assert_eq!(Sealer::read(seal), (Sealer::Gemini, "c2VhbA=="));
    assert_eq!((name.as_str(), first.as_str(), second.as_str()), ("look", r#"{"a":1}"#, "{}"));
    assert_ne!(one, two, "calls without ids stay apart");
    assert_eq!((completion.finish, completion.usage), (Some(FinishReason::ToolUse), USAGE));
    assert_eq!(completion.id.as_deref(), Some("r-1"));
}

/// Found by fuzzing: a line of two carriage returns is none of the blank ones, wherever it
/// is cut.
#[test]
fn a_line_cut_between_carriage_returns_is_one_line() {
    let stream = b"\r\r\n\r\n";
    let bytes = |pieces: &[&[u8]]| {
        let call = asking(Operation::Chat, true, "alt=sse");
        let (events, ending) = read(decoder(&call, true), pieces);
        (forwarded(&events).0, ending)
    };
    let whole = bytes(&[stream]);
    for cut in 0..=stream.len() {
        let (first, second) = stream.split_at(cut);
        assert_eq!(bytes(&[first, second]), whole, "cut at {cut}");
    }
}

#[test]
fn cut_at_every_byte_a_reply_is_the_same() {
    let chunks = thinking_and_tools();
    let whole = chunks.last().expect("some").to_string().into_bytes();
    for (stream, query, home, bytes) in [
        (true, "alt=sse", false, sse(&chunks)),
        (true, "alt=sse", true, sse(&chunks)),
        (true, "", true, array(&chunks)),
        (false, "", false, whole.clone()),
        (false, "", true, whole),
    ] {
        let call = asking(Operation::Chat, stream, query);
        let (expected, result) = read(decoder(&call, home), &[&bytes]);
        assert_eq!(result, Ok(()));
        for at in 0..=bytes.len() {
            let (first, second) = bytes.split_at(at);
            let (events, result) = read(decoder(&call, home), &[first, second]);
            assert_eq!(result, Ok(()), "cut at {at}");
            if home {
                assert_eq!(forwarded(&events), forwarded(&expected), "cut at {at}");
            } else {
                assert_eq!(events, expected, "cut at {at}");
            }
        }
        if home {
            let (sent, seen) = forwarded(&expected);
            assert_eq!(sent, bytes);
            assert_eq!((seen.usage, seen.finish), (Some(USAGE), Some(FinishReason::EndTurn)));
        }
    }
}

#[test]
fn s14_a_cut_stream_is_no_whole_one_and_ends_between_chunks() {
    let chunks = thinking_and_tools();
    for (query, bytes) in [("alt=sse", sse(&chunks)), ("", array(&chunks))] {
        let call = asking(Operation::Chat, true, query);
        let last = bytes.windows(12).rposition(|window| window == b"finishReason").expect("it ends");
        for end in 0..last {
            let (events, result) = read(decoder(&call, true), &[&bytes[..end]]);
            assert_eq!(result.expect_err("cut").kind, ErrorKind::Upstream);
            let (sent, _) = forwarded(&events);
            let between = sent.is_empty() || sent.ends_with(b"\r\n\r\n") || sent.ends_with(b"}");
            assert!(between, "{query} {end}: {}", String::from_utf8_lossy(&sent));
            if query == "alt=sse" {
                assert!(read(decoder(&call, false), &[&bytes[..end]]).1.is_err(), "{end}");
            }
        }
    }
}

#[test]
fn an_error_inside_a_stream_is_a_failure() {
    let mut chunks = thinking_and_tools();
    chunks.truncate(2);
    chunks.push(json!({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}));
    for (query, home, bytes) in
        [("alt=sse", false, sse(&chunks)), ("alt=sse", true, sse(&chunks)), ("", true, array(&chunks))]
    {
        let call = asking(Operation::Chat, true, query);
        let (events, result) = read(decoder(&call, home), &[&bytes]);
        let failure = result.expect_err("an error");
        assert_eq!((failure.kind, failure.message.as_str()), (ErrorKind::Overloaded, "overloaded"));
        assert!(!events.is_empty());
    }
}

#[test]
fn a_blocked_prompt_is_an_answer() {
    let body = json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}});
    for (stream, bytes) in [(true, sse(std::slice::from_ref(&body))), (false, body.to_string().into_bytes())]
    {
        let call = asking(Operation::Chat, stream, "alt=sse");
        let (events, result) = read(decoder(&call, false), &[&bytes]);
        assert_eq!(result, Ok(()));
        let completion = gather(events);
        assert_eq!(
            (completion.finish, completion.usage.input_tokens),
            (Some(FinishReason::ContentFilter), 3)
        );
    }
}

#[test]
fn logprobs_and_counts_are_read() {
    let body = json!({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP", "logprobsResult": {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "a", "logProbability": -0.5}, {"token": "b"}]}],
    }}]});
    let call = asking(Operation::Chat, false, "");
    let (events, _) = read(decoder(&call, false), &[body.to_string().as_bytes()]);
    let completion = gather(events);
    assert_eq!((completion.logprobs[0].logprob, completion.logprobs[0].top.len()), (-0.5, 2));

    let call = asking(Operation::CountTokens, false, "");
    let body = br#"{"totalTokens": 10, "cachedContentTokenCount": 4}"#;
    let (events, result) = read(decoder(&call, false), &[body]);
    assert_eq!(result, Ok(()));
    let usage = gather(events).usage;
    assert_eq!((usage.input_tokens, usage.cache_read_tokens), (6, 4));
}

#[test]
fn garbage_is_a_failure_and_no_panic() {
    for bytes in [
        &b"data: {\r\n\r\n"[..],
        b"data: {\"candidates\": [{\"content\": {\"parts\": [1]}}]}\r\n\r\n",
        b"data: {\"candidates\": [{\"content\": {\"parts\": [{\"functionCall\": {}}]}}]}\r\n\r\n",
        b"<html>",
        b"]]]]}}}}",
    ] {
        for (stream, query, home) in
            [(true, "alt=sse", false), (true, "", true), (false, "", false), (false, "", true)]
        {
            let call = asking(Operation::Chat, stream, query);
            assert!(read(decoder(&call, home), &[bytes]).1.is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
