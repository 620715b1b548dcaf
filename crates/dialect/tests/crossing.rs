//! Clients of one dialect, servers of another: what each side reads and writes when a
//! call crosses over. The dialects' own tests stand beside their code; only here two of
//! them meet, through the crate's public face.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use dialect::framing::sse;
use dialect::{Outbound, Outgoing};
use http::HeaderMap;
use message::{Call, Completion, Dialect, Event, Failure, NewCall, Operation, Principal, RequestId};
use serde_json::{Value, json};

fn call(dialect: Dialect, body: &Value) -> Call {
    let body = Bytes::from(body.to_string());
    let inbound = dialect::inbound(dialect, Operation::Chat, Some("m"), false, &body).expect("a good body");
    Call::new(NewCall {
        id: RequestId::new("0b5e-77"),
        operation: Operation::Chat,
        dialect,
        head: inbound.head,
        body,
        headers: Arc::new(HeaderMap::new()),
        principal: Principal { key_id: "key_1".into(), name: "test".into() },
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    })
}

fn target(dialect: Dialect) -> Box<dyn Outbound> {
    dialect::outbound(dialect, &dialect::Quirks::default()).expect("servers speak it")
}

/// What the server is sent, and what it is not.
fn sent(outgoing: &Outgoing) -> Value {
    let body: Value = serde_json::from_slice(&outgoing.body.concat()).expect("JSON");
    let dropped: Vec<String> =
        outgoing.dropped.iter().map(|dropped| format!("{}: {}", dropped.path, dropped.why)).collect();
    json!({"path": outgoing.path, "body": body, "dropped": dropped})
}

/// A server's reply, through to the client's bytes.
fn relay(call: &Call, server: Dialect, reply: &str) -> Result<String, Failure> {
    let mut decoder = target(server).decoder(call, false);
    let mut encoder = dialect::reply_encoder(call);
    let (mut events, mut out) = (Vec::new(), Vec::new());
    decoder.feed(Bytes::copy_from_slice(reply.as_bytes()), &mut events)?;
    decoder.finish(&mut events)?;
    if call.head.stream {
        events.into_iter().for_each(|event| encoder.event(event, &mut out));
        encoder.end(&mut out);
        return Ok(String::from_utf8(out).expect("UTF-8"));
    }
    let mut completion = Completion::default();
    events.into_iter().for_each(|event: Event| completion.push(event));
    Ok(String::from_utf8(encoder.whole(completion).body.to_vec()).expect("UTF-8"))
}

/// Name and data of every event of a stream.
fn events(stream: &str) -> Vec<(String, Value)> {
    let mut parser = sse::Parser::new();
    parser.push(Bytes::copy_from_slice(stream.as_bytes()));
    let mut all = Vec::new();
    while let Some(event) = parser.next().expect("small") {
        let name = event.event.map(|name| String::from_utf8_lossy(&name).into_owned()).unwrap_or_default();
        all.push((name, serde_json::from_slice(&event.data).unwrap_or(Value::Null)));
    }
    assert!(parser.is_between_events(), "the stream ends inside an event");
    all
}

/// The shape of what Claude Code 2.1 sends (observed 2026-11-22), shortened.
fn claude_code() -> Value {
    json!({
        "model": "claude-sonnet", "stream": true, "max_tokens": 32_000,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1"},
            {"type": "text", "text": "You are a coding agent.", "cache_control": {"type": "ephemeral", "scope": "global", "ttl": "1h"}},
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "fix it", "cache_control": {"type": "ephemeral"}}]},
            {"role": "system", "content": "The date is 2026-11-22."},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Let me look.", "signature": "c2VhbA=="},
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a.png"}},
                {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
                ]},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "boom", "is_error": true},
                {"type": "text", "text": "go on"},
            ]},
        ],
        "tools": [
            {"name": "Read", "description": "reads", "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}}},
            {"name": "Bash", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        ],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": "{\"session_id\":\"s\"}"},
    })
}

#[test]
fn e4_m2_m5_t2_claude_code_reaches_an_openai_server() {
    let call = call(Dialect::Anthropic, &claude_code());
    let outgoing = target(Dialect::OpenAiChat).encode(&call, "qwen3").expect("translated");
    assert!(!outgoing.home);
    insta::assert_json_snapshot!("claude_code_to_openai", sent(&outgoing));
}

fn openai_agent() -> Value {
    json!({
        "model": "gpt", "stream": true, "stream_options": {"include_usage": true}, "max_completion_tokens": 500,
        "messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "what is this?", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO", "detail": "low"}},
            ]},
            {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{\"x\":1}"}},
                {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": ""}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "a cat"},
            {"role": "tool", "tool_call_id": "call_2", "content": ""},
            {"role": "user", "content": "and now?"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "$defs": {}}, "strict": true}},
            {"type": "custom", "custom": {"name": "patch"}},
        ],
        "tool_choice": "required", "parallel_tool_calls": false, "stop": "END", "temperature": 0.5,
        "reasoning_effort": "low", "user": "u-1", "logit_bias": {"1": 5}, "store": false,
        "response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": {"type": "object"}, "strict": true}},
    })
}

#[test]
fn t1_t2_t7_t10_m6_m8_an_openai_agent_reaches_an_anthropic_server() {
    let call = call(Dialect::OpenAiChat, &openai_agent());
    let outgoing = target(Dialect::Anthropic).encode(&call, "claude").expect("translated");
    insta::assert_json_snapshot!("openai_agent_to_anthropic", sent(&outgoing));
}

#[test]
fn several_answers_are_refused_by_a_foreign_server() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "n": 2});
    let failure =
        target(Dialect::Anthropic).encode(&call(Dialect::OpenAiChat, &body), "claude").expect_err("n");
    assert_eq!((failure.kind, failure.param.as_deref()), (message::ErrorKind::Unsupported, Some("n")));
}

const OPENAI_STREAMS: [(&str, &str); 8] = [
    ("openai_text", include_str!("../src/openai/chat/fixtures/streams/openai_text.sse")),
    ("openai_parallel_tools", include_str!("../src/openai/chat/fixtures/streams/openai_parallel_tools.sse")),
    (
        "gemini_tools_all_index_0",
        include_str!("../src/openai/chat/fixtures/streams/gemini_tools_all_index_0.sse"),
    ),
    ("tools_without_index", include_str!("../src/openai/chat/fixtures/streams/tools_without_index.sse")),
    ("vllm_reasoning", include_str!("../src/openai/chat/fixtures/streams/vllm_reasoning_stop_string.sse")),
    ("usage_beside", include_str!("../src/openai/chat/fixtures/streams/usage_beside_an_empty_delta.sse")),
    ("refusal", include_str!("../src/openai/chat/fixtures/streams/refusal.sse")),
    ("length_without_done", include_str!("../src/openai/chat/fixtures/streams/length_without_done.sse")),
];

/// Blocks one after the other, each delta in the open block and of its kind.
#[test]
fn s1_s2_s3_s5_s6_an_anthropic_client_reads_a_well_formed_stream() {
    let call = call(Dialect::Anthropic, &claude_code());
    for (name, reply) in OPENAI_STREAMS {
        let stream = relay(&call, Dialect::OpenAiChat, reply).expect(name);
        let mut open: Option<(u64, String)> = None;
        let mut next = 0;
        let events: Vec<_> = events(&stream).into_iter().filter(|(event, _)| event != "ping").collect();
        assert_eq!(events.first().map(|(event, _)| event.as_str()), Some("message_start"), "{name}");
        assert!(events[0].1["message"]["usage"]["input_tokens"].is_u64(), "{name}");
        assert_eq!(events.last().map(|(event, _)| event.as_str()), Some("message_stop"), "{name}");
        for (event, data) in &events[1..events.len() - 1] {
            match event.as_str() {
                "content_block_start" => {
                    assert_eq!((&open, data["index"].as_u64()), (&None, Some(next)), "{name}");
                    next += 1;
                    let kind = data["content_block"]["type"].as_str().expect("a type");
                    open = Some((next - 1, kind.to_owned()));
                }
                "content_block_delta" => {
                    let (index, kind) = open.as_ref().expect("an open block");
                    assert_eq!(data["index"].as_u64(), Some(*index), "{name}");
                    let fits = match data["delta"]["type"].as_str().expect("a type") {
                        "text_delta" => kind == "text",
                        "thinking_delta" | "signature_delta" => kind == "thinking",
                        "input_json_delta" => kind == "tool_use",
                        other => panic!("{name}: {other}"),
                    };
                    assert!(fits, "{name}: {data} in {kind}");
                }
                "content_block_stop" => {
                    assert_eq!(open.take().map(|(index, _)| index), data["index"].as_u64(), "{name}");
                }
                "message_delta" => assert_eq!(open, None, "{name}"),
                other => panic!("{name}: unexpected {other}"),
            }
        }
    }
}

#[test]
fn u6_an_openai_client_reads_an_anthropic_answer_alike_streamed_and_whole() {
    let usage = json!({"input_tokens": 8, "cache_read_input_tokens": 12, "cache_creation_input_tokens": 4, "output_tokens": 1});
    let content = json!([
        {"type": "thinking", "thinking": "Hm.", "signature": "c2VhbA=="},
        {"type": "text", "text": "Looking."},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"x": 1}},
    ]);
    let message = |content: &Value, output_tokens: u64, stop: Value| {
        let mut usage = usage.clone();
        usage["output_tokens"] = output_tokens.into();
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": content, "stop_reason": stop, "stop_sequence": null, "usage": usage})
    };
    let mut stream = vec![json!({"type": "message_start", "message": message(&json!([]), 1, Value::Null)})];
    let blocks = [
        (
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            vec![
                json!({"type": "thinking_delta", "thinking": "Hm."}),
                json!({"type": "signature_delta", "signature": "c2VhbA=="}),
            ],
        ),
        (json!({"type": "text", "text": ""}), vec![json!({"type": "text_delta", "text": "Looking."})]),
        (
            json!({"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}),
            vec![
                json!({"type": "input_json_delta", "partial_json": "{\"x\":"}),
                json!({"type": "input_json_delta", "partial_json": "1}"}),
            ],
        ),
    ];
    for (index, (block, deltas)) in blocks.into_iter().enumerate() {
        stream.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        stream.extend(
            deltas
                .into_iter()
                .map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        );
        stream.push(json!({"type": "content_block_stop", "index": index}));
    }
    stream.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 9}}));
    stream.push(json!({"type": "message_stop"}));
    let stream: String = stream
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default()))
        .collect();

    let streamed =
        relay(&call(Dialect::OpenAiChat, &openai_agent()), Dialect::Anthropic, &stream).expect("valid");
    let mut body = openai_agent();
    body["stream"] = false.into();
    let whole = message(&content, 9, "tool_use".into()).to_string();
    let whole = relay(&call(Dialect::OpenAiChat, &body), Dialect::Anthropic, &whole).expect("valid");
    let whole: Value = serde_json::from_str(&whole).expect("JSON");

    let mut said = json!({"content": "", "reasoning_content": "", "arguments": ""});
    let (mut finish, mut counted) = (Value::Null, Value::Null);
    for (_, chunk) in events(&streamed) {
        let delta = &chunk["choices"][0]["delta"];
        let call = &delta["tool_calls"][0];
        for (name, more) in [
            ("content", &delta["content"]),
            ("reasoning_content", &delta["reasoning_content"]),
            ("arguments", &call["function"]["arguments"]),
        ] {
            said[name] =
                format!("{}{}", said[name].as_str().unwrap_or_default(), more.as_str().unwrap_or_default())
                    .into();
        }
        if chunk["choices"][0]["finish_reason"].is_string() {
            finish = chunk["choices"][0]["finish_reason"].clone();
        }
        if chunk["usage"].is_object() {
            counted = chunk["usage"].clone();
        }
    }
    let message = &whole["choices"][0]["message"];
    assert_eq!(said["content"], message["content"]);
    assert_eq!(said["reasoning_content"], message["reasoning_content"]);
    assert_eq!(said["arguments"], message["tool_calls"][0]["function"]["arguments"]);
    assert_eq!(
        (finish, whole["choices"][0]["finish_reason"].as_str()),
        (json!("tool_calls"), Some("tool_calls"))
    );
    assert_eq!(counted, whole["usage"]);
    assert_eq!((&counted["prompt_tokens"], &counted["completion_tokens"]), (&json!(24), &json!(9)));
}

#[test]
fn r8_who_asks_for_reasoning_gets_its_text() {
    let chat =
        json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "low"});
    let responses = |reasoning: Value| json!({"model": "m", "input": "hi", "reasoning": reasoning});
    let gemini = |shown: bool| {
        let thinking = json!({"includeThoughts": shown, "thinkingBudget": 2000});
        json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {"thinkingConfig": thinking}})
    };
    let converse = |thinking: Value| json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}], "additionalModelRequestFields": {"thinking": thinking}});
    let shown = "summarized";
    for (client, body, expected) in [
        (Dialect::OpenAiChat, chat, shown),
        (Dialect::OpenAiResponses, responses(json!({"effort": "low"})), shown),
        (Dialect::OpenAiResponses, responses(json!({"effort": "low", "summary": "auto"})), shown),
        (Dialect::Gemini, gemini(true), shown),
        (Dialect::Gemini, gemini(false), "omitted"),
        (Dialect::BedrockConverse, converse(json!({"type": "adaptive"})), shown),
        (Dialect::BedrockConverse, converse(json!({"type": "adaptive", "display": "omitted"})), "omitted"),
        (Dialect::BedrockConverse, converse(json!({"type": "enabled", "budget_tokens": 2000})), shown),
    ] {
        let servers = [
            (Dialect::Anthropic, "/thinking"),
            (Dialect::BedrockConverse, "/additionalModelRequestFields/thinking"),
        ];
        for (server, place) in servers.into_iter().filter(|(server, _)| *server != client) {
            let outgoing = target(server)
                .encode(&call(client, &body), "anthropic.claude-opus-4-6-v1")
                .expect("translated");
            let sent = sent(&outgoing);
            let thinking = sent["body"].pointer(place).expect("thinking is asked for");
            assert_eq!(thinking["display"], expected, "{client} to {server}: {body}");
            assert_eq!(sent["dropped"], json!([]), "{client} to {server}: {body}");
        }
    }
}

#[test]
fn r8_who_wants_no_text_is_shown_none_and_at_home_every_word_stays() {
    let body = |display: Value| {
        let thinking = json!({"type": "enabled", "budget_tokens": 2048, "display": display});
        json!({"model": "m", "max_tokens": 4096, "messages": [{"role": "user", "content": "hi"}], "thinking": thinking})
    };
    let sent = |server: Dialect, display: &str| {
        let call = call(Dialect::Anthropic, &body(display.into()));
        sent(&target(server).encode(&call, "m").expect("translated"))
    };
    for display in ["summarized", "omitted", "updates"] {
        assert_eq!(sent(Dialect::Anthropic, display)["body"]["thinking"]["display"], display);
    }
    for (display, shown) in [("summarized", true), ("omitted", false)] {
        let gemini = sent(Dialect::Gemini, display);
        assert_eq!(gemini["body"]["generationConfig"]["thinkingConfig"]["includeThoughts"], shown);
        let responses = sent(Dialect::OpenAiResponses, display);
        assert_eq!(responses["body"]["reasoning"].get("summary").is_some(), shown, "{responses}");
        // Its servers show what they think, or do not, whatever is said.
        let chat = sent(Dialect::OpenAiChat, display);
        let told = chat["dropped"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|told| told.to_string().contains("display"));
        assert_eq!(told, !shown, "{chat}");
    }
}

#[test]
fn m4_a_files_name_travels() {
    let file =
        json!({"filename": "report 7.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQKJSVFT0YK"});
    let text = json!({"type": "text", "text": "read it"});
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": [text, {"type": "file", "file": file}]}]});
    for (server, place, name) in [
        (Dialect::Anthropic, "/messages/0/content/1/title", "report 7.pdf"),
        // Converse takes no dots in a name.
        (Dialect::BedrockConverse, "/messages/0/content/1/document/name", "report 7 pdf"),
        (Dialect::OpenAiResponses, "/input/0/content/1/filename", "report 7.pdf"),
        // The Gemini API takes no name beside the bytes: it is said before them.
        (Dialect::Gemini, "/contents/0/parts/1/text", "report 7.pdf"),
    ] {
        let outgoing = target(server)
            .encode(&call(Dialect::OpenAiChat, &chat), "anthropic.claude-opus-5")
            .expect("translated");
        let sent = sent(&outgoing);
        assert_eq!(sent["body"].pointer(place), Some(&json!(name)), "{server}: {sent}");
    }
}
