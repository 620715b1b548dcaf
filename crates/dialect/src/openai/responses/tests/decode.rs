//! A server's bytes → events.

use message::{BlockKind, ErrorKind, Event, FinishReason, Frame, Usage};
use serde_json::{Value, json};

use super::{data, decode, decoder, gather};

fn stream(events: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        let name = event["type"].as_str().expect("a type");
        out.extend_from_slice(format!("event: {name}\ndata: {event}\n\n").as_bytes());
    }
    out
}

fn usage() -> Value {
    json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 8,
        "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 18})
}

fn output() -> Value {
    json!([
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA",
            "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}]},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
            {"type": "output_text", "text": "Granite.", "annotations": [], "logprobs": []},
            {"type": "refusal", "refusal": "No more."},
        ]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weigh", "arguments": "{\"kg\":1}"},
        {"type": "function_call", "id": "fc_2", "call_id": "call_2", "name": "idle", "arguments": ""},
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_3", "name": "patch", "input": "a \"b\"\n"},
    ])
}

fn response(status: &str, output: Value) -> Value {
    json!({"id": "resp_1", "object": "response", "status": status, "output": output, "usage": usage()})
}

/// The answer of [`output`] as the service streams it.
fn events() -> Vec<Value> {
    let output = output();
    let mut all = vec![
        json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}}),
        json!({"type": "response.in_progress", "response": {"id": "resp_1", "status": "in_progress", "output": []}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "summary": []}}),
        json!({"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0}),
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "One."}),
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 1, "delta": "Two."}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": output[0]}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "content": []}}),
        json!({"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "Gran", "logprobs": []}),
        json!({"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "ite."}),
        json!({"type": "response.output_text.done", "output_index": 1, "content_index": 0, "text": "Granite."}),
        json!({"type": "response.refusal.delta", "output_index": 1, "content_index": 1, "delta": "No more."}),
        json!({"type": "response.refusal.done", "output_index": 1, "content_index": 1, "refusal": "No more."}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": output[1]}),
        json!({"type": "response.web_search_call.searching", "output_index": 2, "item_id": "ws_1"}),
        json!({"type": "response.shell_call_output_content.delta", "output_index": 2, "delta": {"stdout": "x"}}),
        json!({"type": "response.output_item.done", "output_index": 2, "item": output[2]}),
    ];
    // Two calls side by side, and one that says its arguments only at the end.
    for place in 3..6 {
        let mut begun = output[place].clone();
        for name in ["arguments", "input"] {
            if begun.get(name).is_some() {
                begun[name] = "".into();
            }
        }
        all.push(json!({"type": "response.output_item.added", "output_index": place, "item": begun}));
    }
    all.extend([
        json!({"type": "response.function_call_arguments.delta", "output_index": 3, "delta": "{\"kg\""}),
        json!({"type": "response.custom_tool_call_input.delta", "output_index": 5, "delta": "a \"b"}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 3, "delta": ":1}"}),
        json!({"type": "response.custom_tool_call_input.delta", "output_index": 5, "delta": "\"\n"}),
        json!({"type": "response.function_call_arguments.done", "output_index": 3, "arguments": "{\"kg\":1}"}),
        json!({"type": "response.output_item.done", "output_index": 3, "item": output[3]}),
        json!({"type": "response.output_item.done", "output_index": 4, "item": output[4]}),
        json!({"type": "response.output_item.done", "output_index": 5, "item": output[5]}),
        json!({"type": "response.completed", "response": response("completed", output)}),
    ]);
    all
}

#[test]
fn a_stream_and_a_whole_answer_mean_the_same() {
    let streamed = decode(decoder(true, false), &[&stream(&events())]).expect("an answer");
    insta::with_settings!({ snapshot_path => "../fixtures/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_debug_snapshot!("decoded_stream", streamed);
    });
    let whole = response("completed", output()).to_string();
    let whole = decode(decoder(false, false), &[whole.as_bytes()]).expect("an answer");
    let (mut streamed, mut whole) = (gather(streamed), gather(whole));
    assert_eq!(streamed.finish, Some(FinishReason::ToolUse));
    assert_eq!(
        streamed.usage,
        Usage {
            input_tokens: 6,
            cache_read_tokens: 4,
            output_tokens: 5,
            reasoning_tokens: 3,
            ..Usage::default()
        }
    );
    // Only the order in which blocks began can differ.
    let key = |block: &message::Block| format!("{:?}", block.kind);
    streamed.content.sort_by_key(key);
    whole.content.sort_by_key(key);
    assert_eq!(streamed, whole);
}

#[test]
fn cut_anywhere_it_is_the_same() {
    let bytes = stream(&events());
    let whole = decode(decoder(true, false), &[&bytes]).expect("an answer");
    let forwarded = decode(decoder(true, true), &[&bytes]).expect("an answer");
    for cut in 0..=bytes.len() {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(decode(decoder(true, false), &[first, second]).as_ref(), Ok(&whole), "cut at {cut}");
        let events = decode(decoder(true, true), &[first, second]).expect("an answer");
        assert_eq!(joined(&events), joined(&forwarded), "cut at {cut}");
    }
}

/// What a forwarded stream said, and what was seen of it.
fn joined(events: &[Event]) -> (Vec<u8>, Option<Usage>, Option<FinishReason>) {
    let (mut bytes, mut usage, mut finish) = (Vec::new(), None, None);
    for event in events {
        let Event::Frame(Frame { bytes: piece, seen }) = event else { panic!("{event:?} beside frames") };
        bytes.extend_from_slice(piece);
        if let Some(seen) = seen {
            usage = seen.usage.or(usage);
            finish = seen.finish.clone().or(finish);
        }
    }
    (bytes, usage, finish)
}

#[test]
fn at_home_bytes_go_through_and_are_counted() {
    let bytes = stream(&events());
    let (forwarded, usage, finish) = joined(&decode(decoder(true, true), &[&bytes]).expect("an answer"));
    assert_eq!(forwarded, bytes);
    assert_eq!(usage.expect("counted").total(), 18);
    assert_eq!(finish, Some(FinishReason::ToolUse));
    let whole = response("incomplete", json!([])).to_string();
    let (forwarded, usage, finish) =
        joined(&decode(decoder(false, true), &[whole.as_bytes()]).expect("an answer"));
    assert_eq!(forwarded, whole.as_bytes());
    assert_eq!((usage.expect("counted").total(), finish), (18, Some(FinishReason::MaxTokens)));
}

/// An error after the announcement is still a failure before the first event.
#[test]
fn s16_an_announcement_commits_to_nothing() {
    let created = json!({"type": "response.created", "response": {"id": "resp_1"}});
    let failed = json!({"type": "response.failed", "response": {"status": "failed",
        "error": {"code": "rate_limit_exceeded", "message": "slow down"}}});
    let error = json!({"type": "error", "code": "server_error", "message": "broken", "param": null});
    for home in [true, false] {
        for (last, kind, message) in
            [(&failed, ErrorKind::RateLimited, "slow down"), (&error, ErrorKind::Upstream, "broken")]
        {
            let mut decoder = decoder(true, home);
            let mut events = Vec::new();
            decoder
                .feed(stream(std::slice::from_ref(&created)).into(), &mut events)
                .expect("an announcement");
            assert_eq!(events, [], "home: {home}");
            let failure =
                decoder.feed(stream(std::slice::from_ref(last)).into(), &mut events).expect_err("it failed");
            assert_eq!((failure.kind, failure.message.as_str()), (kind, message));
            assert_eq!(events, [], "home: {home}");
        }
    }
}

#[test]
fn s14_a_cut_stream_is_no_answer() {
    let mut events = events();
    events.pop();
    for home in [true, false] {
        let failure = decode(decoder(true, home), &[&stream(&events)]).expect_err("cut");
        assert_eq!(failure.kind, ErrorKind::Upstream);
        assert_eq!(decode(decoder(false, home), &[]).expect_err("nothing").kind, ErrorKind::Upstream);
    }
}

#[test]
fn servers_that_only_tell_the_end_are_understood() {
    let last = json!({"type": "response.completed", "response": response("completed", output())});
    let answer = gather(decode(decoder(true, false), &[&stream(&[last])]).expect("an answer"));
    assert_eq!(answer.content.len(), 6);
    assert_eq!(answer.id.as_deref(), Some("resp_1"));
}

#[test]
fn u2_reasons_keep_their_meaning() {
    let said = json!([{"type": "message", "content": [{"type": "output_text", "text": "a"}]}]);
    for (details, reason) in [
        (json!({"reason": "max_output_tokens"}), FinishReason::MaxTokens),
        (json!({"reason": "content_filter"}), FinishReason::ContentFilter),
        (json!({"reason": "steered"}), FinishReason::Other("steered".into())),
        (Value::Null, FinishReason::MaxTokens),
    ] {
        let mut response = response("incomplete", said.clone());
        response["incomplete_details"] = details;
        let answer =
            gather(decode(decoder(false, false), &[response.to_string().as_bytes()]).expect("an answer"));
        assert_eq!(answer.finish, Some(reason));
    }
    let refused = json!([{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]);
    let response = response("completed", refused).to_string();
    let answer = gather(decode(decoder(false, false), &[response.as_bytes()]).expect("an answer"));
    assert_eq!(answer.finish, Some(FinishReason::Refusal));
    assert!(matches!(answer.content[0].kind, BlockKind::Refusal(_)));
}

#[test]
fn nonsense_is_an_error() {
    for body in ["", "<html>", "[]", "{}", r#"{"output":1}"#, r#"{"status":"in_progress","output":[]}"#] {
        let failure = decode(decoder(false, false), &[body.as_bytes()]).expect_err(body);
        assert_eq!(failure.kind, ErrorKind::Upstream, "{body}");
    }
    for piece in ["data: <html>\n\n", "data: {\"type\":7}\n\n"] {
        assert!(decode(decoder(true, false), &[piece.as_bytes()]).is_err(), "{piece}");
    }
    assert_eq!(data(b"").len(), 0);
}

/// Told as they come, or (by servers that only list them) when the item is whole; never twice.
#[test]
fn annotations_are_told_once() {
    let page = json!({"type": "url_citation", "url": "https://a.test", "title": "A", "start_index": 0, "end_index": 2});
    let file = json!({"type": "file_citation", "file_id": "file-1", "filename": "a.pdf", "index": 2});
    let part = json!({"type": "output_text", "text": "abc", "annotations": [page, file]});
    let item = json!({"type": "message", "content": [part]});
    let added = |annotation: &Value| {
        let at = json!({"output_index": 0, "content_index": 0, "annotation": annotation});
        let mut event = json!({"type": "response.output_text.annotation.added"});
        event.as_object_mut().expect("an object").extend(at.as_object().expect("an object").clone());
        event
    };
    for early in [vec![], vec![added(&page), added(&file)]] {
        let mut events = vec![
            added(&page),
            json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "abc"}),
        ];
        events.extend(early);
        events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
        events.push(json!({"type": "response.completed", "response": response("completed", json!([item]))}));
        let answer = gather(decode(decoder(true, false), &[&stream(&events)]).expect("valid"));
        let titles: Vec<_> = answer.content[0].citations.iter().map(|one| one.title.as_deref()).collect();
        assert_eq!(titles, [Some("A"), Some("a.pdf")]);
    }
}
