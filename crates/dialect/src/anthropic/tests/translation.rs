//! Calls of other dialects → requests of this one; and calls of this one, forwarded.

use message::{
    Block, BlockKind, CacheMarker, Chat, Citation, CitationSource, Dialect, Dropped, Effort, ErrorKind,
    Media, MediaSource, Message, Operation, OutputFormat, Reasoning, Role, Sampling, Tool, ToolChoice,
    ToolKind, ToolOrigin,
};
use serde_json::{Number, Value, json};

use super::super::adapt::{MAX_TOKENS_DEFAULT, adapt};
use super::super::encode::Request;
use super::super::outbound::Anthropic;
use super::*;
use crate::{Outbound, Outgoing};

fn chat(messages: Vec<Message>) -> Chat {
    Chat { messages, ..Chat::new(Dialect::OpenAiChat) }
}

fn said(role: Role, content: Vec<Block>) -> Message {
    Message { content, plain: false, ..Message::text(role, "") }
}

fn hello() -> Vec<Message> {
    vec![Message::text(Role::User, "Hello?")]
}

fn translated(chat: &Chat) -> (Value, Vec<String>) {
    translated_for("claude", chat)
}

fn translated_for(model: &str, chat: &Chat) -> (Value, Vec<String>) {
    let (adapted, dropped) = adapt(chat, Operation::Chat, model).expect("can be said");
    let request = Request { operation: Operation::Chat, model, stream: false, chat: &adapted };
    let body = serde_json::from_slice(&request.body().expect("encodes")).expect("JSON");
    (body, dropped.into_iter().map(|dropped| dropped.path).collect())
}

fn refused(chat: &Chat) -> Failure {
    let failure = adapt(chat, Operation::Chat, "claude").expect_err("cannot be said");
    assert_eq!(failure.kind, ErrorKind::Unsupported);
    failure
}

fn tool_use(id: &str, input: &str) -> Block {
    let (id, name, input) = (id.to_owned(), "f".to_owned(), input.to_owned());
    Block::new(BlockKind::ToolUse { id, name, input, origin: ToolOrigin::Client })
}

fn tool_result(id: &str, content: Vec<Block>) -> Block {
    Block::new(BlockKind::ToolResult { id: id.into(), content, plain: false, is_error: None })
}

fn function(name: &str, schema: Option<Value>) -> Tool {
    Tool {
        name: name.into(),
        description: None,
        kind: ToolKind::Function { schema },
        strict: None,
        cache: None,
        extra: message::Extra::new(),
    }
}

#[test]
fn a_plain_call_gets_the_limit_it_lacks() {
    let (body, dropped) = translated(&chat(hello()));
    let expected = json!({"model": "claude", "max_tokens": MAX_TOKENS_DEFAULT,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello?"}]}]});
    assert_eq!((body, dropped), (expected, vec![]));
}

#[test]
fn m5_m6_instructions_are_hoisted_and_a_lost_place_is_told() {
    let (body, dropped) = translated(&chat(vec![
        Message::text(Role::System, "first"),
        Message::text(Role::Developer, "second"),
        Message::text(Role::User, "Hello?"),
        Message::text(Role::System, "late"),
        Message::text(Role::User, "Still there?"),
    ]));
    let texts: Vec<_> =
        body["system"].as_array().expect("system").iter().map(|block| &block["text"]).collect();
    assert_eq!(texts, ["first", "second", "late"]);
    assert_eq!(dropped, ["messages.3.role"]);
    // The two user turns are one now.
    assert_eq!(body["messages"].as_array().map(Vec::len), Some(1));
    assert_eq!(body["messages"][0]["content"].as_array().map(Vec::len), Some(2));
}

#[test]
fn t1_tool_results_are_blocks_of_one_user_turn() {
    let (body, dropped) = translated(&chat(vec![
        Message::text(Role::User, "Weather?"),
        said(Role::Assistant, vec![tool_use("call_1", r#"{"a":1}"#), tool_use("call_2", "")]),
        said(Role::Tool, vec![tool_result("call_1", vec![Block::text("4 degrees")])]),
        said(Role::Tool, vec![tool_result("call_2", vec![])]),
        Message::text(Role::User, "Go on."),
    ]));
    assert_eq!(dropped, Vec::<String>::new());
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "call_2", "name": "f", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "4 degrees"}]},
                {"type": "tool_result", "tool_use_id": "call_2"},
                {"type": "text", "text": "Go on."}]},
        ])
    );
}

#[test]
fn tool_ids_become_allowed_ones_and_stay_paired() {
    let odd = "call:1/ü";
    let (body, _) = translated(&chat(vec![
        Message::text(Role::User, "x"),
        said(Role::Assistant, vec![tool_use(odd, "{}"), tool_use("", "{")]),
        said(Role::Tool, vec![tool_result(odd, vec![])]),
    ]));
    let id = body["messages"][1]["content"][0]["id"].as_str().expect("an id");
    assert!(id.starts_with("toolu_") && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    assert_eq!(body["messages"][2]["content"][0]["tool_use_id"], id);
    assert_ne!(body["messages"][1]["content"][1]["id"], id);
    assert_eq!(body["messages"][1]["content"][1]["input"], json!({"INVALID_JSON": "{"}));
}

#[test]
fn m1_blank_text_is_left_out() {
    let (body, dropped) = translated(&chat(vec![
        Message::text(Role::System, " "),
        said(Role::User, vec![Block::text("\n"), Block::text("x")]),
        Message::text(Role::Assistant, ""),
        said(Role::Assistant, vec![tool_use("t", "{}")]),
        said(Role::Tool, vec![tool_result("t", vec![Block::text("")])]),
        Message::text(Role::Assistant, "The answer is "),
    ]));
    assert_eq!(dropped, Vec::<String>::new());
    assert!(body.get("system").is_none());
    assert_eq!(body["messages"][0]["content"], json!([{"type": "text", "text": "x"}]));
    assert_eq!(body["messages"][1]["content"].as_array().map(Vec::len), Some(1));
    assert_eq!(body["messages"][2]["content"], json!([{"type": "tool_result", "tool_use_id": "t"}]));
    // An answer to go on from may not end in white space.
    assert_eq!(body["messages"][3]["content"][0]["text"], "The answer is");
    let nothing = refused(&chat(vec![Message::text(Role::System, "only"), Message::text(Role::User, " ")]));
    assert_eq!(nothing.param.as_deref(), Some("messages"));
}

#[test]
fn r1_r2_r3_signed_thinking_stays_where_it_stood() {
    let thinking = |text: &str, signature: Option<&str>| {
        let (text, signature) = (text.to_owned(), signature.map(str::to_owned));
        Block::new(BlockKind::Thinking { text, signature })
    };
    let (body, dropped) = translated(&chat(vec![
        Message::text(Role::User, "x"),
        said(
            Role::Assistant,
            vec![
                thinking("a", Some("s1")),
                thinking("", Some("s2")),
                Block::new(BlockKind::RedactedThinking("d".into())),
                thinking("unsigned", None),
                Block::text("t"),
                tool_use("t", "{}"),
            ],
        ),
        said(Role::Tool, vec![tool_result("t", vec![])]),
    ]));
    assert_eq!(dropped, ["messages.1.content.3"]);
    assert_eq!(
        body["messages"][1]["content"],
        json!([
            {"type": "thinking", "thinking": "a", "signature": "s1"},
            {"type": "thinking", "thinking": "", "signature": "s2"},
            {"type": "redacted_thinking", "data": "d"},
            {"type": "text", "text": "t"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        ])
    );
}

fn media(media_type: Option<&str>, source: MediaSource) -> Media {
    Media { media_type: media_type.map(str::to_owned), name: Some("n".into()), source }
}

#[test]
fn files_are_translated_or_refused() {
    let base64 = |text: &str| MediaSource::Base64(text.into());
    let one = |kind: BlockKind| chat(vec![said(Role::User, vec![Block::new(kind)])]);
    for (kind, source) in [
        (
            BlockKind::Image(media(Some("image/gif"), base64("R0l"))),
            json!({"type": "base64", "media_type": "image/gif", "data": "R0l"}),
        ),
        (
            BlockKind::Image(media(None, base64("/9j/4A"))),
            json!({"type": "base64", "media_type": "image/jpeg", "data": "/9j/4A"}),
        ),
        (BlockKind::Image(media(None, MediaSource::Url("u".into()))), json!({"type": "url", "url": "u"})),
        (
            BlockKind::Document(media(Some("application/pdf"), base64("JVBE")).into()),
            json!({"type": "base64", "media_type": "application/pdf", "data": "JVBE"}),
        ),
        (
            BlockKind::Document(media(Some("text/csv"), base64("YSxi")).into()),
            json!({"type": "text", "media_type": "text/plain", "data": "a,b"}),
        ),
        (
            BlockKind::Document(media(None, MediaSource::Text("t".into())).into()),
            json!({"type": "text", "media_type": "text/plain", "data": "t"}),
        ),
    ] {
        let (body, dropped) = translated(&one(kind));
        assert_eq!((&body["messages"][0]["content"][0]["source"], dropped.len()), (&source, 0));
    }
    for kind in [
        BlockKind::Image(media(None, base64("AAAA"))),
        BlockKind::Image(media(Some("image/png"), MediaSource::Reference(json!({"s3": "x"})))),
        BlockKind::Document(media(Some("application/msword"), base64("AAAA")).into()),
        BlockKind::Document(media(Some("text/plain"), base64("/w==")).into()),
        BlockKind::Audio(media(None, base64("AAAA"))),
        BlockKind::Video(media(None, base64("AAAA"))),
    ] {
        assert_eq!(refused(&one(kind)).param.as_deref(), Some("messages.0.content.0"));
    }
}

#[test]
fn what_only_others_understand_is_listed() {
    let opaque = Block::new(BlockKind::Opaque { dialect: Dialect::OpenAiChat, value: json!({"x": 1}) });
    let mut named = said(Role::User, vec![Block::text("x"), opaque]);
    named.extra = json!({"name": "ann", "audio": null}).as_object().cloned().expect("an object");
    named.content[0].extra = json!({"detail": "low"}).as_object().cloned().expect("an object");
    let mut call = chat(vec![named]);
    call.tools = vec![Tool { kind: ToolKind::Opaque(json!({"type": "custom"})), ..function("p", None) }];
    call.tool_choice = Some(ToolChoice::Any);
    call.extra = json!({"store": true, "stream_options": {"include_usage": true}, "logit_bias": {"1": 2}})
        .as_object()
        .cloned()
        .expect("an object");
    call.sampling = Sampling {
        min_p: Number::from_f64(0.1),
        presence_penalty: Some(Number::from(0)),
        frequency_penalty: Number::from_f64(0.5),
        repetition_penalty: Number::from_f64(1.0),
        seed: Some(7),
        temperature: Number::from_f64(1.5),
        stop: vec![" ".into(), "END".into()],
        ..Sampling::default()
    };
    call.output = OutputFormat::JsonObject;
    let (body, mut dropped) = translated(&call);
    dropped.sort();
    assert_eq!(
        dropped,
        [
            "frequency_penalty",
            "logit_bias",
            "messages.0.content.0.detail",
            "messages.0.content.1",
            "messages.0.name",
            "min_p",
            "response_format",
            "seed",
            "stop",
            "store",
            "temperature",
            "tool_choice",
            "tools.0",
        ]
    );
    assert_eq!((&body["temperature"], &body["stop_sequences"]), (&json!(1), &json!(["END"])));
    assert!(body.get("tool_choice").is_none() && body.get("tools").is_none());
}

#[test]
fn what_would_change_the_answer_is_refused() {
    let mut call = chat(hello());
    call.essential = vec![Dropped { path: "n".into(), why: "several answers" }];
    assert_eq!(refused(&call).param.as_deref(), Some("n"));
    let mut call = chat(hello());
    call.sampling.logprobs = Some(2);
    assert_eq!(refused(&call).param.as_deref(), Some("logprobs"));
    let mut call = chat(hello());
    call.tool_choice = Some(ToolChoice::Named("gone".into()));
    assert_eq!(refused(&call).param.as_deref(), Some("tool_choice"));
}

#[test]
fn tools_and_their_choice() {
    let mut call = chat(hello());
    call.tools = vec![
        Tool {
            strict: Some(true),
            cache: Some(CacheMarker { ttl: Some("1h".into()) }),
            ..function("a", None)
        },
        Tool {
            strict: Some(false),
            ..function("b", Some(json!({"properties": {"x": {"$ref": "#/$defs/X"}}})))
        },
    ];
    call.parallel_tool_calls = Some(false);
    let (body, dropped) = translated(&call);
    assert_eq!(dropped, Vec::<String>::new());
    assert_eq!(
        body["tools"],
        json!([
            {"name": "a", "input_schema": {"type": "object", "properties": {}}, "strict": true,
             "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"name": "b", "input_schema": {"type": "object", "properties": {"x": {"$ref": "#/$defs/X"}}}},
        ])
    );
    assert_eq!(body["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
    call.tool_choice = Some(ToolChoice::Named("b".into()));
    assert_eq!(
        translated(&call).0["tool_choice"],
        json!({"type": "tool", "name": "b", "disable_parallel_tool_use": true})
    );
    call.tool_choice = Some(ToolChoice::None);
    assert_eq!(translated(&call).0["tool_choice"], json!({"type": "none"}));
}

#[test]
fn reasoning_in_this_dialects_words() {
    let said = |reasoning: Reasoning, choice: Option<ToolChoice>| {
        let mut call = chat(hello());
        call.tools = vec![function("a", None)];
        call.tool_choice = choice;
        call.reasoning = Some(reasoning);
        let (body, _) = translated(&call);
        (body["thinking"].clone(), body["output_config"].clone(), body["max_tokens"].clone())
    };
    let effort = |effort| Reasoning { effort: Some(effort), ..Reasoning::default() };
    let adaptive = json!({"type": "adaptive", "display": "summarized"});
    let high = json!({"effort": "high"});
    let limit = json!(MAX_TOKENS_DEFAULT);
    assert_eq!(said(effort(Effort::High), None), (adaptive.clone(), high.clone(), limit.clone()));
    assert_eq!(said(effort(Effort::Minimal), None).1, json!({"effort": "low"}));
    // A forced tool call excludes thinking.
    assert_eq!(said(effort(Effort::High), Some(ToolChoice::Any)), (Value::Null, high, limit.clone()));
    assert_eq!(said(effort(Effort::None), None), (json!({"type": "disabled"}), Value::Null, limit.clone()));
    let on = Reasoning { enabled: Some(true), ..Reasoning::default() };
    assert_eq!(said(on.clone(), None), (adaptive, Value::Null, limit));
    let budget = Reasoning { budget_tokens: Some(2000), ..on };
    let thinking = json!({"type": "enabled", "budget_tokens": 2000, "display": "summarized"});
    assert_eq!(said(budget, None), (thinking, Value::Null, json!(MAX_TOKENS_DEFAULT + 2000)));
}

#[test]
fn r8_every_claude_is_asked_to_think_in_the_way_it_knows() {
    let said = |model: &str, reasoning: Reasoning, limit: Option<u64>| {
        let mut call = chat(hello());
        call.sampling.max_tokens = limit;
        call.reasoning = Some(reasoning);
        let (body, dropped) = translated_for(model, &call);
        json!([body["thinking"], body["output_config"], body["max_tokens"], dropped])
    };
    let high = Reasoning { effort: Some(Effort::High), ..Reasoning::default() };
    let budget = Reasoning { enabled: Some(true), budget_tokens: Some(2000), ..Reasoning::default() };
    let hidden = Reasoning { shown: Some(false), ..high.clone() };
    let told = |model: &str| {
        let free = Reasoning { shown: Some(true), ..Reasoning::default() };
        let asked = [high.clone(), budget.clone(), hidden.clone(), free];
        let all = asked.into_iter().map(|reasoning| said(model, reasoning, None).to_string());
        format!("{model}\n  {}", all.collect::<Vec<_>>().join("\n  "))
    };
    let models =
        ["claude-3-5-haiku-20241022", "claude-haiku-4-5", "claude-opus-4-6", "claude-opus-5-5", "kimi-k2"];
    insta::assert_snapshot!("thinking", models.map(told).join("\n"));
    // The limit counts the thinking.
    assert_eq!(said("claude-haiku-4-5", high.clone(), Some(4096))[0]["budget_tokens"], 2048);
    assert_eq!(said("claude-haiku-4-5", high, Some(1500)), json!([null, null, 1500, ["reasoning"]]));
}

#[test]
fn a_schema_for_the_answer() {
    let mut call = chat(hello());
    call.output = OutputFormat::JsonSchema {
        name: Some("label".into()),
        description: Some("d".into()),
        schema: json!({"type": "object"}),
        strict: Some(false),
    };
    let (body, dropped) = translated(&call);
    let format = json!({"type": "json_schema", "schema": {"type": "object"}});
    assert_eq!(body["output_config"], json!({"format": format}));
    assert_eq!(dropped, ["response_format.description", "response_format.strict"]);
}

fn send(call: &Call) -> (Outgoing, Vec<u8>) {
    let outgoing = Anthropic::default().encode(call, "claude-target").expect("encodes");
    let body = outgoing.body.concat();
    (outgoing, body)
}

fn header<'a>(outgoing: &'a Outgoing, name: &str) -> Vec<&'a str> {
    let of_name = outgoing.headers.iter().filter(|(known, _)| known == name);
    of_name.map(|(_, value)| value.to_str().expect("text")).collect()
}

#[test]
fn at_home_only_the_model_changes() {
    let body =
        r#"{ "max_tokens":1, "model" : "alias","messages":[{"role":"user","content":"hi"}],"x":1e400}"#;
    let mut call = call(Operation::Chat, body);
    let mut map = HeaderMap::new();
    map.append("anthropic-beta", "a,b".parse().expect("a value"));
    map.append("anthropic-beta", "c".parse().expect("a value"));
    map.append("anthropic-version", "2099-01-01".parse().expect("a value"));
    map.append("x-app", "cli".parse().expect("a value"));
    call.headers = Arc::new(map);
    let (outgoing, sent) = send(&call);
    assert_eq!(sent, body.replace("\"alias\"", "\"claude-target\"").into_bytes());
    assert_eq!(outgoing.body[0].as_ptr(), call.body.as_ptr(), "the prefix is not copied");
    assert_eq!((outgoing.path.as_str(), outgoing.home, outgoing.dropped.len()), ("/v1/messages", true, 0));
    assert_eq!(header(&outgoing, "anthropic-version"), ["2099-01-01"]);
    assert_eq!(header(&outgoing, "anthropic-beta").len(), 2);
    assert!(header(&outgoing, "x-app").is_empty());
}

#[test]
fn the_same_name_is_not_even_spliced() {
    let body = r#"{"max_tokens":1,"model":"claude-target","messages":[]}"#;
    let (outgoing, sent) = send(&call(Operation::CountTokens, body));
    assert_eq!((outgoing.body.len(), sent.as_slice()), (1, body.as_bytes()));
    assert_eq!(outgoing.path, "/v1/messages/count_tokens");
    assert_eq!(header(&outgoing, "anthropic-version"), ["2023-06-01"]);
}

#[test]
fn a_body_from_invoke_model_is_written_with_its_model_and_betas() {
    let body = r#"{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["a-1","b-2"],"max_tokens":5,
        "thinking":{"type":"adaptive"},"messages":[{"role":"system","content":"s"},{"role":"user","content":"hi"}],
        "context_management":{"edits":[]}}"#;
    let head = Head { model: "id".into(), model_span: None, stream: true, max_tokens: Some(5) };
    let (outgoing, sent) = send(&make(Dialect::BedrockInvoke, Operation::Chat, head.clone(), body));
    let expected = json!({"model": "claude-target", "max_tokens": 5, "stream": true, "thinking": {"type": "adaptive"},
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}],
        "context_management": {"edits": []}});
    assert_eq!(serde_json::from_slice::<Value>(&sent).expect("JSON"), expected);
    assert_eq!(header(&outgoing, "anthropic-beta"), ["a-1,b-2"]);
    assert!(!outgoing.home && outgoing.dropped.is_empty());
    for betas in [r#""a""#, "[1]", r#"["a\nb"]"#] {
        let body = format!(r#"{{"anthropic_beta":{betas},"messages":[{{"role":"user","content":"hi"}}]}}"#);
        let call = make(Dialect::BedrockInvoke, Operation::Chat, head.clone(), &body);
        let failure = Anthropic::default().encode(&call, "m").expect_err(betas);
        assert_eq!(failure.param.as_deref(), Some("anthropic_beta"));
    }
}

#[test]
fn a_count_is_asked_for_without_what_only_generating_needs() {
    let body = r#"{"max_tokens":5,"temperature":1,"metadata":{"user_id":"u"},"service_tier":"auto",
        "messages":[{"role":"user","content":"hi"}],"tools":[{"name":"t","input_schema":{"type":"object"}}]}"#;
    let head = Head { model: "id".into(), ..Head::default() };
    let (outgoing, sent) = send(&make(Dialect::BedrockInvoke, Operation::CountTokens, head, body));
    let expected = json!({"model": "claude-target", "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "t", "input_schema": {"type": "object"}}]});
    assert_eq!(serde_json::from_slice::<Value>(&sent).expect("JSON"), expected);
    assert_eq!(outgoing.path, "/v1/messages/count_tokens");
}

#[test]
fn what_another_vendor_found_is_not_cited_again() {
    let cited = |sources: Vec<CitationSource>| {
        let citations = sources.into_iter().map(Citation::of).collect();
        let answer = Block { citations, ..Block::text("It rains.") };
        translated(&chat(vec![hello().remove(0), said(Role::Assistant, vec![answer]), hello().remove(0)]))
    };
    let web = CitationSource::Web { url: "https://a.test".into() };
    let found = CitationSource::SearchResult { index: 0, source: "kb".into(), pieces: 0..1 };
    let (body, dropped) = cited(vec![web.clone(), found, CitationSource::Named("file-1".into())]);
    assert_eq!(dropped, ["messages.1.content.0.citations"]);
    let citations = &body["messages"][1]["content"][0]["citations"];
    assert_eq!(citations.as_array().map(Vec::len), Some(1));
    assert_eq!(citations[0]["type"], "search_result_location");

    let (body, dropped) = cited(vec![web]);
    assert_eq!(dropped, ["messages.1.content.0.citations"]);
    assert_eq!(body["messages"][1]["content"][0], json!({"type": "text", "text": "It rains."}));
}
