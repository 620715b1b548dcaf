//! Replies to clients: events → chunks and whole completions.

use ::message::{
    AuthFault, Block, BlockHead, BlockKind, Citation, CitationSource, Completion, Delta, ErrorKind, Event,
    Failure, FinishReason, Retry, TokenLogprob, TopLogprob, Usage,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{call, data, decode, decoder, gather};
use crate::ReplyEncoder;
use crate::openai::chat::reply::Encoder;

const USAGE: Usage = Usage {
    input_tokens: 8,
    cache_read_tokens: 12,
    cache_write_5m_tokens: 3,
    cache_write_1h_tokens: 1,
    output_tokens: 5,
    reasoning_tokens: 4,
};

/// An encoder for a request with these fields beside the usual.
fn encoder(fields: Value) -> Encoder {
    let mut body = json!({"model": "local", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    Encoder::new(call(&body), 1_790_000_000)
}

fn stream(fields: Value, events: Vec<Event>) -> Vec<u8> {
    let mut encoder = encoder(fields);
    let mut out = Vec::new();
    events.into_iter().for_each(|event| encoder.event(event, &mut out));
    encoder.end(&mut out);
    out
}

fn chunks(fields: Value, events: Vec<Event>) -> Vec<Value> {
    let mut data = data(&stream(fields, events));
    assert_eq!(data.pop().as_deref(), Some("[DONE]"));
    data.iter().map(|chunk| serde_json::from_str(chunk).expect("JSON")).collect()
}

fn start(index: u32, block: BlockHead) -> Event {
    Event::BlockStart { index, block }
}

fn text(index: u32, text: &str) -> Event {
    Event::Delta { index, delta: Delta::text(text) }
}

fn tool(index: u32, id: &str, input: &str) -> Vec<Event> {
    let mut events = vec![start(index, BlockHead::ToolUse { id: id.to_owned(), name: "f".to_owned() })];
    if !input.is_empty() {
        events.push(Event::Delta { index, delta: Delta::ToolInput(input.to_owned()) });
    }
    events.push(Event::BlockStop { index });
    events
}

fn finish(reason: FinishReason) -> Event {
    Event::Finish { reason, stop_sequence: None }
}

/// Text, reasoning, two tool calls with a text between, counted.
fn everything() -> Vec<Event> {
    let mut events = vec![
        Event::Start { id: Some("upstream-1".to_owned()) },
        start(0, BlockHead::Thinking),
        Event::Delta { index: 0, delta: Delta::Thinking("Hm.".to_owned()) },
        Event::Delta { index: 0, delta: Delta::Signature("seal".to_owned()) },
        Event::BlockStop { index: 0 },
        start(1, BlockHead::Text),
        text(1, "Let me \"see\"\n"),
        text(1, "🌍"),
        Event::BlockStop { index: 1 },
    ];
    events.extend(tool(2, "call_a", r#"{"x":1}"#));
    events.extend([start(3, BlockHead::Text), text(3, "and"), Event::BlockStop { index: 3 }]);
    events.extend(tool(4, "call_b", ""));
    events.extend([Event::Usage(USAGE), finish(FinishReason::ToolUse)]);
    events
}

#[test]
fn a_stream_of_everything() {
    let options = json!({"stream": true, "stream_options": {"include_usage": true}});
    let out = String::from_utf8(stream(options, everything())).expect("UTF-8");
    insta::with_settings!({ snapshot_path => "../fixtures/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("reply_stream", out);
    });
}

#[test]
fn a_whole_completion_of_everything() {
    let whole = encoder(json!({})).whole(gather(everything()));
    assert_eq!(whole.status, 200);
    let body: Value = serde_json::from_slice(&whole.body).expect("JSON");
    insta::with_settings!({ snapshot_path => "../fixtures/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_json_snapshot!("reply_whole", body);
    });
}

/// Two answers, one a tool call, whose pieces come by turns.
fn two_answers() -> Vec<Event> {
    let further = |event| Event::Choice { index: 1, event: Box::new(event) };
    let called = tool(0, "call_a", r#"{"x":1}"#);
    let mut events = vec![Event::Start { id: None }, start(0, BlockHead::Text), text(0, "One")];
    events.push(further(Event::Start { id: None }));
    events.extend(called.into_iter().map(further));
    events.extend([text(0, " two"), Event::BlockStop { index: 0 }, finish(FinishReason::EndTurn)]);
    events.extend([Event::Usage(USAGE), further(finish(FinishReason::ToolUse))]);
    events
}

#[test]
fn several_answers_are_numbered_and_counted_together() {
    let options = json!({"n": 2, "stream": true, "stream_options": {"include_usage": true}});
    let out = String::from_utf8(stream(options, two_answers())).expect("UTF-8");
    let whole = encoder(json!({"n": 2})).whole(gather(two_answers()));
    let whole: Value = serde_json::from_slice(&whole.body).expect("JSON");
    insta::with_settings!({ snapshot_path => "../fixtures/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("reply_choices_stream", out);
        insta::assert_json_snapshot!("reply_choices_whole", whole);
    });
}

#[test]
fn s7_s8_tool_calls_are_numbered_apart_from_blocks() {
    let mut calls = Vec::new();
    for chunk in chunks(json!({}), everything()) {
        assert_eq!(chunk["choices"][0]["index"], 0);
        if let Some(call) = chunk["choices"][0]["delta"]["tool_calls"].get(0) {
            calls.push((call["index"].clone(), call["id"].clone(), call["function"]["arguments"].clone()));
        }
    }
    let expected = [
        (json!(0), json!("call_a"), json!("")),
        (json!(0), Value::Null, json!(r#"{"x":1}"#)),
        (json!(1), json!("call_b"), json!("")),
        // S10: a call without arguments is an empty object.
        (json!(1), Value::Null, json!("{}")),
    ];
    assert_eq!(calls, expected);
}

#[test]
fn the_role_comes_first_and_once() {
    let chunks = chunks(json!({}), everything());
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert!(chunks[1..].iter().all(|chunk| chunk["choices"][0]["delta"].get("role").is_none()));
    // Also when nothing else is said.
    let empty = super::reply::chunks(json!({}), vec![finish(FinishReason::EndTurn)]);
    assert_eq!(empty.len(), 2);
    assert_eq!(empty[1]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn usage_is_sent_only_when_asked_for() {
    let without = chunks(json!({"stream_options": {"include_usage": false}}), everything());
    assert!(without.iter().all(|chunk| chunk.get("usage").is_none()));
    let with = chunks(json!({"stream_options": {"include_usage": true}}), everything());
    let (last, others) = with.split_last().expect("chunks");
    assert!(
        others
            .iter()
            .all(|chunk| chunk["usage"].is_null() && !chunk["choices"].as_array().expect("array").is_empty())
    );
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["prompt_tokens"], 24);
}

#[test]
fn u4_u6_cached_and_reasoning_tokens_are_part_of_the_sums() {
    let streamed =
        chunks(json!({"stream_options": {"include_usage": true}}), everything()).pop().expect("usage");
    let whole = encoder(json!({})).whole(gather(everything()));
    let whole: Value = serde_json::from_slice(&whole.body).expect("JSON");
    assert_eq!(streamed["usage"], whole["usage"]);
    assert_eq!(whole["usage"]["prompt_tokens"], 24);
    assert_eq!(whole["usage"]["completion_tokens"], 9);
    assert_eq!(whole["usage"]["total_tokens"], 33);
    assert_eq!(whole["usage"]["prompt_tokens_details"]["cached_tokens"], 12);
    assert_eq!(whole["usage"]["prompt_tokens_details"]["cache_write_tokens"], 4);
    assert_eq!(whole["usage"]["completion_tokens_details"]["reasoning_tokens"], 4);
}

#[test]
fn every_finish_reason_has_a_word() {
    for (reason, word) in [
        (FinishReason::EndTurn, "stop"),
        (FinishReason::StopSequence, "stop"),
        (FinishReason::MaxTokens, "length"),
        (FinishReason::ContextWindow, "length"),
        (FinishReason::ToolUse, "tool_calls"),
        (FinishReason::Refusal, "content_filter"),
        (FinishReason::ContentFilter, "content_filter"),
        (FinishReason::Guardrail, "content_filter"),
        (FinishReason::PauseTurn, "stop"),
        (FinishReason::MalformedToolUse, "stop"),
        (FinishReason::Other("tired".to_owned()), "stop"),
    ] {
        let streamed = chunks(json!({}), vec![finish(reason.clone())]).pop().expect("a chunk");
        assert_eq!(streamed["choices"][0]["finish_reason"], word);
        let completion = Completion { finish: Some(reason), ..Completion::default() };
        let whole: Value = serde_json::from_slice(&encoder(json!({})).whole(completion).body).expect("JSON");
        assert_eq!(whole["choices"][0]["finish_reason"], word);
    }
}

#[test]
fn a_refusal_ends_normally() {
    let events = vec![
        start(0, BlockHead::Refusal),
        text(0, "no"),
        Event::BlockStop { index: 0 },
        finish(FinishReason::Refusal),
    ];
    let last = chunks(json!({}), events.clone()).pop().expect("a chunk");
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    let whole: Value = serde_json::from_slice(&encoder(json!({})).whole(gather(events)).body).expect("JSON");
    assert_eq!(whole["choices"][0]["message"]["refusal"], "no");
    assert_eq!(whole["choices"][0]["message"]["content"], Value::Null);
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
}

#[test]
fn callers_of_functions_get_a_function_call() {
    let functions = json!({"functions": [{"name": "f"}]});
    let mut events = tool(0, "call_a", "{}");
    events.extend(tool(1, "call_b", "{}"));
    events.push(finish(FinishReason::ToolUse));
    let chunks = chunks(functions.clone(), events.clone());
    assert_eq!(chunks[1]["choices"][0]["delta"]["function_call"], json!({"name": "f", "arguments": ""}));
    assert_eq!(chunks[2]["choices"][0]["delta"]["function_call"], json!({"arguments": "{}"}));
    assert_eq!(chunks[3]["choices"][0]["finish_reason"], "function_call");
    let whole: Value = serde_json::from_slice(&encoder(functions).whole(gather(events)).body).expect("JSON");
    assert_eq!(whole["choices"][0]["message"]["function_call"], json!({"name": "f", "arguments": "{}"}));
    assert_eq!(whole["choices"][0]["message"].get("tool_calls"), None);
}

#[test]
fn logprobs_show_bytes_and_have_no_infinity() {
    let half = |logprob, top| TokenLogprob { token: vec![0xf0, 0x9f], logprob, top };
    let top = vec![TopLogprob { token: b"a".to_vec(), logprob: f32::NEG_INFINITY }];
    let events = |logprobs| {
        let delta = Delta::Text { text: "x".to_owned(), logprobs };
        vec![start(0, BlockHead::Text), Event::Delta { index: 0, delta }, finish(FinishReason::EndTurn)]
    };
    let asked = json!({"logprobs": true, "top_logprobs": 1});
    let chunks = chunks(asked.clone(), events(vec![half(-0.5, top.clone())]));
    let content = &chunks[1]["choices"][0]["logprobs"]["content"];
    assert_eq!(
        *content,
        json!([{"token": "\u{fffd}", "bytes": [240, 159], "logprob": -0.5, "top_logprobs": [{"token": "a", "bytes": [97], "logprob": -9999.0}]}])
    );
    let whole: Value =
        serde_json::from_slice(&encoder(asked).whole(gather(events(vec![half(-0.5, top.clone())]))).body)
            .expect("JSON");
    assert_eq!(whole["choices"][0]["logprobs"]["content"], *content);
    // Not asked for, not shown.
    let quiet = super::reply::chunks(json!({}), events(vec![half(-0.5, top)]));
    assert_eq!(quiet[1]["choices"][0]["logprobs"], Value::Null);
}

#[test]
fn s14_a_broken_stream_ends_with_the_error_event() {
    let mut encoder = encoder(json!({}));
    let mut out = Vec::new();
    encoder.event(Event::Start { id: None }, &mut out);
    encoder.failure(&Failure::new(ErrorKind::Upstream, "it broke"), &mut out);
    let last: Value = serde_json::from_str(data(&out).last().expect("an event")).expect("JSON");
    assert_eq!(
        last,
        json!({"error": {"message": "it broke", "type": "server_error", "param": null, "code": "upstream_error"}})
    );
    assert!(!data(&out).contains(&"[DONE]".to_owned()));
}

#[test]
fn e1_e2_errors_have_the_status_code_and_advice_the_sdk_needs() {
    use std::time::Duration;
    let failure = |kind| Failure::new(kind, "what to do");
    let cases = [
        (failure(ErrorKind::InvalidRequest).with_param("messages.0"), 400, json!(null), None),
        (failure(ErrorKind::ContextOverflow), 400, json!("context_length_exceeded"), None),
        (failure(ErrorKind::Unsupported), 400, json!("unsupported"), None),
        (failure(ErrorKind::TooLarge), 413, json!("request_too_large"), None),
        (failure(ErrorKind::Unauthenticated(AuthFault::Missing)), 401, json!("missing_api_key"), None),
        (failure(ErrorKind::Unauthenticated(AuthFault::Unknown)), 401, json!("invalid_api_key"), None),
        (failure(ErrorKind::Unauthenticated(AuthFault::Expired)), 401, json!("expired_api_key"), None),
        (failure(ErrorKind::PermissionDenied), 403, json!("permission_denied"), None),
        (failure(ErrorKind::NotFound).with_param("model"), 404, json!("model_not_found"), None),
        (failure(ErrorKind::NotFound), 404, json!("not_found"), None),
        (failure(ErrorKind::RateLimited), 429, json!("rate_limit_exceeded"), Some("1")),
        (
            failure(ErrorKind::RateLimited).with_retry(Retry::After(Duration::from_millis(1_500))),
            429,
            json!("rate_limit_exceeded"),
            Some("2"),
        ),
        (
            failure(ErrorKind::Overloaded).with_retry(Retry::After(Duration::ZERO)),
            503,
            json!("overloaded"),
            Some("1"),
        ),
        (failure(ErrorKind::Unavailable), 503, json!("unavailable"), Some("1")),
        (failure(ErrorKind::Timeout), 504, json!("timeout"), None),
        (failure(ErrorKind::Upstream), 502, json!("upstream_error"), None),
        (failure(ErrorKind::Internal), 500, json!("internal_error"), None),
    ];
    for (failure, status, code, retry_after) in cases {
        let whole = crate::openai::error::whole(&failure);
        assert_eq!(whole.status, status, "{failure:?}");
        let body: Value = serde_json::from_slice(&whole.body).expect("JSON");
        assert_eq!(body["error"]["code"], code, "{failure:?}");
        assert_eq!(body["error"]["message"], "what to do");
        assert_eq!(body["error"]["param"], json!(failure.param));
        assert!(body["error"]["type"].is_string());
        let header =
            |name: &str| whole.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value);
        assert_eq!(header("retry-after").and_then(|value| value.to_str().ok()), retry_after, "{failure:?}");
        assert_eq!(header("x-should-retry").is_some(), failure.kind == ErrorKind::Internal, "{failure:?}");
    }
}

fn block() -> impl Strategy<Value = BlockKind> {
    prop_oneof![
        ".{1,20}".prop_map(BlockKind::Text),
        ".{1,20}".prop_map(|text| BlockKind::Thinking { text, signature: None }),
        ("[a-z0-9]{1,8}", "[a-z]{1,8}").prop_map(|(id, name)| BlockKind::ToolUse {
            id,
            name,
            input: r#"{"a":[1,2]}"#.to_owned(),
            origin: ::message::ToolOrigin::Client,
        }),
    ]
}

/// The events of a completion, text cut in two.
fn events(content: &[BlockKind], usage: Usage) -> Vec<Event> {
    let mut events = vec![Event::Start { id: None }];
    for (index, kind) in (0..).zip(content) {
        let halves = |text: &str| {
            let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at);
            [text[..middle].to_owned(), text[middle..].to_owned()]
        };
        let (head, deltas) = match kind {
            BlockKind::Text(text) => (BlockHead::Text, halves(text).map(Delta::text)),
            BlockKind::Thinking { text, .. } => (BlockHead::Thinking, halves(text).map(Delta::Thinking)),
            BlockKind::ToolUse { id, name, input, .. } => (
                BlockHead::ToolUse { id: id.clone(), name: name.clone() },
                halves(input).map(Delta::ToolInput),
            ),
            other => panic!("{other:?}"),
        };
        events.push(start(index, head));
        events.extend(deltas.into_iter().map(|delta| Event::Delta { index, delta }));
        events.push(Event::BlockStop { index });
    }
    let reason = match content.iter().any(|kind| matches!(kind, BlockKind::ToolUse { .. })) {
        true => FinishReason::ToolUse,
        false => FinishReason::EndTurn,
    };
    events.extend([Event::Usage(usage), finish(reason)]);
    events
}

/// Reasoning, then text, then calls: the order in which a message of this dialect is read.
fn in_order(mut content: Vec<BlockKind>) -> Vec<Block> {
    let rank = |kind: &BlockKind| match kind {
        BlockKind::Thinking { .. } => 0,
        BlockKind::Text(_) => 1,
        _ => 2,
    };
    content.sort_by_key(rank);
    let mut blocks: Vec<BlockKind> = Vec::new();
    for kind in content {
        match (blocks.last_mut(), kind) {
            (Some(BlockKind::Text(before)), BlockKind::Text(text)) => before.push_str(&text),
            (Some(BlockKind::Thinking { text: before, .. }), BlockKind::Thinking { text, .. }) => {
                before.push_str(&text)
            }
            (_, kind) => blocks.push(kind),
        }
    }
    blocks.into_iter().map(Block::new).collect()
}

proptest! {
    /// What this encoder writes, streamed or whole, this decoder reads back.
    #[test]
    fn replies_come_back_as_they_were(content in prop::collection::vec(block(), 1..6), cached in 0..9_u64, reasoning in 0..9_u64) {
        let ids: std::collections::HashSet<_> = content.iter().filter_map(|kind| match kind {
            BlockKind::ToolUse { id, .. } => Some(id.clone()),
            _ => None,
        }).collect();
        let calls = content.iter().filter(|kind| matches!(kind, BlockKind::ToolUse { .. })).count();
        prop_assume!(ids.len() == calls);
        let usage = Usage { input_tokens: 7, cache_read_tokens: cached, output_tokens: 5, reasoning_tokens: reasoning, ..Usage::default() };
        let events = events(&content, usage);
        let whole = encoder(json!({})).whole(gather(events.clone())).body;
        let mut from_whole = gather(decode(decoder(false, false), &[&whole]).expect("valid"));
        let streamed = stream(json!({"stream": true, "stream_options": {"include_usage": true}}), events.clone());
        let mut from_stream = gather(decode(decoder(true, false), &[&streamed]).expect("valid"));
        let sent = gather(events);
        prop_assert_eq!(&from_whole.content, &in_order(content));
        prop_assert_eq!(from_whole.usage, sent.usage);
        prop_assert_eq!(from_stream.usage, sent.usage);
        prop_assert_eq!(&from_stream.finish, &sent.finish);
        prop_assert_eq!(&from_whole.finish, &sent.finish);
        // A stream keeps the order of blocks; the whole message has only one of each.
        let kinds = |blocks: Vec<Block>| in_order(blocks.into_iter().map(|block| block.kind).collect());
        let streamed_content = kinds(std::mem::take(&mut from_stream.content));
        prop_assert_eq!(streamed_content, kinds(std::mem::take(&mut from_whole.content)));
    }
}

#[test]
fn t8_a_custom_tool_is_called_with_bare_text() {
    let fields = || json!({"tools": [{"type": "custom", "custom": {"name": "f"}}]});
    let mut events = vec![Event::Start { id: None }];
    events.extend(tool(0, "call_a", r#"{"input":"*** \"Begin\"\n"}"#));
    events.push(finish(FinishReason::ToolUse));
    let calls: Vec<Value> = chunks(fields(), events.clone())
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0").cloned())
        .collect();
    assert_eq!(
        calls[0],
        json!({"index": 0, "id": "call_a", "type": "custom", "custom": {"name": "f", "input": ""}})
    );
    let said: String = calls[1..].iter().filter_map(|call| call["custom"]["input"].as_str()).collect();
    assert_eq!(said, "*** \"Begin\"\n");
    let whole = encoder(fields()).whole(gather(events));
    let whole: Value = serde_json::from_slice(&whole.body).expect("JSON");
    assert_eq!(
        whole.pointer("/choices/0/message/tool_calls"),
        Some(
            &json!([{"id": "call_a", "type": "custom", "custom": {"name": "f", "input": "*** \"Begin\"\n"}}])
        )
    );
}

fn cites(index: u32, source: CitationSource) -> Event {
    Event::Delta { index, delta: Delta::Citation(Box::new(Citation::of(source))) }
}

/// Citations may come before their text; places count from the beginning of the content.
#[test]
fn pages_are_cited_where_their_text_stands() {
    let found = CitationSource::SearchResult { index: 0, source: "https://b.test".into(), pieces: 0..1 };
    let events = vec![
        Event::Start { id: None },
        start(0, BlockHead::Text),
        text(0, "Grüezi. "),
        cites(0, CitationSource::Named("file-1".into())),
        Event::BlockStop { index: 0 },
        start(1, BlockHead::Text),
        cites(1, CitationSource::Web { url: "https://a.test".into() }),
        text(1, "It "),
        text(1, "rains."),
        cites(1, found),
        Event::BlockStop { index: 1 },
        finish(FinishReason::EndTurn),
    ];
    let page = |url: &str| {
        let page = json!({"start_index": 8, "end_index": 17, "title": url, "url": url});
        json!({"type": "url_citation", "url_citation": page})
    };
    let expected = json!([page("https://a.test"), page("https://b.test")]);
    let chunks = chunks(json!({"stream": true}), events.clone());
    let told: Vec<&Value> =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"].get("annotations")).collect();
    assert_eq!(told, [&expected]);
    let whole = encoder(json!({})).whole(gather(events));
    let whole: Value = serde_json::from_slice(&whole.body).expect("JSON");
    assert_eq!(whole["choices"][0]["message"]["annotations"], expected);
}

#[test]
fn a_server_that_cites_without_end_is_not_kept() {
    let cite = || cites(0, CitationSource::Web { url: "https://a.test".into() });
    let mut events = vec![start(0, BlockHead::Text), text(0, "a")];
    events.extend(std::iter::repeat_with(cite).take(5_000));
    events.extend([Event::BlockStop { index: 0 }, finish(FinishReason::EndTurn)]);
    let chunks = chunks(json!({"stream": true}), events);
    let told = chunks.iter().find_map(|chunk| chunk["choices"][0]["delta"]["annotations"].as_array());
    assert_eq!(told.map(Vec::len), Some(crate::openai::annotation::CITATIONS_MAX));
}
