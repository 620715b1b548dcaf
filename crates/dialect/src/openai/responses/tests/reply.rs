//! Events → what a client reads.

use bytes::Bytes;
use message::{
    BlockHead, Delta, ErrorKind, Event, Failure, FinishReason, Sealer, TokenLogprob, TopLogprob, Usage,
};
use serde_json::{Value, json};

use super::{call, data, gather};
use crate::ReplyEncoder;
use crate::openai::responses::reply::Encoder;

const USAGE: Usage = Usage {
    input_tokens: 5,
    cache_read_tokens: 3,
    cache_write_5m_tokens: 2,
    cache_write_1h_tokens: 0,
    output_tokens: 7,
    reasoning_tokens: 4,
};

fn encoder(body: &Value) -> Encoder {
    Encoder::new(call(body), 1_700_000_000)
}

fn plain() -> Value {
    json!({"model": "m", "input": "hi"})
}

/// A client with every kind of tool.
fn tooled() -> Value {
    json!({"model": "m", "input": "hi", "tools": [
        {"type": "function", "name": "weigh", "parameters": {}, "strict": true},
        {"type": "custom", "name": "apply_patch"},
        {"type": "namespace", "name": "agents", "description": "", "tools": [
            {"type": "function", "name": "spawn"}, {"type": "custom", "name": "whisper"},
        ]},
    ]})
}

fn streamed(body: &Value, events: Vec<Event>) -> Vec<Value> {
    let mut encoder = encoder(body);
    let mut out = Vec::new();
    events.into_iter().for_each(|event| encoder.event(event, &mut out));
    encoder.end(&mut out);
    data(&out)
}

fn whole(body: &Value, events: Vec<Event>) -> Value {
    let whole = encoder(body).whole(gather(events));
    assert_eq!(whole.status, 200);
    serde_json::from_slice(&whole.body).expect("JSON")
}

fn block(index: u32, head: BlockHead, deltas: Vec<Delta>) -> Vec<Event> {
    let mut events = vec![Event::BlockStart { index, block: head }];
    events.extend(deltas.into_iter().map(|delta| Event::Delta { index, delta }));
    events.push(Event::BlockStop { index });
    events
}

fn tool(index: u32, name: &str, pieces: &[&str]) -> Vec<Event> {
    let head = BlockHead::ToolUse { id: format!("call_{index}"), name: name.to_owned() };
    block(index, head, pieces.iter().map(|piece| Delta::ToolInput((*piece).to_owned())).collect())
}

fn answer(blocks: Vec<Vec<Event>>, reason: FinishReason) -> Vec<Event> {
    let mut events = vec![Event::Start { id: None }];
    events.extend(blocks.into_iter().flatten());
    events.push(Event::Usage(USAGE));
    events.push(Event::Finish { reason, stop_sequence: None });
    events
}

/// Settings are copied as they were written, but an event's data is one line.
#[test]
fn settings_are_repeated_as_they_were_said() {
    let body = br#"{"model": "m", "input": "hi", "metadata": {
        "a": "b"
    }, "reasoning": {"effort":
        "low"}, "temperature": 0.50, "top_p": null, "user": "u\u00e9", "store": true, "store": false}"#;
    let call = super::try_call_of(Bytes::from_static(body)).expect("a call");
    let mut encoder = Encoder::new(call, 1_700_000_000);
    let mut out = Vec::new();
    encoder.event(Event::Start { id: None }, &mut out);
    for event in data(&out) {
        let response = &event["response"];
        assert_eq!(response["metadata"], json!({"a": "b"}));
        assert_eq!(response["reasoning"], json!({"effort": "low", "summary": null}));
        assert_eq!((&response["temperature"], &response["top_p"]), (&json!(0.5), &json!(1.0)));
        assert_eq!((&response["user"], &response["store"]), (&json!("u\u{e9}"), &json!(false)));
    }
    assert_eq!(data(&out).len(), 2);
}

/// Everything a model can say.
fn everything() -> Vec<Event> {
    answer(
        vec![
            block(
                0,
                BlockHead::Thinking,
                vec![
                    Delta::Thinking("Let me ".into()),
                    Delta::Thinking("see.".into()),
                    Delta::Signature("EqQB".into()),
                ],
            ),
            block(1, BlockHead::RedactedThinking("zzz".into()), vec![]),
            block(2, BlockHead::Text, vec![Delta::text("It is "), Delta::text("granite.")]),
            tool(3, "weigh", &["{\"kg\"", ":1}"]),
            tool(4, "apply_patch", &["{\"in", "put\":\"*** Be", "gin\\n\\u00e9", "\"}"]),
            tool(5, "agents__spawn", &[]),
            tool(6, "agents__whisper", &["{\"input\":\"psst\"}"]),
            block(7, BlockHead::Refusal, vec![Delta::text("No.")]),
        ],
        FinishReason::ToolUse,
    )
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().expect("a type")).collect()
}

#[test]
fn the_whole_stream_is_as_the_service_writes_it() {
    let events = streamed(&tooled(), everything());
    insta::with_settings!({ snapshot_path => "../fixtures/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_json_snapshot!("reply_stream", events);
        insta::assert_json_snapshot!("reply_whole", whole(&tooled(), everything()));
    });
}

#[test]
fn numbers_and_places_have_no_gaps() {
    let events = streamed(&tooled(), everything());
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    let added = events.iter().filter(|event| event["type"] == "response.output_item.added");
    for (place, event) in added.enumerate() {
        assert_eq!(event["output_index"], place);
    }
}

#[test]
fn the_last_event_holds_what_a_whole_answer_would() {
    let mut last = streamed(&tooled(), everything()).pop().expect("an event");
    assert_eq!(last["type"], "response.completed");
    let mut whole = whole(&tooled(), everything());
    assert_eq!(last["response"].take(), whole);
    assert_eq!(whole["output"].take().as_array().expect("items").len(), 8);
}

/// Every item is announced empty and told whole, and its pieces make up the whole.
#[test]
fn items_are_what_their_pieces_say() {
    let events = streamed(&tooled(), everything());
    let done: Vec<&Value> =
        events.iter().filter(|event| event["type"] == "response.output_item.done").collect();
    let last = &events.last().expect("an event")["response"]["output"];
    for (place, event) in done.iter().enumerate() {
        assert_eq!(event["item"], last[place]);
        let pieces =
            events.iter().filter(|piece| piece["output_index"] == place && piece["delta"].is_string());
        let said: String = pieces.map(|piece| piece["delta"].as_str().expect("text")).collect();
        let item = &event["item"];
        let whole = ["/content/0/text", "/content/0/refusal", "/summary/0/text", "/arguments", "/input"];
        let whole = whole.iter().find_map(|path| item.pointer(path)?.as_str()).unwrap_or_default();
        assert_eq!(said, whole, "{item}");
    }
}

#[test]
fn s1_parallel_tool_deltas_stay_with_their_own_call() {
    let start = |index: u32| Event::BlockStart {
        index,
        block: BlockHead::ToolUse { id: format!("call_{index}"), name: "weigh".into() },
    };
    let piece = |index, text: &str| Event::Delta { index, delta: Delta::ToolInput(text.into()) };
    let events = vec![
        Event::Start { id: None },
        start(0),
        start(1),
        piece(0, "{\"a\":"),
        piece(1, "{\"b\":"),
        piece(0, "1}"),
        piece(1, "2}"),
        Event::BlockStop { index: 1 },
        Event::BlockStop { index: 0 },
        Event::Finish { reason: FinishReason::ToolUse, stop_sequence: None },
    ];
    let last = streamed(&plain(), events).pop().expect("an event");
    let arguments = |place: usize| last["response"]["output"][place]["arguments"].clone();
    assert_eq!((arguments(0), arguments(1)), (json!("{\"a\":1}"), json!("{\"b\":2}")));
}

#[test]
fn s10_a_call_without_arguments_is_closed_with_an_empty_object() {
    let events = streamed(&plain(), answer(vec![tool(0, "weigh", &[])], FinishReason::ToolUse));
    let done = events.iter().find(|event| event["type"] == "response.function_call_arguments.done");
    assert_eq!(done.expect("closed")["arguments"], "{}");
}

#[test]
fn t8_a_custom_tool_is_called_with_bare_text() {
    let events = streamed(&tooled(), everything());
    let deltas = events.iter().filter(|event| event["type"] == "response.custom_tool_call_input.delta");
    let deltas: Vec<&str> = deltas
        .filter(|event| event["output_index"] == 4)
        .filter_map(|event| event["delta"].as_str())
        .collect();
    assert_eq!(deltas, ["*** Be", "gin\né"]);
    let item = &events.last().expect("an event")["response"]["output"][4];
    assert_eq!((&item["type"], &item["input"]), (&json!("custom_tool_call"), &json!("*** Begin\né")));
    assert_eq!(item.get("arguments"), None);
}

#[test]
fn a_namespaces_tool_is_called_by_its_own_name() {
    let whole = whole(&tooled(), everything());
    let named =
        |place: usize| (whole["output"][place]["namespace"].clone(), whole["output"][place]["name"].clone());
    assert_eq!(named(5), (json!("agents"), json!("spawn")));
    assert_eq!(named(6), (json!("agents"), json!("whisper")));
    assert_eq!(whole["output"][6]["input"], "psst");
}

#[test]
fn tools_offered_by_an_item_are_known_too() {
    let body = json!({"model": "m", "input": [
        {"type": "additional_tools", "role": "developer", "tools": [
            {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]},
        ]},
        {"role": "user", "content": "hi"},
    ]});
    let events = answer(vec![tool(0, "functions__exec", &["{\"input\":\"ls\"}"])], FinishReason::ToolUse);
    let item = whole(&body, events)["output"][0].take();
    assert_eq!(
        (&item["namespace"], &item["name"], &item["input"]),
        (&json!("functions"), &json!("exec"), &json!("ls"))
    );
}

#[test]
fn r2_a_seal_without_text_is_an_item_of_its_own() {
    let seal = Sealer::Gemini.tag("Q2F0");
    let events = answer(
        vec![block(0, BlockHead::Thinking, vec![Delta::Signature(seal.clone())]), tool(1, "weigh", &["{}"])],
        FinishReason::ToolUse,
    );
    let whole = whole(&plain(), events.clone());
    assert_eq!(whole["output"][0]["summary"], json!([]));
    assert_eq!(whole["output"][0]["encrypted_content"], seal);
    assert_eq!(whole["output"][1]["type"], "function_call");
    assert!(!kinds(&streamed(&plain(), events)).contains(&"response.reasoning_summary_part.added"));
}

#[test]
fn u1_a_filtered_answer_is_incomplete_for_that_reason() {
    let said = || vec![block(0, BlockHead::Text, vec![Delta::text("a")])];
    for (reason, status, detail) in [
        (FinishReason::EndTurn, "completed", Value::Null),
        (FinishReason::StopSequence, "completed", Value::Null),
        (FinishReason::MaxTokens, "incomplete", json!({"reason": "max_output_tokens"})),
        (FinishReason::ContextWindow, "incomplete", json!({"reason": "max_output_tokens"})),
        (FinishReason::ContentFilter, "incomplete", json!({"reason": "content_filter"})),
        (FinishReason::Refusal, "incomplete", json!({"reason": "content_filter"})),
        (FinishReason::Other("odd".into()), "completed", Value::Null),
    ] {
        let whole = whole(&plain(), answer(said(), reason.clone()));
        assert_eq!((&whole["status"], &whole["incomplete_details"]), (&json!(status), &detail), "{reason:?}");
        let last = streamed(&plain(), answer(said(), reason)).pop().expect("an event");
        assert_eq!(last["type"], format!("response.{status}"));
    }
}

#[test]
fn u4_usage_counts_cached_tokens_into_the_input() {
    let usage = &whole(&plain(), everything())["usage"];
    assert_eq!(
        *usage,
        json!({
            "input_tokens": 10, "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
            "output_tokens": 11, "output_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 21,
        })
    );
}

#[test]
fn s14_a_broken_stream_ends_with_response_failed() {
    let mut encoder = encoder(&plain());
    let mut out = Vec::new();
    encoder.event(Event::Start { id: None }, &mut out);
    encoder.event(Event::BlockStart { index: 0, block: BlockHead::Text }, &mut out);
    encoder.event(Event::Delta { index: 0, delta: Delta::text("half") }, &mut out);
    encoder.failure(&Failure::new(ErrorKind::RateLimited, "slow down"), &mut out);
    encoder.end(&mut out);
    let last = data(&out).pop().expect("an event");
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["status"], "failed");
    assert_eq!(last["response"]["error"], json!({"code": "rate_limit_exceeded", "message": "slow down"}));
}

#[test]
fn log_probabilities_come_where_they_were_asked_for() {
    let top = TopLogprob { token: b"a".to_vec(), logprob: -0.5 };
    let token = TokenLogprob { token: b"a".to_vec(), logprob: -0.5, top: vec![top] };
    let delta = Delta::Text { text: "a".into(), logprobs: vec![token] };
    let events = answer(vec![block(0, BlockHead::Text, vec![delta])], FinishReason::EndTurn);
    let asked =
        json!({"model": "m", "input": "hi", "include": ["message.output_text.logprobs"], "top_logprobs": 1});
    for (body, count) in [(asked, 1), (plain(), 0)] {
        let whole = whole(&body, events.clone());
        assert_eq!(whole["output"][0]["content"][0]["logprobs"].as_array().expect("a list").len(), count);
        let delta = streamed(&body, events.clone()).remove(4);
        assert_eq!(delta["type"], "response.output_text.delta");
        assert_eq!(delta["logprobs"].as_array().expect("a list").len(), count);
    }
}

/// What the answer repeats of the request, and what stands there if it said nothing.
#[test]
fn the_request_is_echoed() {
    let asked = json!({
        "model": "m", "input": "hi", "instructions": "Be brief.", "temperature": 0.5, "metadata": {"a": "b"},
        "tools": [{"type": "web_search"}], "tool_choice": "none", "reasoning": {"effort": "low"}, "text": {"verbosity": "low"},
        "store": false, "user": "ann", "max_output_tokens": 9, "parallel_tool_calls": false, "service_tier": null,
    });
    let answer = whole(&asked, answer(vec![], FinishReason::EndTurn));
    for name in [
        "instructions",
        "temperature",
        "metadata",
        "tools",
        "tool_choice",
        "store",
        "user",
        "max_output_tokens",
    ] {
        assert_eq!(answer[name], asked[name], "{name}");
    }
    assert_eq!(answer["reasoning"], json!({"effort": "low", "summary": null}));
    assert_eq!(answer["text"], json!({"format": {"type": "text"}, "verbosity": "low"}));
    assert_eq!(answer["service_tier"], "default");
    assert_eq!(answer["id"], "resp_0b5e77");
}

/// A copy that is kept is made by another encoder, later.
#[test]
fn a_response_is_as_old_as_its_request() {
    let mut call = call(&plain());
    call.received =
        std::time::Instant::now().checked_sub(std::time::Duration::from_secs(100)).expect("a late boot");
    let created = |call: &message::Call| -> u64 {
        let whole = crate::reply_encoder(call).whole(gather(answer(vec![], FinishReason::EndTurn)));
        serde_json::from_slice::<Value>(&whole.body).expect("JSON")["created_at"].as_u64().expect("seconds")
    };
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    assert!((99..=101).contains(&(now - created(&call))));
}
