//! Calls that cross from one dialect to another.

use message::{
    Block, BlockKind, Chat, Dialect, ErrorKind, Head, Media, MediaSource, Message, Role, Sealer, ToolKind,
    ToolOrigin,
};
use serde_json::{Value, json};

use super::{call, chat};
use crate::openai::responses::encode::{Encoded, encode};
use crate::openai::responses::outbound::OpenAiResponses;
use crate::{Outbound, Quirks};

fn head() -> Head {
    Head { model: "claude".to_owned(), model_span: None, stream: true, max_tokens: None }
}

fn foreign(messages: Vec<(Role, Vec<BlockKind>)>) -> Chat {
    let mut chat = Chat::new(Dialect::Anthropic);
    let message = |(role, kinds): (Role, Vec<BlockKind>)| Message {
        role,
        content: kinds.into_iter().map(Block::new).collect(),
        plain: false,
        extra: Default::default(),
    };
    chat.messages = messages.into_iter().map(message).collect();
    chat
}

fn encoded(chat: &Chat) -> Encoded {
    encode(chat, &head(), "gpt").expect("it can be said")
}

fn input(chat: &Chat) -> Value {
    encoded(chat).body["input"].clone()
}

fn tool_use(id: &str) -> BlockKind {
    BlockKind::ToolUse { id: id.into(), name: "weigh".into(), input: "{}".into(), origin: ToolOrigin::Client }
}

fn image() -> BlockKind {
    let source = MediaSource::Base64("iVBORw0=".into());
    BlockKind::Image(Media { media_type: Some("image/png".into()), name: None, source })
}

/// The body a target of another dialect is sent.
fn sent(body: &Value, target: Dialect) -> (Value, Vec<String>) {
    let outbound = crate::outbound(target, &Quirks::default()).expect("a target's dialect");
    let outgoing = outbound.encode(&call(body), "target").unwrap_or_else(|failure| panic!("{failure}"));
    let dropped = outgoing.dropped.into_iter().map(|dropped| dropped.path).collect();
    (serde_json::from_slice(&outgoing.body.concat()).expect("JSON"), dropped)
}

#[test]
fn m2_pictures_in_tool_results_travel() {
    let result = BlockKind::ToolResult {
        id: "call_1".into(),
        content: vec![Block::text("see"), Block::new(image())],
        plain: false,
        is_error: Some(true),
    };
    let chat = foreign(vec![(Role::Assistant, vec![tool_use("call_1")]), (Role::User, vec![result])]);
    let encoded = encoded(&chat);
    assert_eq!(
        encoded.body["input"][1]["output"],
        json!([{"type": "input_text", "text": "see"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0=", "detail": "auto"}])
    );
    assert_eq!(encoded.dropped[0].path, "messages.1.content.0.is_error");
}

#[test]
fn t1_tool_results_stay_tool_results() {
    let result = BlockKind::ToolResult {
        id: "call_1".into(),
        content: vec![Block::text("1.2")],
        plain: true,
        is_error: None,
    };
    let chat = foreign(vec![
        (Role::Assistant, vec![BlockKind::Text("Let me.".into()), tool_use("call_1")]),
        (Role::User, vec![result, BlockKind::Text("Go on.".into())]),
    ]);
    assert_eq!(
        input(&chat),
        json!([
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me.", "annotations": []}]},
            {"type": "function_call", "call_id": "call_1", "name": "weigh", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "1.2"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]},
        ])
    );
}

#[test]
fn r9_seals_go_back_to_their_own_vendor_only() {
    let thinking = |seal: String| BlockKind::Thinking { text: "Hm.".into(), signature: Some(seal) };
    let turn = vec![
        thinking("EqQB".into()),
        thinking(Sealer::OpenAi.tag("gAAA")),
        thinking(Sealer::Gemini.tag("g")),
    ];
    let encoded = encoded(&foreign(vec![(Role::Assistant, turn)]));
    let items = encoded.body["input"].as_array().expect("items");
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["encrypted_content"], "gAAA");
    let dropped: Vec<&str> = encoded.dropped.iter().map(|dropped| dropped.path.as_str()).collect();
    assert_eq!(dropped, ["messages.0.content.0", "messages.0.content.2"]);
    assert_eq!(encoded.body["include"], json!(["reasoning.encrypted_content"]));
}

/// Claude's reasoning came to a Responses client through here; the next turn goes to
/// OpenAI's own servers, who must not see that seal.
#[test]
fn r9_a_foreign_seal_is_no_reason_to_forward_a_body_as_it_is() {
    let body = json!({"model": "m", "input": [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "outcrop.anthropic:EqQB"},
        {"type": "function_call", "call_id": "call_1", "name": "weigh", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "1"},
    ]});
    let outgoing = OpenAiResponses.encode(&call(&body), "m").expect("home");
    let text = String::from_utf8(outgoing.body.concat()).expect("JSON");
    assert!(!text.contains("EqQB"), "{text}");
    assert!(outgoing.home && text.contains("call_1"));
    assert_eq!(outgoing.dropped.len(), 1);
    // To Claude it goes as Claude wrote it.
    let (sent, _) = sent(&body, Dialect::Anthropic);
    assert_eq!(sent["messages"][0]["content"][0]["signature"], "EqQB");
}

#[test]
fn m6_developers_are_heard_elsewhere() {
    let body = json!({"model": "m", "max_output_tokens": 9, "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "In French."}]},
        {"role": "user", "content": "hi"},
    ]});
    let (sent, dropped) = sent(&body, Dialect::Anthropic);
    assert!(sent["system"].to_string().contains("In French."), "{sent}");
    assert_eq!(dropped, [""; 0]);
}

#[test]
fn t8_custom_tools_are_functions_elsewhere_and_their_calls_replayed() {
    let body = json!({"model": "m", "max_output_tokens": 9, "input": [
        {"role": "user", "content": "hi"},
        {"type": "custom_tool_call", "call_id": "call_1", "name": "apply_patch", "input": "*** Begin"},
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "Done"},
    ], "tools": [{"type": "custom", "name": "apply_patch", "description": "Patches.",
        "format": {"type": "grammar", "syntax": "lark", "definition": "start: patch"}}]});
    let (sent, dropped) = sent(&body, Dialect::Anthropic);
    let tool = &sent["tools"][0];
    assert_eq!(tool["input_schema"]["properties"], json!({"input": {"type": "string"}}));
    let told = tool["description"].as_str().expect("told");
    assert!(told.contains("Patches.") && told.contains("start: patch"), "{told}");
    assert_eq!(sent["messages"][1]["content"][0]["input"], json!({"input": "*** Begin"}));
    assert_eq!(sent["messages"][2]["content"][0]["type"], "tool_result");
    assert_eq!(dropped, [""; 0]);
}

#[test]
fn vendors_tools_are_declared_lost_and_never_refused() {
    let body = json!({"model": "m", "max_output_tokens": 9, "input": "hi", "tools": [
        {"type": "web_search"}, {"type": "tool_search", "execution": "client"},
        {"type": "namespace", "name": "agents", "description": "", "tools": [{"type": "function", "name": "spawn", "parameters": {"type": "object"}}]},
    ]});
    for target in [Dialect::Anthropic, Dialect::OpenAiChat] {
        let (sent, dropped) = sent(&body, target);
        assert_eq!(sent["tools"].as_array().expect("tools").len(), 1, "{sent}");
        assert!(sent["tools"].to_string().contains("agents__spawn"));
        assert_eq!(dropped, ["tools.0", "tools.1"]);
    }
}

#[test]
fn t6_long_names_are_shortened_and_given_back() {
    let name = "mcp__server__".repeat(8);
    let mut chat = foreign(vec![(Role::User, vec![BlockKind::Text("hi".into())])]);
    chat.tools = vec![message::Tool {
        name: name.clone(),
        description: None,
        kind: ToolKind::Function { schema: None },
        strict: None,
        cache: None,
        extra: Default::default(),
    }];
    let sent = encoded(&chat).body["tools"][0]["name"].as_str().expect("a name").to_owned();
    assert!(sent.len() <= 64);
    assert_eq!(crate::openai::names::renamed(&chat)[&sent], name);
}

#[test]
fn t10_the_form_of_the_answer_is_asked_for() {
    let body = json!({"model": "m", "input": "hi", "text": {"format": {"type": "json_schema", "name": "rock", "schema": {"type": "object"}, "strict": true}}});
    let (chat_body, dropped) = sent(&body, Dialect::OpenAiChat);
    assert_eq!(
        chat_body["response_format"],
        json!({"type": "json_schema", "json_schema": {"name": "rock", "schema": {"type": "object"}, "strict": true}})
    );
    assert_eq!(dropped, [""; 0]);
    let mut foreign = foreign(vec![(Role::User, vec![BlockKind::Text("hi".into())])]);
    foreign.output = chat(&body).output;
    assert_eq!(encoded(&foreign).body["text"], body["text"]);
}

#[test]
fn what_settings_cannot_say_is_declared() {
    let mut chat = foreign(vec![(Role::User, vec![BlockKind::Text("hi".into())])]);
    chat.sampling.max_tokens = Some(5);
    chat.sampling.top_k = Some(3);
    chat.sampling.stop = vec!["x".into()];
    chat.reasoning = Some(message::Reasoning { budget_tokens: Some(4_000), ..Default::default() });
    let encoded = encoded(&chat);
    assert_eq!(encoded.body["max_output_tokens"], 16);
    assert_eq!(encoded.body["reasoning"], json!({"effort": "medium", "summary": "auto"}));
    assert_eq!((&encoded.body["store"], &encoded.body["stream"]), (&json!(false), &json!(true)));
    let dropped: Vec<&str> = encoded.dropped.iter().map(|dropped| dropped.path.as_str()).collect();
    assert_eq!(dropped, ["max_tokens", "top_k", "stop", "thinking.budget_tokens"]);
}

/// Settings that both of the vendor's interfaces have cross between them as they are.
#[test]
fn siblings_lose_nothing_of_what_they_share() {
    let shared = json!({
        "prompt_cache_key": "k", "prompt_cache_retention": "24h", "service_tier": "flex",
        "prompt_cache_options": {"mode": "explicit", "ttl": "30m"}, "safety_identifier": "s", "user": "u",
    });
    let with = |mut body: Value, more: &Value| {
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let responses =
        with(json!({"model": "m", "input": "hi", "text": {"verbosity": "low"}, "top_logprobs": 2}), &shared);
    let (body, dropped) = sent(&responses, Dialect::OpenAiChat);
    assert_eq!(dropped, [""; 0]);
    for (name, value) in shared.as_object().expect("an object") {
        assert_eq!(body[name], *value, "{name}");
    }
    assert_eq!((&body["verbosity"], &body["top_logprobs"]), (&json!("low"), &json!(2)));

    let messages = json!([{"role": "user", "content": "hi"}]);
    let more = json!({"model": "m", "messages": messages, "verbosity": "high", "store": true, "metadata": {"a": "b"}});
    let outbound = crate::outbound(Dialect::OpenAiResponses, &Quirks::default()).expect("a target's dialect");
    let call = crate::openai::chat::tests::call(&with(more, &shared));
    let outgoing = outbound.encode(&call, "m").expect("said");
    assert_eq!(outgoing.dropped, []);
    let body: Value = serde_json::from_slice(&outgoing.body.concat()).expect("JSON");
    for (name, value) in shared.as_object().expect("an object") {
        assert_eq!(body[name], *value, "{name}");
    }
    assert_eq!(body["text"], json!({"verbosity": "high"}));
    assert_eq!((&body["store"], &body["metadata"]), (&json!(true), &json!({"a": "b"})));

    // What only one of them has is told.
    let longer =
        json!({"model": "m", "input": "hi", "prompt_cache_options": {"ttl": "12h"}, "text": {"tone": "dry"}});
    assert_eq!(sent(&longer, Dialect::OpenAiChat).1, ["text", "prompt_cache_options"]);
}

#[test]
fn what_only_the_vendor_can_look_up_is_refused() {
    for (field, value) in [("conversation", json!("conv_1")), ("prompt", json!({"id": "pmpt_1"}))] {
        let mut body = json!({"model": "m", "input": "hi"});
        body[field] = value;
        let failure = chat(&body).leave_home().expect_err(field);
        assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::Unsupported, Some(field)));
    }
    let body = json!({"model": "m", "input": "hi", "previous_response_id": "resp_1"});
    let outbound = crate::outbound(Dialect::Anthropic, &Quirks::default()).expect("a target's dialect");
    let failure = outbound.encode(&call(&body), "m").expect_err("not here");
    assert_eq!(failure.kind, ErrorKind::NotFound);
    let whole = crate::failure(Dialect::OpenAiResponses, &failure, &message::RequestId::new("r"));
    let error: Value = serde_json::from_slice(&whole.body).expect("JSON");
    assert_eq!(error["error"]["code"], "previous_response_not_found");
    // The vendor's own servers may have it.
    assert!(OpenAiResponses.encode(&call(&body), "m").is_ok());
}
