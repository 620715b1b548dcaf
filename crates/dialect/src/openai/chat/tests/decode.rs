//! Replies of servers: recorded shapes → events, cut at every byte.

use ::message::{BlockKind, ErrorKind, Event, Failure, FinishReason, Frame, Retry, Usage};
use bytes::Bytes;
use serde_json::json;

use super::{decode, decoder, gather};

const STREAMS: [(&str, &str); 8] = [
    ("openai_text", include_str!("../fixtures/streams/openai_text.sse")),
    ("openai_parallel_tools", include_str!("../fixtures/streams/openai_parallel_tools.sse")),
    ("gemini_tools_all_index_0", include_str!("../fixtures/streams/gemini_tools_all_index_0.sse")),
    ("tools_without_index", include_str!("../fixtures/streams/tools_without_index.sse")),
    ("vllm_reasoning_stop_string", include_str!("../fixtures/streams/vllm_reasoning_stop_string.sse")),
    ("usage_beside_an_empty_delta", include_str!("../fixtures/streams/usage_beside_an_empty_delta.sse")),
    ("refusal", include_str!("../fixtures/streams/refusal.sse")),
    ("length_without_done", include_str!("../fixtures/streams/length_without_done.sse")),
];

const WHOLES: [(&str, &str); 3] = [
    ("openai_tools", include_str!("../fixtures/wholes/openai_tools.json")),
    ("deepseek_reasoning", include_str!("../fixtures/wholes/deepseek_reasoning.json")),
    ("mistral_parts", include_str!("../fixtures/wholes/mistral_parts.json")),
];

fn stream(text: &str) -> Result<Vec<Event>, Failure> {
    decode(decoder(true, false), &[text.as_bytes()])
}

fn fixture(name: &str) -> Vec<Event> {
    let (_, text) = STREAMS.iter().find(|(stream, _)| *stream == name).expect(name);
    stream(text).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn recorded_replies_give_their_events() {
    insta::with_settings!({ snapshot_path => "../fixtures/snapshots", prepend_module_to_snapshot => false }, {
        for (name, text) in STREAMS {
            insta::assert_debug_snapshot!(format!("stream_{name}"), stream(text).expect(name));
        }
        for (name, text) in WHOLES {
            let events = decode(decoder(false, false), &[text.as_bytes()]).expect(name);
            insta::assert_debug_snapshot!(format!("whole_{name}"), events);
        }
    });
}

/// Found by fuzzing: tokens told in an event whose end never came were counted or not by
/// where the pieces ended.
#[test]
fn an_event_without_its_end_counts_nothing() {
    let stream = b": hi\n\ndata: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":7}}\n";
    for cut in 0..=stream.len() {
        let (first, second) = stream.split_at(cut);
        let mut forwarding = decoder(true, true);
        let mut events = Vec::new();
        for piece in [first, second] {
            forwarding.feed(Bytes::copy_from_slice(piece), &mut events).expect("well formed");
        }
        forwarding.finish(&mut events).expect_err("cut");
        let seen = events.iter().any(|event| matches!(event, Event::Frame(Frame { seen: Some(_), .. })));
        assert!(!seen, "cut at {cut}");
    }
}

#[test]
fn cut_at_every_byte_a_reply_is_the_same() {
    let replies = STREAMS.iter().map(|reply| (true, reply)).chain(WHOLES.iter().map(|reply| (false, reply)));
    for (is_stream, (name, text)) in replies {
        let bytes = text.as_bytes();
        let expected = decode(decoder(is_stream, false), &[bytes]).expect(name);
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let events = decode(decoder(is_stream, false), &[first, second]).expect(name);
            assert_eq!(events, expected, "{name} cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decode(decoder(is_stream, false), &single).expect(name), expected, "{name} byte by byte");
        let windows = text.replace('\n', "\r\n");
        assert_eq!(decode(decoder(is_stream, false), &[windows.as_bytes()]).expect(name), expected);
    }
}

#[test]
fn s1_pieces_of_parallel_calls_find_their_call() {
    let completion = gather(fixture("openai_parallel_tools"));
    let calls: Vec<_> = completion
        .content
        .iter()
        .map(|block| match &block.kind {
            BlockKind::ToolUse { id, name, input, .. } => (id.as_str(), name.as_str(), input.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(calls, [("call_a", "get_weather", r#"{"city":"Rome"}"#), ("call_b", "get_time", "{}")]);
}

#[test]
fn s8_calls_without_a_useful_index_stay_apart() {
    for (name, expected) in [
        ("gemini_tools_all_index_0", vec![("one", r#"{"a":1}"#), ("two", r#"{"a":2}"#)]),
        ("tools_without_index", vec![("one", r#"{"a":1}"#), ("two", r#"{"b":2}"#), ("call_2", "{}")]),
    ] {
        let completion = gather(fixture(name));
        let calls: Vec<_> = completion
            .content
            .iter()
            .filter_map(|block| match &block.kind {
                BlockKind::ToolUse { id, input, .. } => Some((id.as_str(), input.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(calls, expected, "{name}");
        assert_eq!(completion.finish, Some(FinishReason::ToolUse), "{name}");
    }
}

#[test]
fn s8_id_and_name_repeated_in_every_piece_are_one_call() {
    let piece = |arguments: &str| {
        let function = serde_json::json!({"name": "f", "arguments": arguments});
        let chunk = serde_json::json!({"id": "x", "choices": [{"delta": {"tool_calls": [{"index": 0, "id": "one", "function": function}]}}]});
        format!("data: {chunk}\n\n")
    };
    let text = [piece("{"), piece("}"), "data: [DONE]\n\n".to_owned()].concat();
    let completion = gather(stream(&text).expect("valid"));
    let [block] = completion.content.as_slice() else { panic!("{completion:?}") };
    assert!(matches!(&block.kind, BlockKind::ToolUse { input, .. } if input == "{}"));
}

#[test]
fn s10_a_call_without_arguments_is_closed_and_is_json() {
    let events = fixture("tools_without_index");
    let starts = events.iter().filter(|event| matches!(event, Event::BlockStart { .. })).count();
    let stops = events.iter().filter(|event| matches!(event, Event::BlockStop { .. })).count();
    assert_eq!((starts, stops), (3, 3));
    let completion = gather(events);
    assert!(matches!(&completion.content[2].kind, BlockKind::ToolUse { input, .. } if input == "{}"));
}

#[test]
fn s11_usage_beside_an_empty_delta_counts() {
    let usage = gather(fixture("usage_beside_an_empty_delta")).usage;
    assert_eq!(usage, Usage { input_tokens: 2, cache_read_tokens: 1, output_tokens: 2, ..Usage::default() });
}

#[test]
fn s14_a_cut_stream_is_a_failure() {
    let (_, whole) = STREAMS[0];
    let finish_at = whole.find(r#""finish_reason":"stop""#).expect("it ends");
    for cut in [0, 10, finish_at / 2, finish_at] {
        let failure = stream(&whole[..cut]).expect_err("it was cut");
        assert_eq!((failure.kind, failure.retry), (ErrorKind::Upstream, Retry::Yes), "cut at {cut}");
        let home = decode(decoder(true, true), &[&whole.as_bytes()[..cut]]).expect_err("it was cut");
        assert_eq!(home.kind, ErrorKind::Upstream, "cut at {cut}");
    }
}

#[test]
fn r6_reasoning_is_a_block_of_its_own() {
    let completion = gather(fixture("vllm_reasoning_stop_string"));
    assert!(matches!(&completion.content[0].kind, BlockKind::Thinking { text, .. } if text == "Hm. Yes."));
    assert_eq!(completion.content[1].as_text(), Some("OK"));
    assert_eq!(completion.finish, Some(FinishReason::StopSequence));
    assert_eq!(completion.stop_sequence.as_deref(), Some("###"));
    assert_eq!(completion.logprobs[0].top[1].token, b"K");
}

#[test]
fn u4_buckets_are_disjoint_and_sum_to_what_was_counted() {
    let usage = gather(fixture("openai_text")).usage;
    let expected = Usage {
        input_tokens: 8,
        cache_read_tokens: 12,
        output_tokens: 5,
        reasoning_tokens: 4,
        ..Usage::default()
    };
    assert_eq!(usage, expected);
    assert_eq!((usage.total_input(), usage.total_output()), (20, 9));
}

#[test]
fn u4_counts_that_contradict_each_other_do_not_overflow() {
    let buckets =
        |json: &str| serde_json::from_str::<crate::openai::chat::wire::Usage>(json).expect("usage").buckets();
    let usage = buckets(
        r#"{"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":9,"cache_write_tokens":9},"completion_tokens_details":{"reasoning_tokens":7}}"#,
    );
    assert_eq!((usage.total_input(), usage.total_output()), (5, 2));
    // xAI counts reasoning beside the completion, as its total shows.
    let usage = buckets(
        r#"{"prompt_tokens":5,"completion_tokens":2,"total_tokens":14,"completion_tokens_details":{"reasoning_tokens":7}}"#,
    );
    assert_eq!((usage.output_tokens, usage.reasoning_tokens), (2, 7));
    let most = u64::MAX;
    let usage = buckets(&format!(
        r#"{{"prompt_tokens":{most},"completion_tokens":{most},"completion_tokens_details":{{"reasoning_tokens":1}}}}"#
    ));
    assert_eq!(usage.reasoning_tokens, 1);
}

#[test]
fn finish_reasons_are_translated() {
    for (word, reason) in [
        ("stop", FinishReason::EndTurn),
        ("length", FinishReason::MaxTokens),
        ("tool_calls", FinishReason::ToolUse),
        ("function_call", FinishReason::ToolUse),
        ("content_filter", FinishReason::ContentFilter),
        ("insufficient_system_resource", FinishReason::Other("insufficient_system_resource".to_owned())),
    ] {
        let text = format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"x\"}},\"finish_reason\":\"{word}\"}}]}}\n\n"
        );
        assert_eq!(gather(stream(&text).expect(word)).finish, Some(reason));
    }
    assert_eq!(gather(fixture("refusal")).finish, Some(FinishReason::Refusal));
}

#[test]
fn an_error_in_the_stream_is_a_failure() {
    for (text, kind, message) in [
        (
            "data: {\"error\":{\"message\":\"slow down\",\"type\":\"rate_limit_error\",\"code\":\"rate_limit_exceeded\"}}\n\n",
            ErrorKind::RateLimited,
            "slow down",
        ),
        (
            "data: {\"error\":{\"message\":\"oops\",\"type\":\"server_error\",\"code\":500}}\n\n",
            ErrorKind::Upstream,
            "oops",
        ),
        ("data: {\"error\":{\"message\":\"full\",\"code\":\"529\"}}\n\n", ErrorKind::Overloaded, "full"),
        ("event: error\ndata: {\"error\":\"just words\"}\n\n", ErrorKind::Upstream, "just words"),
        (
            "data: {\"choices\":[],\"error\":{\"message\":\"This model's maximum context length is 4 tokens\"}}\n\n",
            ErrorKind::ContextOverflow,
            "This model's",
        ),
    ] {
        let failure = stream(text).expect_err(text);
        assert_eq!(failure.kind, kind, "{text}");
        assert!(failure.message.starts_with(message), "{failure}");
        if !text.starts_with("event") {
            assert_eq!(decode(decoder(true, true), &[text.as_bytes()]).expect_err(text), failure);
        }
    }
}

#[test]
fn garbage_is_a_failure() {
    for text in [
        "data: <html>\n\n",
        "data: []\n\n",
        "data: {\"choices\":{}}\n\n",
        "\u{0}\u{1}\n\n",
        "data: [DONE]\n\n",
    ] {
        assert_eq!(stream(text).expect_err(text).kind, ErrorKind::Upstream, "{text:?}");
    }
    for text in [
        "",
        "{",
        "null",
        "[]",
        "<html>",
        "{}",
        "{\"choices\":[]}",
        "{\"choices\":[{\"message\":{\"content\":\"cut",
    ] {
        for home in [true, false] {
            if home && matches!(text, "{}" | "{\"choices\":[]}") {
                continue;
            }
            let failure = decode(decoder(false, home), &[text.as_bytes()]).expect_err(text);
            assert_eq!(failure.kind, ErrorKind::Upstream, "{text:?}");
        }
    }
    let nameless = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";
    assert_eq!(stream(nameless).expect_err("no name").kind, ErrorKind::Upstream);
}

#[test]
fn endless_tool_calls_are_refused() {
    let calls: Vec<_> = (0..600)
        .map(|index| serde_json::json!({"index": index, "id": index.to_string(), "function": {"name": "f"}}))
        .collect();
    let chunk = serde_json::json!({"choices": [{"delta": {"tool_calls": calls}}]});
    assert_eq!(stream(&format!("data: {chunk}\n\n")).expect_err("too many").kind, ErrorKind::Upstream);
}

/// Bytes as they came, cut anywhere, and the same things seen.
#[test]
fn home_streams_are_forwarded_untouched() {
    for (name, text) in STREAMS {
        let bytes = text.as_bytes();
        let decoded = gather(stream(text).expect(name));
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let events = decode(decoder(true, true), &[first, second]).expect(name);
            let (forwarded, usage, finish) = seen(events);
            assert_eq!(forwarded, bytes, "{name} cut at {cut}");
            assert_eq!(usage.unwrap_or_default(), decoded.usage, "{name} cut at {cut}");
            assert!(finish.is_some(), "{name} cut at {cut}");
        }
    }
}

#[test]
fn home_frames_end_where_events_end() {
    let (_, text) = STREAMS[0];
    for cut in 0..=text.len() {
        let mut decoder = decoder(true, true);
        let mut events = Vec::new();
        decoder.feed(Bytes::copy_from_slice(&text.as_bytes()[..cut]), &mut events).expect("valid");
        let (forwarded, ..) = seen(events);
        assert!(forwarded.is_empty() || forwarded.ends_with(b"\n\n"), "cut at {cut}");
        let whole_events = text.as_bytes()[..cut].windows(2).filter(|pair| *pair == b"\n\n").count();
        assert_eq!(
            String::from_utf8(forwarded).expect("UTF-8").matches("\n\n").count(),
            whole_events,
            "cut at {cut}"
        );
    }
}

#[test]
fn home_pieces_are_not_copied() {
    let piece = Bytes::from_static(
        b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n",
    );
    let mut events = Vec::new();
    decoder(true, true).feed(piece.clone(), &mut events).expect("valid");
    let [Event::Frame(Frame { bytes, seen: None })] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(bytes.as_ptr(), piece.as_ptr());
}

#[test]
fn u6_a_home_answer_counts_the_same_streamed_and_whole() {
    let usage = r#""usage":{"prompt_tokens":20,"completion_tokens":9,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":12}}"#;
    let whole = format!(
        r#"{{"choices":[{{"index":0,"message":{{"content":"x"}},"finish_reason":"stop"}}],{usage}}}"#
    );
    let streamed = format!(
        "data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\ndata: {{\"choices\":[],{usage}}}\n\ndata: [DONE]\n\n"
    );
    let (bytes, whole_usage, _) = seen(decode(decoder(false, true), &[whole.as_bytes()]).expect("valid"));
    assert_eq!(bytes, whole.as_bytes());
    let (_, stream_usage, _) = seen(decode(decoder(true, true), &[streamed.as_bytes()]).expect("valid"));
    assert_eq!(whole_usage, stream_usage);
    assert_eq!(
        whole_usage,
        Some(gather(decode(decoder(false, false), &[whole.as_bytes()]).expect("valid")).usage)
    );
    assert_eq!(stream_usage, Some(gather(stream(&streamed).expect("valid")).usage));
}

fn seen(events: Vec<Event>) -> (Vec<u8>, Option<Usage>, Option<FinishReason>) {
    let (mut bytes, mut usage, mut finish) = (Vec::new(), None, None);
    for event in events {
        let Event::Frame(frame) = event else { panic!("{event:?} is no frame") };
        bytes.extend_from_slice(&frame.bytes);
        if let Some(seen) = frame.seen {
            usage = seen.usage.or(usage);
            finish = seen.finish.or(finish);
        }
    }
    (bytes, usage, finish)
}

/// A call is over when its arguments are whole and another begins; one whose pieces
/// alternate with another's stays open.
#[test]
fn s1_a_whole_call_is_closed_when_the_next_begins() {
    let chunk = |index: u64, id: Option<&str>, arguments: &str| {
        let mut call = json!({"index": index, "function": {"arguments": arguments}});
        if let Some(id) = id {
            call["id"] = id.into();
            call["function"]["name"] = "f".into();
        }
        format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}))
    };
    let stops = |pieces: &[String]| -> Vec<(usize, u32)> {
        let mut stream = pieces.concat();
        stream.push_str("data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n");
        let events = decode(decoder(true, false), &[stream.as_bytes()]).expect("an answer");
        let stops = events.iter().enumerate().filter_map(|(at, event)| match event {
            Event::BlockStop { index } => Some((at, *index)),
            _ => None,
        });
        stops.collect()
    };
    // Start, begin 0, two pieces; then 0 ends before 1 begins.
    let whole =
        stops(&[chunk(0, Some("a"), "{\"x\":\"}\\\""), chunk(0, None, "\"}"), chunk(1, Some("b"), "{}")]);
    assert_eq!(whole, [(4, 0), (7, 1)]);
    let alternating = stops(&[
        chunk(0, Some("a"), "{\"x\":"),
        chunk(1, Some("b"), "{\"y\":"),
        chunk(0, None, "1}"),
        chunk(1, None, "2}"),
    ]);
    assert_eq!(alternating, [(7, 0), (8, 1)]);
}

/// Pages cited are told of the text they are about, and of nothing else.
#[test]
fn annotations_belong_to_a_text() {
    let page = r#"{"type":"url_citation","url_citation":{"url":"https://a.test","title":"A","start_index":1,"end_index":2}}"#;
    let whole = |message: String| {
        let body = format!(r#"{{"choices":[{{"message":{message},"finish_reason":"stop"}}]}}"#);
        gather(decode(decoder(false, false), &[body.as_bytes()]).expect("valid")).content
    };
    let cited = whole(format!(r#"{{"content":"abc","annotations":[{page},{{"type":"new"}},7]}}"#));
    assert_eq!(cited[0].citations.len(), 1);
    assert_eq!(
        (cited[0].citations[0].url(), cited[0].citations[0].claim.clone()),
        (Some("https://a.test"), Some(1..2))
    );
    assert!(whole(format!(r#"{{"content":null,"annotations":[{page}]}}"#)).is_empty());
    for nothing in ["null", "{}", "[]", r#""x""#] {
        assert!(whole(format!(r#"{{"content":"abc","annotations":{nothing}}}"#))[0].citations.is_empty());
    }
}
