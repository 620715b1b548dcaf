//! The dialect as a whole: requests in, replies out.

use std::sync::Arc;
use std::time::Instant;

use ::message::{
    BlockHead, BlockKind, Call, Chat, Completion, Delta, Dialect, EmbedInput, ErrorKind, Event, Failure,
    FinishReason, NewCall, Operation, OutputFormat, Principal, RequestId, Usage,
};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::reply::encoder;

fn try_call(operation: Operation, body: &Value) -> Result<Call, Failure> {
    let body = Bytes::from(body.to_string());
    let inbound = crate::inbound(Dialect::Ollama, operation, None, false, &body)?;
    Ok(Call::new(NewCall {
        id: RequestId::new("0b5e-77"),
        operation,
        dialect: Dialect::Ollama,
        head: inbound.head,
        body,
        headers: Arc::new(HeaderMap::new()),
        principal: Principal { key_id: "key_1".into(), name: "test".into() },
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    }))
}

fn call(operation: Operation, body: &Value) -> Call {
    try_call(operation, body).unwrap_or_else(|failure| panic!("{failure}"))
}

fn chat(body: &Value) -> Result<Chat, Failure> {
    call(Operation::Chat, body).chat().cloned()
}

fn said() -> Value {
    json!({"model": "m:latest", "messages": [{"role": "user", "content": "hi"}]})
}

fn generated() -> Value {
    json!({"model": "m", "prompt": "Once", "stream": false})
}

#[test]
fn a_stream_is_what_silence_means() {
    let head = call(Operation::Chat, &said()).head;
    assert!(head.stream);
    assert_eq!(head.model, "m");
    assert!(!call(Operation::Chat, &generated()).head.stream);
}

#[test]
fn s8_m2_a_conversation_with_tools_and_pictures() {
    let body = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "look", "images": ["iVBORw0KGgoAAA"]},
            {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [
                {"function": {"name": "f", "arguments": {"a": 1}}},
                {"function": {"name": "g", "arguments": {}}},
                {"id": "own", "function": {"name": "f", "arguments": "{\"a\":2}"}},
            ]},
            {"role": "tool", "tool_name": "g", "content": "1"},
            {"role": "tool", "tool_call_id": "own", "content": "2"},
            {"role": "tool", "content": "3"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
        "format": {"type": "object"}, "think": "high", "keep_alive": "5m", "logprobs": true, "top_logprobs": 2,
        "options": {"num_predict": 5, "temperature": 0.5, "top_k": 3, "stop": "x", "seed": 1, "num_ctx": 4096,
            "repeat_penalty": 1.1, "min_p": 0.1},
    });
    let chat = chat(&body).expect("good");
    insta::assert_debug_snapshot!("conversation", chat);
    let results: Vec<&str> = chat.messages[3..]
        .iter()
        .map(|message| match &message.content[0].kind {
            BlockKind::ToolResult { id, .. } => id.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(results, ["call_1", "own", "call_0"]);
    assert_eq!(::message::said(&chat.extra).collect::<Vec<_>>(), ["options"]);
}

#[test]
fn a_prompt_is_a_turn_or_text_to_go_on_from() {
    let turn = chat(&json!({"model": "m", "prompt": "hi", "system": "s", "format": "json"})).expect("good");
    assert_eq!((turn.raw, turn.system.len(), turn.output), (false, 1, OutputFormat::JsonObject));
    let raw = chat(&json!({"model": "m", "prompt": "Once", "raw": true})).expect("good");
    assert!(raw.raw && raw.messages[0].plain);
    let suffix = chat(&json!({"model": "m", "prompt": "Once", "suffix": "end"})).expect("good");
    assert_eq!(suffix.leave_home().err().and_then(|failure| failure.param).as_deref(), Some("suffix"));
}

#[test]
fn what_cannot_be_is_refused() {
    for (body, param) in [
        (json!({"model": "m", "prompt": "x", "context": [1]}), "context"),
        (json!({"model": "m"}), "prompt"),
        (json!({"model": "m", "messages": []}), "messages"),
        (json!({"model": "m", "messages": [{"role": "robot"}]}), "messages.0.role"),
        (json!({"model": "m", "messages": [{"role": "tool", "content": "x"}]}), "messages.0"),
        (json!({"model": "m", "prompt": "x", "think": "deeply"}), "think"),
        (json!({"model": "m", "prompt": "x", "format": 1}), "format"),
        (json!({"model": "m", "prompt": "x", "options": {"stop": 1}}), "options.stop"),
    ] {
        let failure = chat(&body).expect_err(param);
        assert_eq!(
            (failure.kind, failure.param.as_deref()),
            (ErrorKind::InvalidRequest, Some(param)),
            "{body}"
        );
    }
    for body in [json!({}), json!({"model": ""}), json!({"model": "m", "options": 1})] {
        assert_eq!(try_call(Operation::Chat, &body).expect_err("bad").kind, ErrorKind::InvalidRequest);
    }
}

fn answer() -> Vec<Event> {
    let piece = |index, text: &str| Event::Delta { index, delta: Delta::ToolInput(text.to_owned()) };
    vec![
        Event::Start { id: None },
        Event::BlockStart { index: 0, block: BlockHead::Thinking },
        Event::Delta { index: 0, delta: Delta::Thinking("hm".to_owned()) },
        Event::BlockStop { index: 0 },
        Event::BlockStart { index: 1, block: BlockHead::Text },
        Event::Delta { index: 1, delta: Delta::text("Lo\nok") },
        Event::BlockStart { index: 2, block: BlockHead::ToolUse { id: "a".into(), name: "f".into() } },
        Event::BlockStart { index: 3, block: BlockHead::ToolUse { id: "b".into(), name: "g".into() } },
        piece(2, "{\"x\":"),
        piece(3, ""),
        piece(2, "1}"),
        Event::BlockStop { index: 1 },
        Event::BlockStop { index: 2 },
        Event::BlockStop { index: 3 },
        Event::Usage(Usage { input_tokens: 3, output_tokens: 4, ..Usage::default() }),
        Event::Finish { reason: FinishReason::MaxTokens, stop_sequence: None },
    ]
}

fn lines(body: &Value) -> Vec<Value> {
    let mut encoder = encoder(&call(Operation::Chat, body));
    let mut out = Vec::new();
    answer().into_iter().for_each(|event| encoder.event(event, &mut out));
    encoder.end(&mut out);
    assert_eq!(out.last(), Some(&b'\n'));
    out.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a line is JSON"))
        .collect()
}

#[test]
fn s1_a_stream_is_lines_with_whole_calls() {
    let lines = lines(&said());
    let of = |place: usize| &lines[place]["message"];
    assert_eq!(of(0), &json!({"content": "", "thinking": "hm", "role": "assistant"}));
    assert_eq!(of(1)["content"], "Lo\nok");
    assert_eq!(
        of(2)["tool_calls"][0],
        json!({"id": "a", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}})
    );
    assert_eq!(of(3)["tool_calls"][0]["function"], json!({"index": 1, "name": "g", "arguments": {}}));
    let last = lines.last().expect("some");
    assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("length")));
    assert_eq!((&last["prompt_eval_count"], &last["eval_count"]), (&json!(3), &json!(4)));
    assert!(last["total_duration"].as_u64() >= last["eval_duration"].as_u64());
    assert!(lines[..lines.len() - 1].iter().all(|line| line["done"] == false));
}

#[test]
fn a_prompts_answer_is_a_response() {
    let body = json!({"model": "m", "prompt": "Once"});
    let lines = lines(&body);
    assert_eq!((&lines[1]["response"], lines[1].get("message")), (&json!("Lo\nok"), None));
    let mut completion = Completion::default();
    answer().into_iter().for_each(|event| completion.push(event));
    let whole = encoder(&call(Operation::Chat, &generated())).whole(completion.clone());
    let answer: Value = serde_json::from_slice(&whole.body).expect("JSON");
    assert_eq!(
        (&answer["response"], &answer["thinking"], &answer["done"]),
        (&json!("Lo\nok"), &json!("hm"), &json!(true))
    );
    let whole = encoder(&call(Operation::Chat, &said())).whole(completion);
    let answer: Value = serde_json::from_slice(&whole.body).expect("JSON");
    assert_eq!(answer["message"]["tool_calls"].as_array().map(Vec::len), Some(2));
}

#[test]
fn s14_a_broken_stream_ends_in_an_error_line() {
    let mut out = Vec::new();
    encoder(&call(Operation::Chat, &said())).failure(&Failure::new(ErrorKind::Upstream, "gone"), &mut out);
    assert_eq!(out, b"{\"error\":\"gone\"}\n");
    let whole = super::error::whole(&Failure::new(ErrorKind::NotFound, "none"));
    assert_eq!((whole.status.as_u16(), &whole.body[..]), (404, &br#"{"error":"none"}"#[..]));
}

#[test]
fn vectors_are_read_and_told() {
    for (body, inputs, shape) in [
        (json!({"model": "m", "input": ["a", "b"], "dimensions": 2}), 2, "embeddings"),
        (json!({"model": "m", "input": "a"}), 1, "embeddings"),
        (json!({"model": "m", "prompt": "a"}), 1, "embedding"),
    ] {
        let call = call(Operation::Embed, &body);
        let embed = call.embed().expect("good");
        assert_eq!((embed.inputs.len(), &embed.inputs[0]), (inputs, &EmbedInput::Text("a".to_owned())));
        let completion = Completion { embeddings: vec![vec![0.5]; inputs], ..Completion::default() };
        let whole = encoder(&call).whole(completion);
        let answer: Value = serde_json::from_slice(&whole.body).expect("JSON");
        let first = if shape == "embedding" { &answer[shape] } else { &answer[shape][0] };
        assert_eq!(first, &json!([0.5]), "{body}");
    }
    for body in
        [json!({"model": "m"}), json!({"model": "m", "input": []}), json!({"model": "m", "input": [1]})]
    {
        assert!(call(Operation::Embed, &body).embed().is_err(), "{body}");
    }
}
