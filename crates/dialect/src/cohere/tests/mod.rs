//! The dialect as a whole: requests in and out, replies in and out.

use std::sync::Arc;
use std::time::Instant;

use ::message::{
    Block, BlockKind, Call, Chat, Completion, Dialect, Embed, EmbedInput, EmbedPurpose, ErrorKind, Event,
    Failure, FinishReason, Frame, Message, NewCall, Operation, Principal, Ranked, RequestId, Role, Seen,
    ToolChoice, Truncate, Usage,
};
use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::decode::decoder;
use super::encode::encode;
use super::outbound::Cohere;
use super::reply::encoder;
use crate::{Outbound, ReplyDecoder};

fn try_call(operation: Operation, body: &Value) -> Result<Call, Failure> {
    let body = Bytes::from(body.to_string());
    let inbound = crate::inbound(Dialect::Cohere, operation, None, false, &body)?;
    Ok(Call::new(NewCall {
        id: RequestId::new("0b5e-77"),
        operation,
        dialect: Dialect::Cohere,
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

fn asking(stream: bool) -> Call {
    call(
        Operation::Chat,
        &json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}),
    )
}

fn requests() -> Vec<(&'static str, Value)> {
    vec![
        ("plain", json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true})),
        (
            "everything",
            json!({
                "model": "m", "stream": false,
                "messages": [
                    {"role": "system", "content": "be brief"},
                    {"role": "user", "content": [
                        {"type": "text", "text": "look"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO", "detail": "low"}},
                        {"type": "of_the_future", "x": 1},
                    ]},
                    {"role": "assistant", "tool_plan": "I will look", "tool_calls": [
                        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                        {"id": "b", "function": {"name": "g"}},
                    ], "citations": [{"start": 0}]},
                    {"role": "tool", "tool_call_id": "a", "content": [
                        {"type": "document", "document": {"data": {"y": 2}, "id": "d"}}, {"type": "text", "text": "z"},
                    ]},
                    {"role": "tool", "tool_call_id": "b", "content": "plain"},
                    {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}]},
                    {"role": "user", "content": ""},
                ],
                "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "x": 1}}],
                "strict_tools": true, "tool_choice": "REQUIRED", "documents": ["doc"], "citation_options": {"mode": "OFF"},
                "response_format": {"type": "json_object", "schema": {"type": "object"}}, "safety_mode": "OFF",
                "max_tokens": 9, "stop_sequences": ["x"], "temperature": 0.5, "seed": 7, "k": 3.0, "p": 0.9,
                "frequency_penalty": 0.0, "presence_penalty": 0.1, "logprobs": true,
                "thinking": {"type": "enabled", "token_budget": 100, "x": 1}, "priority": 1, "nothing": null,
            }),
        ),
        (
            "off",
            json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "k": 0, "logprobs": false, "tools": [], "stop_sequences": [], "response_format": {"type": "text"}, "thinking": {"type": "disabled"}}),
        ),
    ]
}

fn again(body: &Value) -> Value {
    let call = call(Operation::Chat, body);
    let chat = call.chat().unwrap_or_else(|failure| panic!("{failure}"));
    let (body, dropped) = encode(chat, &call.head, "m").expect("home takes everything");
    assert_eq!(dropped, [], "home drops nothing");
    body.into()
}

#[test]
fn cohere_is_lossless() {
    for (name, body) in requests() {
        assert_eq!(again(&body), body, "{name}");
    }
}

#[test]
fn fixtures_are_understood() {
    for (name, body) in requests() {
        let call = call(Operation::Chat, &body);
        insta::assert_debug_snapshot!(format!("request_{name}"), call.chat().expect("good"));
    }
}

proptest! {
    #[test]
    fn any_text_is_lossless(
        text in ".{0,20}", plan in prop::option::of(".{0,9}"), k in 0_u64..5, more in "[a-z]{3,9}_own", flag in any::<bool>(),
    ) {
        let mut body = json!({
            "model": "m", "messages": [
                {"role": "user", "content": text, "x": flag},
                {"role": "assistant", "content": [{"type": "text", "text": text}]},
                {"role": "user", "content": [{"type": "text", "text": text, "more": text}]},
            ],
            "k": k, "logprobs": flag,
        });
        body[&more] = text.as_str().into();
        if let Some(plan) = plan {
            body["messages"][1]["tool_plan"] = plan.into();
        }
        prop_assert_eq!(again(&body), body);
    }
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[a-z]{1,4}", inner), 0..3)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

/// An object with fields nobody knows.
fn with_more(object: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let more = prop::collection::vec(("x_[a-z]{1,4}", anything()), 0..2);
    (object, more).prop_map(|(mut object, more)| {
        object.as_object_mut().expect("an object").extend(more);
        object
    })
}

fn content() -> impl Strategy<Value = Value> {
    let part = prop_oneof![
        ".{0,8}".prop_map(|text| json!({"type": "text", "text": text})),
        "https://[a-z]{1,8}".prop_map(|url| json!({"type": "image_url", "image_url": {"url": url}})),
        "[A-Za-z0-9+/]{0,8}".prop_map(|data| {
            json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}"), "detail": "low"}})
        }),
        anything().prop_map(|value| json!({"type": "novel_part", "value": value})),
    ];
    prop_oneof![
        ".{0,9}".prop_map(Value::from),
        prop::collection::vec(with_more(part), 1..3).prop_map(Value::from),
    ]
}

fn message() -> impl Strategy<Value = Value> {
    let spoken = (prop::sample::select(vec!["system", "user", "assistant"]), content())
        .prop_map(|(role, content)| json!({"role": role, "content": content}));
    let call = with_more(("[a-z]{1,5}", ".{0,8}").prop_map(
        |(id, text)| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": text}}),
    ));
    let calling =
        (prop::collection::vec(call, 1..3), prop::option::of(".{0,8}")).prop_map(|(calls, plan)| {
            let mut message = json!({"role": "assistant", "tool_calls": calls});
            if let Some(plan) = plan {
                message["tool_plan"] = plan.into();
            }
            message
        });
    let document = (".{0,8}", anything())
        .prop_map(|(id, data)| json!({"type": "document", "document": {"id": id, "data": data}}));
    let result = prop_oneof![
        ".{0,8}".prop_map(Value::from),
        prop::collection::vec(document, 1..3).prop_map(Value::from),
    ];
    let result = result.prop_map(|content| json!({"role": "tool", "tool_call_id": "a", "content": content}));
    with_more(prop_oneof![spoken, calling, result])
}

proptest! {
    #[test]
    fn generated_requests_are_lossless(
        messages in prop::collection::vec(message(), 1..5),
        settings in with_more(prop::sample::select(vec![
            json!({}),
            json!({"k": 3, "p": 0.5, "thinking": {"type": "enabled", "token_budget": 9}, "tool_choice": "NONE"}),
            json!({"k": 0.0, "stop_sequences": ["x"], "response_format": {"type": "json_object", "json_schema": {}}}),
            json!({"max_tokens": 9, "seed": 1, "logprobs": false, "safety_mode": "NONE", "thinking": {"type": "disabled"}}),
        ])),
    ) {
        let mut body = json!({"model": "m", "messages": messages});
        body.as_object_mut().expect("an object").extend(settings.as_object().expect("an object").clone());
        prop_assert_eq!(again(&body), body);
    }
}

#[test]
fn forwarding_touches_the_model_only() {
    for (operation, path, body) in [
        (Operation::Chat, "/v2/chat", requests().remove(1).1),
        (
            Operation::Embed,
            "/v2/embed",
            json!({"model": "m", "texts": ["a"], "input_type": "search_query", "embedding_types": ["int8"]}),
        ),
        (Operation::Rerank, "/v2/rerank", json!({"model": "m", "query": "q", "documents": ["a"]})),
    ] {
        let call = call(operation, &body);
        let outgoing = Cohere.encode(&call, "command-a").expect("home");
        assert!(outgoing.home && outgoing.dropped.is_empty());
        assert_eq!(outgoing.path, path);
        let expected = body.to_string().replacen(r#""model":"m""#, r#""model":"command-a""#, 1);
        assert_eq!(String::from_utf8(outgoing.body.concat()).expect("JSON"), expected);
    }
}

fn foreign(messages: Vec<(Role, Vec<Block>)>) -> Chat {
    let mut chat = Chat::new(Dialect::Anthropic);
    let message = |(role, content)| Message { role, content, plain: false, extra: Default::default() };
    chat.messages = messages.into_iter().map(message).collect();
    chat
}

#[test]
fn m1_t1_a_conversation_from_elsewhere() {
    let tool_use = BlockKind::ToolUse {
        id: "a".to_owned(),
        name: "f".to_owned(),
        input: String::new(),
        origin: Default::default(),
    };
    let result = BlockKind::ToolResult {
        id: "a".to_owned(),
        content: vec![Block::text("done")],
        plain: false,
        is_error: Some(true),
    };
    let mut chat = foreign(vec![
        (Role::User, vec![Block::text("hi"), Block::text(" ")]),
        (Role::Assistant, vec![Block::new(tool_use)]),
        (Role::User, vec![Block::new(result), Block::text("go on")]),
        (Role::Developer, vec![Block::text("be quick")]),
    ]);
    chat.system = vec![Block::text("be brief")];
    let head = asking(true).head;
    let (body, dropped) = encode(&chat, &head, "command-a").expect("said");
    let expected = json!([
        {"role": "system", "content": [{"type": "text", "text": "be brief"}]},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "done"}]},
        {"role": "user", "content": [{"type": "text", "text": "go on"}]},
        {"role": "system", "content": [{"type": "text", "text": "be quick"}]},
    ]);
    assert_eq!((&body["messages"], &body["stream"]), (&expected, &json!(true)));
    assert_eq!(dropped[0].path, "messages.2.content.0.is_error");
    chat.tool_choice = Some(ToolChoice::Named("f".to_owned()));
    assert_eq!(encode(&chat, &head, "m").expect_err("not offered").param.as_deref(), Some("tool_choice"));
}

#[test]
fn the_tool_that_must_be_called_is_offered_alone() {
    let mut chat = Chat::new(Dialect::OpenAiChat);
    chat.messages = vec![Message::text(Role::User, "hi")];
    let tool = |name: &str| message::Tool {
        name: name.to_owned(),
        description: None,
        kind: message::ToolKind::Function { schema: Some(json!({"type": "object"})) },
        strict: None,
        cache: None,
        extra: message::Extra::new(),
    };
    chat.tools = ["f", "g", "h"].map(tool).to_vec();
    chat.tool_choice = Some(ToolChoice::Named("g".to_owned()));
    let (body, dropped) = encode(&chat, &asking(false).head, "command-a").expect("said");
    assert_eq!(body["tool_choice"], "REQUIRED");
    let names: Vec<_> =
        body["tools"].as_array().expect("tools").iter().map(|tool| &tool["function"]["name"]).collect();
    assert_eq!(names, ["g"]);
    let paths: Vec<_> = dropped.iter().map(|dropped| dropped.path.as_str()).collect();
    assert_eq!(paths, ["tools.0", "tools.2"]);
}

/// What Cohere streams: a plan, two calls; and thinking before text.
const TOOLS: &str = concat!(
    "event: message-start\ndata: {\"id\":\"i\",\"type\":\"message-start\",\"delta\":{\"message\":{\"role\":\"assistant\",\"content\":[]}}}\n\n",
    "event: tool-plan-delta\ndata: {\"type\":\"tool-plan-delta\",\"delta\":{\"message\":{\"tool_plan\":\"I \"}}}\n\n",
    "event: tool-plan-delta\ndata: {\"type\":\"tool-plan-delta\",\"delta\":{\"message\":{\"tool_plan\":\"look\"}}}\n\n",
    "event: tool-call-start\ndata: {\"type\":\"tool-call-start\",\"index\":0,\"delta\":{\"message\":{\"tool_calls\":{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}}}}\n\n",
    "event: tool-call-delta\ndata: {\"type\":\"tool-call-delta\",\"index\":0,\"delta\":{\"message\":{\"tool_calls\":{\"function\":{\"arguments\":\"{\\\"x\\\":1}\"}}}}}\n\n",
    "event: tool-call-end\ndata: {\"type\":\"tool-call-end\",\"index\":0}\n\n",
    "event: tool-call-start\ndata: {\"type\":\"tool-call-start\",\"index\":1,\"delta\":{\"message\":{\"tool_calls\":{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}}}}\n\n",
    "event: tool-call-end\ndata: {\"type\":\"tool-call-end\",\"index\":1}\n\n",
    "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"TOOL_CALL\",\"usage\":{\"billed_units\":{\"input_tokens\":1.0},\"tokens\":{\"input_tokens\":10.0,\"output_tokens\":4.0},\"cached_tokens\":6.0}}}\n\n",
    "data: [DONE]\n\n",
);

const TEXT: &str = concat!(
    "event: message-start\ndata: {\"id\":\"i\",\"type\":\"message-start\"}\n\n",
    "event: content-start\ndata: {\"type\":\"content-start\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"type\":\"thinking\",\"thinking\":\"\"}}}}\n\n",
    "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"thinking\":\"hm\"}}}}\n\n",
    "event: content-end\ndata: {\"type\":\"content-end\",\"index\":0}\n\n",
    "event: content-start\ndata: {\"type\":\"content-start\",\"index\":1,\"delta\":{\"message\":{\"content\":{\"type\":\"text\",\"text\":\"\"}}}}\n\n",
    "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":1,\"delta\":{\"message\":{\"content\":{\"text\":\"Grüß \"}}}}\n\n",
    "event: citation-start\ndata: {\"type\":\"citation-start\",\"index\":0,\"delta\":{}}\n\n",
    "event: content-delta\ndata: {\"type\":\"content-delta\",\"index\":1,\"delta\":{\"message\":{\"content\":{\"text\":\"Gott\"}}}}\n\n",
    "event: content-end\ndata: {\"type\":\"content-end\",\"index\":1}\n\n",
    "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"MAX_TOKENS\",\"usage\":{\"tokens\":{\"input_tokens\":10,\"output_tokens\":4}}}}\n\n",
);

fn read(mut decoder: Box<dyn ReplyDecoder>, pieces: &[&[u8]]) -> (Vec<Event>, Result<(), Failure>) {
    let mut events = Vec::new();
    for piece in pieces {
        if let Err(failure) = decoder.feed(Bytes::copy_from_slice(piece), &mut events) {
            return (events, Err(failure));
        }
    }
    let result = decoder.finish(&mut events);
    (events, result)
}

fn gather(events: Vec<Event>) -> Completion {
    let mut completion = Completion::default();
    events.into_iter().for_each(|event| completion.push(event));
    completion
}

fn forwarded(events: &[Event]) -> (Vec<u8>, Seen) {
    let mut bytes = Vec::new();
    let mut seen = Seen::default();
    for event in events {
        let Event::Frame(Frame { bytes: piece, seen: more }) = event else {
            panic!("not a frame: {event:?}")
        };
        bytes.extend_from_slice(piece);
        if let Some(more) = more {
            seen.usage = more.usage.or(seen.usage);
            seen.finish = more.finish.clone().or(seen.finish);
        }
    }
    (bytes, seen)
}

#[test]
fn s1_u4_streams_give_their_blocks() {
    let (events, result) = read(decoder(&asking(true), false), &[TOOLS.as_bytes()]);
    assert_eq!(result, Ok(()));
    let completion = gather(events);
    let usage = Usage { input_tokens: 4, cache_read_tokens: 6, output_tokens: 4, ..Usage::default() };
    assert_eq!((completion.usage, completion.finish.clone()), (usage, Some(FinishReason::ToolUse)));
    insta::assert_debug_snapshot!("tools", completion.content);
    let (events, _) = read(decoder(&asking(true), false), &[TEXT.as_bytes()]);
    let completion = gather(events);
    assert_eq!(completion.content[1].as_text(), Some("Grüß Gott"));
    assert!(matches!(&completion.content[0].kind, BlockKind::Thinking { text, .. } if text == "hm"));
    assert_eq!(completion.finish, Some(FinishReason::MaxTokens));
}

#[test]
fn s14_cut_at_every_byte_a_reply_is_the_same_or_broken() {
    for text in [TOOLS, TEXT] {
        for home in [false, true] {
            let (expected, _) = read(decoder(&asking(true), home), &[text.as_bytes()]);
            for at in 0..=text.len() {
                let (first, second) = text.as_bytes().split_at(at);
                let (events, result) = read(decoder(&asking(true), home), &[first, second]);
                assert_eq!(result, Ok(()), "cut at {at}");
                if home {
                    assert_eq!(forwarded(&events), forwarded(&expected));
                    assert_eq!(forwarded(&events).0, text.as_bytes());
                } else {
                    assert_eq!(events, expected);
                }
                let is_cut = at < text.find("finish_reason").expect("it ends");
                if is_cut {
                    let (events, result) = read(decoder(&asking(true), home), &[first]);
                    assert_eq!(result.expect_err("cut").kind, ErrorKind::Upstream);
                    assert!(
                        !home || forwarded(&events).0.is_empty() || forwarded(&events).0.ends_with(b"\n\n")
                    );
                }
            }
        }
    }
}

#[test]
fn an_error_that_ends_a_stream_is_a_failure() {
    let text = "event: message-end\ndata: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"ERROR\",\"error\":\"full\"}}\n\n";
    for home in [false, true] {
        let (_, result) = read(decoder(&asking(true), home), &[text.as_bytes()]);
        assert_eq!(result.expect_err("an error").message, "full");
    }
    for garbage in [
        "data: {\n\n",
        "data: {\"type\":\"content-delta\",\"delta\":{\"message\":{\"content\":{\"text\":\"x\"}}}}\n\n",
        "<html>",
    ] {
        assert!(read(decoder(&asking(true), false), &[garbage.as_bytes()]).1.is_err(), "{garbage}");
        assert!(read(decoder(&asking(false), false), &[garbage.as_bytes()]).1.is_err(), "{garbage}");
    }
}

/// A call without arguments has empty ones once it is whole.
fn filled(mut completion: Completion) -> Completion {
    for block in &mut completion.content {
        if let BlockKind::ToolUse { input, .. } = &mut block.kind
            && input.is_empty()
        {
            "{}".clone_into(input);
        }
    }
    completion
}

/// What one of this dialect's servers said comes out meaning the same.
#[test]
fn replies_come_back() {
    for text in [TOOLS, TEXT] {
        let (events, _) = read(decoder(&asking(true), false), &[text.as_bytes()]);
        let mut writer = encoder(&asking(true));
        let mut out = Vec::new();
        events.iter().for_each(|event| writer.event(event.clone(), &mut out));
        writer.end(&mut out);
        let (again, result) = read(decoder(&asking(true), false), &[&out]);
        assert_eq!(result, Ok(()));
        assert_eq!(gather(again), gather(events.clone()));
        if text == TOOLS {
            insta::assert_snapshot!("stream_to_a_client", String::from_utf8_lossy(&out));
        }
        let whole = encoder(&asking(false)).whole(gather(events.clone()));
        let (again, result) = read(decoder(&asking(false), false), &[&whole.body]);
        assert_eq!(result, Ok(()));
        assert_eq!(gather(again), filled(gather(events)));
    }
    let mut out = Vec::new();
    encoder(&asking(true)).failure(&Failure::new(ErrorKind::Upstream, "gone"), &mut out);
    assert_eq!(read(decoder(&asking(true), false), &[&out]).1.expect_err("an error").message, "gone");
}

#[test]
fn embeddings_travel_both_ways() {
    let body = json!({"model": "m", "texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float"],
        "output_dimension": 2, "truncate": "END"});
    let asked = call(Operation::Embed, &body);
    let embed = asked.embed().expect("good").clone();
    assert_eq!(
        (embed.purpose, embed.dimensions, embed.truncate),
        (Some(EmbedPurpose::Query), Some(2), Some(Truncate::End))
    );
    assert_eq!(embed.leave_home(), Ok(()));
    let elsewhere = Embed { home: Dialect::OpenAiChat, extra: Default::default(), ..embed };
    assert_eq!(super::embed::encode(&elsewhere, "m").expect("said").0, body);
    let reply = json!({"id": "i", "embeddings": {"float": [[0.5, 1.0], [0.25, 0.0]]}, "texts": ["a", "b"],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4}}, "response_type": "embeddings_by_type"});
    let (events, result) = read(decoder(&asked, false), &[reply.to_string().as_bytes()]);
    assert_eq!(result, Ok(()));
    let whole = encoder(&asked).whole(gather(events));
    assert_eq!(serde_json::from_slice::<Value>(&whole.body).expect("JSON"), reply);
    let (events, _) = read(decoder(&asked, true), &[reply.to_string().as_bytes()]);
    assert_eq!(forwarded(&events).1.usage.map(|usage| usage.input_tokens), Some(4));

    let types = json!({"model": "m", "texts": ["a"], "embedding_types": ["float", "int8"]});
    let failure =
        call(Operation::Embed, &types).embed().expect("good").leave_home().expect_err("floats only");
    assert_eq!(failure.param.as_deref(), Some("embedding_types"));
    let picture = json!({"model": "m", "inputs": [{"content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}]}]});
    let asked = call(Operation::Embed, &picture);
    assert!(matches!(asked.embed().expect("good").inputs[0], EmbedInput::Image(_)));
    for bad in [
        json!({"model": "m"}),
        json!({"model": "m", "texts": [1]}),
        json!({"model": "m", "texts": ["a"], "truncate": "x"}),
    ] {
        assert!(call(Operation::Embed, &bad).embed().is_err(), "{bad}");
    }
}

#[test]
fn rankings_travel_both_ways() {
    let body = json!({"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 1});
    let asked = call(Operation::Rerank, &body);
    let mut rerank = asked.rerank().expect("good").clone();
    assert_eq!((rerank.documents.len(), rerank.top_n), (2, Some(1)));
    rerank.home = Dialect::BedrockInvoke;
    assert_eq!(super::rerank::encode(&rerank, "m").expect("said").0, body);
    let reply = json!({"id": "i", "results": [{"index": 1, "relevance_score": 0.5}],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}});
    let (events, result) = read(decoder(&asked, false), &[reply.to_string().as_bytes()]);
    assert_eq!(result, Ok(()));
    let completion = gather(events);
    assert_eq!(completion.ranking, [Ranked { index: 1, score: 0.5 }]);
    let whole = encoder(&asked).whole(completion);
    assert_eq!(serde_json::from_slice::<Value>(&whole.body).expect("JSON"), reply);
    for bad in [
        json!({"model": "m", "query": "q"}),
        json!({"model": "m", "query": "q", "documents": []}),
        json!({"model": "m", "documents": ["a"]}),
    ] {
        assert!(call(Operation::Rerank, &bad).rerank().is_err(), "{bad}");
    }
}

#[test]
fn documents_come_back_to_who_asks_for_them() {
    let documents = json!([{"text": "a"}, "b"]);
    let ask = |wanted: bool| {
        let body = json!({"model": "m", "query": "q", "documents": documents, "return_documents": wanted});
        call(Operation::Rerank, &body)
    };
    let completion = || Completion {
        ranking: vec![Ranked { index: 1, score: 0.5 }, Ranked { index: 0, score: 0.25 }],
        usage: Usage { input_tokens: 7, ..Usage::default() },
        ..Completion::default()
    };
    let results = |wanted: bool| {
        let whole = encoder(&ask(wanted)).whole(completion());
        let body: Value = serde_json::from_slice(&whole.body).expect("JSON");
        assert_eq!(
            (&body["usage"]["total_tokens"], &body["meta"]["tokens"]["input_tokens"]),
            (&json!(7), &json!(7))
        );
        body["results"].clone()
    };
    assert_eq!(
        results(true),
        json!([{"index": 1, "relevance_score": 0.5, "document": {"text": "b"}},
            {"index": 0, "relevance_score": 0.25, "document": {"text": "a"}}])
    );
    assert_eq!(results(false)[0], json!({"index": 1, "relevance_score": 0.5}));

    // A server of version 2 does not give them back: its answer is read, and they are added.
    for (wanted, home) in [(true, false), (false, true)] {
        assert_eq!(Cohere.encode(&ask(wanted), "m").expect("sent").home, home);
    }
    let sent = Cohere.encode(&ask(true), "m").expect("sent").body.concat();
    let sent: Value = serde_json::from_slice(&sent).expect("JSON");
    assert_eq!(sent, json!({"model": "m", "query": "q", "documents": documents}));
}
