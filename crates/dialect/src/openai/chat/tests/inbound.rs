//! Requests: the head, what fields mean, and what is wrong with bad ones.

use ::message::{
    BlockKind, Document, Effort, ErrorKind, MediaSource, OutputFormat, Role, ToolChoice, ToolKind,
};
use serde_json::json;

use super::{chat, try_call};

#[test]
fn the_head_is_read_in_one_pass() {
    let body = json!({
        "max_tokens": 7, "stream": true, "messages": [{"role": "user", "content": "\"model\":\"not me\""}],
        "model": "qwen/3:0.6b",
    });
    let call = try_call(&body).expect("valid");
    assert_eq!(call.head.model, "qwen/3:0.6b");
    assert!(call.head.stream);
    assert_eq!(call.head.max_tokens, Some(7));
    let span = call.head.model_span.expect("a span");
    assert_eq!(&call.body[span], br#""qwen/3:0.6b""#);
}

#[test]
fn m8_max_completion_tokens_wins_over_max_tokens() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 7, "max_completion_tokens": 9});
    assert_eq!(try_call(&body).expect("valid").head.max_tokens, Some(9));
    assert_eq!(chat(&body).sampling.max_tokens, Some(9));
    // The one that lost is reported by foreign targets.
    assert_eq!(::message::said(&chat(&body).extra).collect::<Vec<_>>(), ["max_tokens"]);
}

#[test]
fn m6_developer_is_a_role_of_its_own() {
    let body = json!({"model": "m", "messages": [{"role": "developer", "content": "be kind"}, {"role": "user", "content": "hi"}]});
    assert_eq!(chat(&body).messages[0].role, Role::Developer);
}

#[test]
fn r6_reasoning_content_survives_the_next_turn() {
    for name in ["reasoning_content", "reasoning"] {
        let body = json!({"model": "m", "messages": [
            {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes", name: "hm"}, {"role": "user", "content": "go on"},
        ]});
        let chat = chat(&body);
        let BlockKind::Thinking { text, signature: None } = &chat.messages[1].content[0].kind else {
            panic!("no thinking: {chat:?}")
        };
        assert_eq!(text, "hm");
    }
}

#[test]
fn t1_a_tool_message_is_a_tool_result() {
    let body = json!({"model": "m", "messages": [
        {"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "sunny"},
    ]});
    let chat = chat(&body);
    assert_eq!(chat.messages[1].role, Role::Tool);
    let [block] = chat.messages[1].content.as_slice() else { panic!("{chat:?}") };
    let BlockKind::ToolResult { id, content, plain: true, is_error: None } = &block.kind else {
        panic!("{block:?}")
    };
    assert_eq!((id.as_str(), content[0].as_text()), ("a", Some("sunny")));
}

#[test]
fn t7_strict_const_and_parallel_tool_calls_are_kept() {
    let schema =
        json!({"type": "object", "properties": {"unit": {"const": "C"}}, "$defs": {"a": {"$ref": "#"}}});
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "parallel_tool_calls": false, "tool_choice": "required", "tools": [
        {"type": "function", "function": {"name": "f", "parameters": schema, "strict": true}, "allowed_callers": ["direct"]},
    ]});
    let chat = chat(&body);
    assert_eq!(chat.parallel_tool_calls, Some(false));
    assert_eq!(chat.tool_choice, Some(ToolChoice::Any));
    assert_eq!(chat.tools[0].strict, Some(true));
    assert_eq!(chat.tools[0].kind, ToolKind::Function { schema: Some(schema) });
    assert_eq!(chat.tools[0].extra["allowed_callers"], json!(["direct"]));
}

#[test]
fn t10_response_format_is_understood() {
    let body = |format| json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "response_format": format});
    assert_eq!(chat(&body(json!({"type": "text"}))).output, OutputFormat::Text);
    assert_eq!(chat(&body(json!({"type": "json_object"}))).output, OutputFormat::JsonObject);
    let schema = json!({"type": "json_schema", "json_schema": {"name": "r", "schema": {"type": "object"}, "strict": true}});
    let OutputFormat::JsonSchema { name, strict, .. } = chat(&body(schema)).output else {
        panic!("no schema")
    };
    assert_eq!((name.as_deref(), strict), (Some("r"), Some(true)));
}

#[test]
fn only_allowed_tools_reach_the_model() {
    let named = |name| json!({"type": "function", "function": {"name": name}});
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": [named("f"), named("g")],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named("g")]}}});
    let chat = chat(&body);
    assert_eq!(chat.tool_choice, Some(ToolChoice::Auto));
    assert_eq!(chat.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["g"]);
}

#[test]
fn files_keep_their_bytes_and_types() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
        {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
    ]}]});
    let chat = chat(&body);
    let media: Vec<_> = chat.messages[0]
        .content
        .iter()
        .map(|block| match &block.kind {
            BlockKind::Image(media)
            | BlockKind::Audio(media)
            | BlockKind::Document(Document { media, .. }) => {
                let MediaSource::Base64(data) = &media.source else { panic!("{media:?}") };
                (media.media_type.as_deref().unwrap_or_default(), data.as_str())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(media, [("image/png", "iVBO"), ("audio/mpeg", "SUQz"), ("application/pdf", "JVBE")]);
}

#[test]
fn effort_and_its_absence() {
    let body = |effort| json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": effort});
    let reasoning = chat(&body("none")).reasoning.expect("said");
    assert_eq!((reasoning.enabled, reasoning.effort), (Some(false), Some(Effort::None)));
    assert_eq!(chat(&body("max")).reasoning.expect("said").effort, Some(Effort::Max));
}

#[test]
fn what_only_home_can_do_is_marked() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "n": 2, "modalities": ["audio", "text"], "audio": {"voice": "alloy"}});
    let failure = chat(&body).leave_home().expect_err("several answers");
    assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::Unsupported, Some("n")));
    let failure = chat(&body).leave_home_with_choices().expect_err("spoken answers");
    assert_eq!((chat(&body).choices, failure.param.as_deref()), (2, Some("modalities")));
}

#[test]
fn what_is_wrong_is_named() {
    let user = json!([{"role": "user", "content": "hi"}]);
    let message = |message| json!({"model": "m", "messages": [{"role": "user", "content": "hi"}, message]});
    let tool = |tool| json!({"model": "m", "messages": user, "tools": [tool]});
    let set = |name: &str, value| {
        let mut body = json!({"model": "m", "messages": user});
        body[name] = value;
        body
    };
    let cases = [
        (json!({"messages": user}), "model", "this field is required"),
        (json!({"model": "", "messages": user}), "model", "this field is required"),
        (json!({"model": 1, "messages": user}), "model", "expected a string, got a number"),
        (json!({"model": "m"}), "messages", "this field is required"),
        (json!({"model": "m", "messages": null}), "messages", "this field is required"),
        (json!({"model": "m", "messages": []}), "messages", "at least one message is required"),
        (json!({"model": "m", "messages": "hi"}), "messages", "expected an array, got a string"),
        (json!({"model": "m", "messages": ["hi"]}), "messages.0", "expected an object, got a string"),
        (set("stream", json!("yes")), "stream", "expected a boolean, got a string"),
        (set("max_tokens", json!("10")), "max_tokens", "expected a non-negative integer, got a string"),
        (set("max_tokens", json!(0)), "max_tokens", "must be a positive integer"),
        (set("temperature", json!("hot")), "temperature", "expected a number, got a string"),
        (set("temperature", json!(-1)), "temperature", "must be at least 0"),
        (set("top_p", json!(1.5)), "top_p", "must be between 0 and 1"),
        (set("top_k", json!(-2)), "top_k", "expected a positive integer, or 0 or -1 for no limit"),
        (set("seed", json!(1.5)), "seed", "expected a 64-bit integer"),
        (set("stop", json!({})), "stop", "expected a string or an array of strings, got an object"),
        (set("stop", json!(["a", 1])), "stop.1", "expected a string, got a number"),
        (set("top_logprobs", json!(21)), "top_logprobs", "must be an integer between 0 and 20"),
        (set("top_logprobs", json!(2)), "top_logprobs", "needs `logprobs` to be true"),
        (set("n", json!(0)), "n", "must be a positive integer"),
        (set("response_format", json!({"type": "xml"})), "response_format.type", "expected `text`"),
        (
            set("response_format", json!({"type": "json_schema"})),
            "response_format.json_schema",
            "an object with",
        ),
        (
            set("response_format", json!({"type": "json_schema", "json_schema": {"name": 1}})),
            "response_format.json_schema.name",
            "expected a string, got a number",
        ),
        (set("tool_choice", json!("f")), "tool_choice", "expected `auto`, `none`, `required` or an object"),
        (
            set("tool_choice", json!({"type": "function", "function": {}})),
            "tool_choice.function.name",
            "this field is required",
        ),
        (set("functions", json!([{}])), "functions.0.name", "this field is required"),
        (message(json!({"content": "hi"})), "messages.1.role", "this field is required"),
        (message(json!({"role": "robot", "content": "hi"})), "messages.1.role", "expected `system`"),
        (message(json!({"role": "user"})), "messages.1.content", "this field is required"),
        (
            message(json!({"role": "user", "content": null})),
            "messages.1.content",
            "expected a string or an array of content parts, got null",
        ),
        (
            message(json!({"role": "user", "content": 5})),
            "messages.1.content",
            "expected a string or an array of content parts, got a number",
        ),
        (
            message(json!({"role": "user", "content": [{"type": "text"}]})),
            "messages.1.content.0.text",
            "this field is required",
        ),
        (
            message(json!({"role": "user", "content": [{"type": "text", "text": 1}]})),
            "messages.1.content.0.text",
            "expected a string, got a number",
        ),
        (
            message(json!({"role": "user", "content": [{"type": "image_url", "image_url": "x"}]})),
            "messages.1.content.0.image_url",
            "expected an object, got a string",
        ),
        (
            message(
                json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]}),
            ),
            "messages.1.content.0.image_url.url",
            "a data: URL must be",
        ),
        (
            message(json!({"role": "user", "content": [{"type": "file", "file": {}}]})),
            "messages.1.content.0.file",
            "either `file_data` or `file_id`",
        ),
        (
            message(json!({"role": "tool", "content": "x"})),
            "messages.1.tool_call_id",
            "this field is required",
        ),
        (message(json!({"role": "function", "content": "x"})), "messages.1.name", "this field is required"),
        (
            message(
                json!({"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f"}}]}),
            ),
            "messages.1.tool_calls.0.id",
            "this field is required",
        ),
        (
            message(
                json!({"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"arguments": "{}"}}]}),
            ),
            "messages.1.tool_calls.0.function.name",
            "this field is required",
        ),
        (
            message(
                json!({"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}}]}),
            ),
            "messages.1.tool_calls.0.function.arguments",
            "expected a string, got an object",
        ),
        (tool(json!({"function": {"name": "f"}})), "tools.0.type", "this field is required"),
        (tool(json!({"type": "function", "name": "f"})), "tools.0.function", "this field is required"),
        (
            tool(json!({"type": "function", "function": {"name": "f", "parameters": "x"}})),
            "tools.0.function.parameters",
            "expected a JSON Schema object, got a string",
        ),
    ];
    for (body, path, message) in cases {
        let failure = match try_call(&body) {
            Err(failure) => failure,
            Ok(call) => call.chat().expect_err(&body.to_string()),
        };
        assert_eq!(failure.kind, ErrorKind::InvalidRequest);
        assert_eq!(failure.param.as_deref(), Some(path), "{failure}");
        let expected = format!("{path}: {message}");
        assert!(failure.message.starts_with(&expected), "{} does not start with {expected}", failure.message);
    }
}

#[test]
fn a_field_named_twice_is_refused() {
    for body in [
        r#"{"model":"a","model":"b","messages":[]}"#,
        r#"{"model":"a","messages":[],"mess\u0061ges":[]}"#,
        r#"{"model":"a","messages":[],"stream":true,"stream":false}"#,
    ] {
        let read = crate::openai::chat::inbound::read(::message::Operation::Chat, body.as_bytes());
        assert!(read.is_err(), "{body}");
    }
}

#[test]
fn a_body_nested_too_deeply_is_refused() {
    let deep = format!(r#"{{"model":"m","messages":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(crate::openai::chat::inbound::read(::message::Operation::Chat, deep.as_bytes()).is_err());
    assert!(crate::openai::chat::inbound::decode_body(deep.as_bytes()).is_err());
}
