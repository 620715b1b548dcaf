//! Conversations of other dialects → requests of this one.

use ::message::{
    Block, BlockKind, CacheMarker, Chat, Dialect, Dropped, Effort, ErrorKind, Media, MediaSource, Message,
    OutputFormat, Reasoning, Role, Tool, ToolChoice, ToolKind, ToolOrigin,
};
use serde_json::{Value, json};

use super::{foreign, head};
use crate::openai::chat::encode::{Encoded, encode};
use crate::{Quirk, Quirks};

fn encoded(chat: &Chat) -> Encoded {
    encode(chat, &head(false), "gpt", Quirks::default()).unwrap_or_else(|failure| panic!("{failure}"))
}

fn body(chat: &Chat) -> Value {
    Value::Object(encoded(chat).body)
}

fn paths(dropped: &[Dropped]) -> Vec<&str> {
    dropped.iter().map(|dropped| dropped.path.as_str()).collect()
}

fn use_tool(id: &str, input: &str) -> Block {
    let (name, origin) = ("f".to_owned(), ToolOrigin::Client);
    Block::new(BlockKind::ToolUse { id: id.to_owned(), name, input: input.to_owned(), origin })
}

fn result(id: &str, content: Vec<Block>) -> Block {
    Block::new(BlockKind::ToolResult { id: id.to_owned(), content, plain: false, is_error: None })
}

fn image() -> Block {
    let source = MediaSource::Base64("iVBO".to_owned());
    Block::new(BlockKind::Image(Media { media_type: Some("image/png".to_owned()), name: None, source }))
}

fn tool(name: &str, schema: Value) -> Tool {
    Tool {
        name: name.to_owned(),
        description: Some("does".to_owned()),
        kind: ToolKind::Function { schema: Some(schema) },
        strict: Some(true),
        cache: None,
        extra: Default::default(),
    }
}

#[test]
fn the_system_prompt_is_the_first_message() {
    let mut chat = foreign(vec![(Role::User, vec![Block::text("hi")])]);
    chat.system = vec![Block::text("be brief"), Block::text("be kind")];
    assert_eq!(
        body(&chat)["messages"],
        json!([
            {"role": "system", "content": "be brief\n\nbe kind"}, {"role": "user", "content": "hi"},
        ])
    );
}

#[test]
fn t1_t2_results_follow_their_calls_as_tool_messages() {
    let chat = foreign(vec![
        (Role::User, vec![Block::text("weather?")]),
        (
            Role::Assistant,
            vec![Block::text("Looking."), use_tool("toolu_1", r#"{"x":1}"#), use_tool("toolu_2", "")],
        ),
        (
            Role::User,
            vec![
                result("toolu_1", vec![Block::text("sunny"), Block::text("warm")]),
                result("toolu_2", vec![]),
                Block::text("thanks"),
            ],
        ),
    ]);
    let encoded = encoded(&chat);
    assert_eq!(encoded.dropped, []);
    assert_eq!(
        encoded.body["messages"],
        json!([
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": "Looking.", "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                {"id": "toolu_2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "sunny\n\nwarm"},
            {"role": "tool", "tool_call_id": "toolu_2", "content": ""},
            {"role": "user", "content": "thanks"},
        ])
    );
}

#[test]
fn m2_an_image_in_a_result_moves_to_the_user_message_behind() {
    let chat = foreign(vec![
        (Role::Assistant, vec![use_tool("a", "{}"), use_tool("b", "{}")]),
        (
            Role::User,
            vec![result("a", vec![image()]), result("b", vec![Block::text("ok")]), Block::text("see?")],
        ),
    ]);
    assert_eq!(
        body(&chat)["messages"].as_array().expect("messages")[1..],
        [
            json!({"role": "tool", "tool_call_id": "a", "content": "(attached to the next message)"}),
            json!({"role": "tool", "tool_call_id": "b", "content": "ok"}),
            json!({"role": "user", "content": [
                {"type": "text", "text": "Attached to the result of tool call a:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
                {"type": "text", "text": "see?"},
            ]}),
        ]
    );
}

#[test]
fn json_in_a_result_becomes_text() {
    let value = json!({"json": {"t": 20}});
    let block = Block::new(BlockKind::Opaque { dialect: Dialect::BedrockConverse, value });
    let chat = foreign(vec![(Role::User, vec![result("a", vec![block])])]);
    assert_eq!(body(&chat)["messages"][0]["content"], r#"{"t":20}"#);
}

#[test]
fn long_tool_ids_are_shortened_alike_for_call_and_result() {
    let long = "tooluse_".repeat(12);
    let chat = foreign(vec![
        (Role::Assistant, vec![use_tool(&long, "{}")]),
        (Role::User, vec![result(&long, vec![Block::text("ok")])]),
    ]);
    let body = body(&chat);
    let id = body["messages"][0]["tool_calls"][0]["id"].as_str().expect("an id");
    assert!(id.len() <= 64, "{id}");
    assert_eq!(body["messages"][1]["tool_call_id"], id);
}

#[test]
fn r6_unsigned_thinking_goes_along_and_sealed_thinking_is_reported() {
    let thinking = |text: &str, signature: Option<&str>| {
        Block::new(BlockKind::Thinking { text: text.to_owned(), signature: signature.map(str::to_owned) })
    };
    let chat = foreign(vec![(
        Role::Assistant,
        vec![
            thinking("mine", Some("")),
            thinking("theirs", Some("seal")),
            Block::new(BlockKind::RedactedThinking("xx".to_owned())),
            Block::text("yes"),
        ],
    )]);
    let encoded = encoded(&chat);
    assert_eq!(
        encoded.body["messages"][0],
        json!({"role": "assistant", "reasoning_content": "mine", "content": "yes"})
    );
    assert_eq!(paths(&encoded.dropped), ["messages.0.content.1", "messages.0.content.2"]);
}

#[test]
fn what_has_no_place_is_reported() {
    let mut chat = foreign(vec![(
        Role::User,
        vec![Block {
            cache: Some(CacheMarker { ttl: None }),
            extra: [("citations".to_owned(), json!({"enabled": true}))].into_iter().collect(),
            ..Block::text("hi")
        }],
    )]);
    chat.system =
        vec![Block { cache: Some(CacheMarker { ttl: Some("1h".to_owned()) }), ..Block::text("be brief") }];
    chat.sampling.top_k = Some(40);
    chat.tools = vec![
        tool("f", json!({"type": "object"})),
        Tool {
            kind: ToolKind::Opaque(json!({"type": "web_search_20250305"})),
            ..tool("web_search", Value::Null)
        },
    ];
    chat.extra =
        [("context_management".to_owned(), json!({"edits": [1]})), ("container".to_owned(), Value::Null)]
            .into_iter()
            .collect();
    let encoded = encoded(&chat);
    assert_eq!(
        paths(&encoded.dropped),
        [
            "system.0.cache_control",
            "messages.0.content.0.cache_control",
            "messages.0.content.0.citations",
            "tools.1",
            "top_k",
            "context_management",
        ]
    );
    assert_eq!(
        encoded.body["messages"],
        json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}])
    );
    assert_eq!(encoded.body["tools"].as_array().map(Vec::len), Some(1));
}

#[test]
fn t7_tools_keep_schema_strictness_and_choice() {
    let schema = json!({"type": "object", "properties": {"u": {"const": "C"}}, "$defs": {}});
    let mut chat = foreign(vec![(Role::User, vec![Block::text("hi")])]);
    chat.tools = vec![tool("f", schema.clone())];
    chat.tool_choice = Some(ToolChoice::Named("f".to_owned()));
    chat.parallel_tool_calls = Some(false);
    let body = body(&chat);
    assert_eq!(
        body["tools"],
        json!([{"type": "function", "function": {"name": "f", "description": "does", "parameters": schema, "strict": true}}])
    );
    assert_eq!(body["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
    assert_eq!(body["parallel_tool_calls"], false);
    // Without tools the service refuses the settings.
    chat.tools.clear();
    chat.tool_choice = Some(ToolChoice::Auto);
    assert_eq!(super::foreign::body(&chat).get("tool_choice"), None);
    assert_eq!(super::foreign::body(&chat).get("parallel_tool_calls"), None);
}

#[test]
fn a_forced_tool_that_cannot_be_offered_is_refused() {
    let mut chat = foreign(vec![(Role::User, vec![Block::text("hi")])]);
    chat.tools = vec![Tool { kind: ToolKind::Opaque(json!({"type": "bash"})), ..tool("bash", Value::Null) }];
    chat.tool_choice = Some(ToolChoice::Named("bash".to_owned()));
    let failure = encode(&chat, &head(false), "gpt", Quirks::default()).expect_err("no such tool");
    assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::Unsupported, Some("tool_choice")));
}

#[test]
fn t10_a_schema_gets_the_name_the_dialect_requires() {
    let mut chat = foreign(vec![(Role::User, vec![Block::text("hi")])]);
    chat.output = OutputFormat::JsonSchema {
        name: None,
        description: None,
        schema: json!({"type": "object"}),
        strict: None,
    };
    assert_eq!(
        body(&chat)["response_format"],
        json!({"type": "json_schema", "json_schema": {"name": "response", "schema": {"type": "object"}}})
    );
}

#[test]
fn m8_the_token_limit_goes_where_the_server_looks() {
    let mut chat = foreign(vec![(Role::User, vec![Block::text("hi")])]);
    chat.sampling.max_tokens = Some(9);
    assert_eq!(body(&chat)["max_completion_tokens"], 9);
    let quirks = Quirks::from_iter([Quirk::MaxTokensField]);
    let older = encode(&chat, &head(false), "gpt", quirks).expect("valid").body;
    assert_eq!((older.get("max_tokens"), older.get("max_completion_tokens")), (Some(&json!(9)), None));
}

#[test]
fn streams_always_ask_for_usage() {
    let chat = foreign(vec![(Role::User, vec![Block::text("hi")])]);
    let streamed = encode(&chat, &head(true), "gpt", Quirks::default()).expect("valid").body;
    assert_eq!(
        (&streamed["stream"], &streamed["stream_options"]),
        (&json!(true), &json!({"include_usage": true}))
    );
    assert_eq!(body(&chat).get("stream"), None);
}

#[test]
fn settings_are_carried() {
    let mut chat = foreign(vec![(Role::User, vec![Block::text("hi")])]);
    chat.sampling.stop = vec!["a".to_owned()];
    chat.sampling.temperature = Some(1.into());
    chat.sampling.top_k = Some(40);
    chat.user = Some("u".to_owned());
    chat.reasoning = Some(Reasoning { effort: Some(Effort::High), ..Reasoning::default() });
    let quirks = Quirks::from_iter([Quirk::SamplingExtensions]);
    let encoded = encode(&chat, &head(false), "gpt", quirks).expect("valid");
    assert_eq!(encoded.dropped, []);
    assert_eq!(
        Value::Object(encoded.body),
        json!({
            "model": "gpt", "messages": [{"role": "user", "content": "hi"}], "temperature": 1, "top_k": 40, "stop": ["a"],
            "reasoning_effort": "high", "user": "u",
        })
    );
}

#[test]
fn a_thinking_budget_becomes_effort() {
    for (budget, effort) in [(1_024, "low"), (4_096, "medium"), (31_999, "high")] {
        let mut chat = foreign(vec![(Role::User, vec![Block::text("hi")])]);
        chat.reasoning = Some(Reasoning { budget_tokens: Some(budget), ..Reasoning::default() });
        let encoded = encoded(&chat);
        assert_eq!(encoded.body["reasoning_effort"], effort);
        assert_eq!(paths(&encoded.dropped), ["thinking.budget_tokens"]);
    }
}

#[test]
fn files_are_carried_or_refused() {
    let media = |source| Media {
        media_type: Some("application/pdf".to_owned()),
        name: Some("a.pdf".to_owned()),
        source,
    };
    let base64 = || MediaSource::Base64("JVBE".to_owned());
    let user = |kind| foreign(vec![(Role::User, vec![Block::new(kind)])]);
    assert_eq!(
        body(&user(BlockKind::Document(media(base64()).into())))["messages"][0]["content"][0],
        json!({
            "type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"},
        })
    );
    let text = user(BlockKind::Document(media(MediaSource::Text("once".to_owned())).into()));
    assert_eq!(body(&text)["messages"][0]["content"], "a.pdf:\n\nonce");
    let link = user(BlockKind::Image(media(MediaSource::Url("https://x.test/a".to_owned()))));
    assert_eq!(body(&link)["messages"][0]["content"][0]["image_url"]["url"], "https://x.test/a");
    for kind in [
        BlockKind::Image(media(MediaSource::Reference(json!({"s3Location": {"uri": "s3://a/b"}})))),
        BlockKind::Document(media(MediaSource::Url("https://x.test/a".to_owned())).into()),
        BlockKind::Video(media(base64())),
    ] {
        let failure =
            encode(&user(kind), &head(false), "gpt", Quirks::default()).expect_err("cannot be carried");
        assert_eq!(
            (failure.kind, failure.param.as_deref()),
            (ErrorKind::Unsupported, Some("messages.0.content.0"))
        );
    }
}

#[test]
fn m5_system_turns_stay_where_they_are() {
    let chat = foreign(vec![
        (Role::User, vec![Block::text("hi")]),
        (Role::System, vec![Block::text("now be brief")]),
        (Role::Assistant, vec![]),
    ]);
    assert_eq!(
        body(&chat)["messages"],
        json!([
            {"role": "user", "content": "hi"}, {"role": "system", "content": "now be brief"}, {"role": "assistant", "content": ""},
        ])
    );
}

#[test]
fn t6_a_tool_sent_under_a_shorter_name_is_called_by_its_own() {
    let long = format!("mcp__{}", "x".repeat(90));
    let mut chat = foreign(vec![(Role::User, vec![Block::text("hi")])]);
    chat.tools = vec![tool(&long, json!({"type": "object"}))];
    chat.tool_choice = Some(ToolChoice::Named(long.clone()));
    let body = body(&chat);
    let sent = body["tools"][0]["function"]["name"].as_str().expect("a name");
    assert!(sent.len() <= 64);
    assert_eq!(body["tool_choice"]["function"]["name"], sent);

    let renamed = crate::openai::names::renamed(&chat);
    assert_eq!(renamed.get(sent), Some(&long));
    // And back, through the decoder of a call that has such a tool.
    let call = super::call(&json!({"model": "m", "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": {"name": long}}]}));
    let reply = json!({"choices": [{"message": {"tool_calls": [{"id": "a", "function": {"name": sent, "arguments": "{}"}}]}, "finish_reason": "tool_calls"}]});
    let decoder = crate::openai::chat::decode::decoder(&call, false);
    let completion = super::gather(super::decode(decoder, &[reply.to_string().as_bytes()]).expect("valid"));
    assert!(matches!(&completion.content[0].kind, BlockKind::ToolUse { name, .. } if *name == long));
}

#[test]
fn a_long_user_is_named_by_a_digest() {
    let mut chat = foreign(vec![(Role::User, vec![Block::text("hi")])]);
    chat.user = Some("{\"session_id\":\"".repeat(9));
    let body = body(&chat);
    assert_eq!(body["user"].as_str().map(str::len), Some(64));
}

#[test]
fn tokens_cannot_be_counted() {
    use crate::Outbound;
    let mut call = super::call(&json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}));
    call.operation = ::message::Operation::CountTokens;
    let failure =
        crate::openai::chat::outbound::OpenAiChat::default().encode(&call, "m").expect_err("no endpoint");
    assert_eq!(failure.kind, ErrorKind::Unsupported);
}

#[test]
fn a_layer_may_change_a_call_of_this_dialect() {
    let mut chat = super::chat(
        &json!({"model": "m", "stream": true, "max_tokens": 5, "stop": "x", "store": true,
        "messages": [{"role": "developer", "content": "secret", "name": "n"}, {"role": "user", "content": "hi"}]}),
    );
    chat.messages[0].content = vec![Block::text("[masked]")];
    chat.messages.push(Message::text(Role::User, "more"));
    chat.sampling.max_tokens = Some(4);
    chat.sampling.stop.push("y".to_owned());
    assert_eq!(
        body(&chat),
        json!({"model": "gpt", "stream": true, "max_tokens": 4, "stop": ["x", "y"], "store": true, "messages": [
            {"role": "developer", "content": "[masked]", "name": "n"}, {"role": "user", "content": "hi"}, {"role": "user", "content": "more"},
        ]})
    );
}
