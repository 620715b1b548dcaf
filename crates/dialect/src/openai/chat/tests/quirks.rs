//! Servers of this dialect that differ from OpenAI's: each quirk, on a translated body
//! and on one that a client of this dialect wrote.

use ::message::{Block, BlockKind, Role, ToolOrigin};
use serde_json::{Value, json};

use super::{call, foreign, head};
use crate::openai::chat::encode::encode;
use crate::openai::chat::outbound::OpenAiChat;
use crate::{Outbound, Quirk, Quirks};

/// A client's own body, as a server with these quirks gets it, and what was dropped.
fn forwarded(quirks: &[Quirk], body: &Value) -> (Value, Vec<String>) {
    let quirks = Quirks::from_iter(quirks.iter().copied());
    let outgoing = OpenAiChat(quirks).encode(&call(body), "theirs").expect("encodes");
    assert!(outgoing.home, "the reply is forwarded all the same");
    let body = serde_json::from_slice(&outgoing.body.concat()).expect("JSON");
    (body, outgoing.dropped.into_iter().map(|dropped| dropped.path).collect())
}

fn said(more: Value) -> Value {
    let mut body = json!({"model": "mine", "messages": [{"role": "user", "content": "hi"}]});
    let Value::Object(more) = more else { panic!("an object") };
    body.as_object_mut().expect("an object").extend(more);
    body
}

/// The members beside model and messages, and what was dropped.
fn members(quirk: Quirk, more: Value) -> (Value, Vec<String>) {
    let (mut body, dropped) = forwarded(&[quirk], &said(more));
    body.as_object_mut().expect("an object").retain(|name, _| name != "model" && name != "messages");
    (body, dropped)
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn a_body_no_quirk_concerns_is_only_spliced() {
    let body = said(json!({"max_tokens": 5, "unheard_of": {"a": 1.0}}));
    let call = call(&body);
    let outgoing =
        OpenAiChat(Quirks::from_iter([Quirk::MaxTokensField, Quirk::NoDeveloperRole, Quirk::NoUser]))
            .encode(&call, "theirs")
            .expect("encodes");
    assert_eq!(outgoing.body.len(), 3, "prefix, name, suffix");
    assert!(outgoing.body[2].as_ptr_range().end == call.body.as_ptr_range().end, "not copied");
}

#[test]
fn m8_the_cap_on_tokens_goes_where_the_server_looks() {
    let capped = json!({"max_completion_tokens": 7});
    assert_eq!(members(Quirk::MaxTokensField, capped), (json!({"max_tokens": 7}), nothing()));
    let both = json!({"max_completion_tokens": null, "max_tokens": 3});
    assert_eq!(members(Quirk::MaxTokensField, both), (json!({"max_tokens": 3}), nothing()));
    let mut chat = foreign(vec![(Role::User, vec![Block::text("hi")])]);
    chat.sampling.max_tokens = Some(9);
    let quirks = Quirks::from_iter([Quirk::MaxTokensField]);
    let body = encode(&chat, &head(false), "m", quirks).expect("encodes").body;
    assert_eq!((&body["max_tokens"], body.get("max_completion_tokens")), (&json!(9), None));
}

#[test]
fn m6_a_developer_is_a_system_elsewhere() {
    let body = json!({"model": "m", "messages": [{"role": "developer", "content": "be brief"}]});
    let (body, dropped) = forwarded(&[Quirk::NoDeveloperRole], &body);
    assert_eq!(body["messages"], json!([{"role": "system", "content": "be brief"}]));
    assert_eq!(dropped, nothing());
}

#[test]
fn r6_reasoning_content_is_never_missing_beside_tool_calls() {
    let tool_use = |id: &str| {
        let (id, name) = (id.to_owned(), "f".to_owned());
        Block::new(BlockKind::ToolUse { id, name, input: "{}".to_owned(), origin: ToolOrigin::Client })
    };
    let thought = Block::new(BlockKind::Thinking { text: "because".to_owned(), signature: None });
    let chat = foreign(vec![
        (Role::User, vec![Block::text("hi")]),
        (Role::Assistant, vec![thought, tool_use("a")]),
        (Role::Assistant, vec![tool_use("b")]),
        (Role::Assistant, vec![Block::text("done")]),
    ]);
    let quirks = Quirks::from_iter([Quirk::ReasoningContent]);
    let body = encode(&chat, &head(false), "m", quirks).expect("encodes").body;
    assert_eq!(body["messages"][1]["reasoning_content"], "because");
    assert_eq!(body["messages"][2]["reasoning_content"], "");
    assert_eq!(body["messages"][3].get("reasoning_content"), None);

    let field =
        encode(&chat, &head(false), "m", Quirks::from_iter([Quirk::ReasoningField])).expect("encodes");
    assert_eq!(field.body["messages"][1]["reasoning"], "because");
    let none =
        encode(&chat, &head(false), "m", Quirks::from_iter([Quirk::NoReasoningReplay])).expect("encodes");
    assert!(!Value::Object(none.body).to_string().contains("because"));
    assert_eq!(none.dropped[0].path, "messages.1.reasoning_content");
}

#[test]
fn members_that_a_server_refuses_are_left_out() {
    let refused = |quirk, more: Value, dropped: &[&str]| {
        assert_eq!(
            members(quirk, more),
            (json!({}), dropped.iter().map(|path| (*path).to_owned()).collect())
        );
    };
    refused(Quirk::NoStreamOptions, json!({"stream_options": {"include_usage": true}}), &[]);
    refused(Quirk::NoParallelToolCalls, json!({"parallel_tool_calls": true}), &[]);
    refused(Quirk::NoParallelToolCalls, json!({"parallel_tool_calls": false}), &["parallel_tool_calls"]);
    refused(Quirk::NoReasoningEffort, json!({"reasoning_effort": "low"}), &["reasoning_effort"]);
    refused(Quirk::NoUser, json!({"user": "u1"}), &["user"]);
    refused(
        Quirk::NoOpenAiSettings,
        json!({"prompt_cache_key": "k", "verbosity": "low", "safety_identifier": "s"}),
        &["prompt_cache_key", "safety_identifier", "verbosity"],
    );
    refused(Quirk::NoN, json!({"n": 1}), &[]);
    refused(
        Quirk::NoLogprobs,
        json!({"logprobs": true, "top_logprobs": 2, "logit_bias": {"1": 2}}),
        &["logprobs", "top_logprobs", "logit_bias"],
    );
    refused(Quirk::NoLogprobs, json!({"logprobs": false, "top_logprobs": null}), &[]);
    let several = json!({"n": 2});
    assert_eq!(
        members(Quirk::NoN, several.clone()),
        (several, nothing()),
        "the server shall refuse it itself"
    );
    assert_eq!(members(Quirk::RandomSeedField, json!({"seed": 4})), (json!({"random_seed": 4}), nothing()));
}

#[test]
fn a_schema_nobody_enforces_is_asked_for_in_words() {
    let format = json!({"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}});
    let (body, dropped) =
        forwarded(&[Quirk::NoJsonSchema], &said(json!({"response_format": format.clone()})));
    assert_eq!(body["response_format"], json!({"type": "json_object"}));
    assert_eq!(body["messages"][0]["role"], "system");
    let words = body["messages"][0]["content"].as_str().expect("text");
    assert!(words.contains("JSON") && words.ends_with(r#"{"type":"object"}"#), "{words}");
    assert_eq!(body["messages"][1]["content"], "hi");
    assert_eq!(dropped, ["response_format.json_schema"]);

    for (system, at) in [(json!("be kind"), ""), (json!([{"type": "text", "text": "be kind"}]), "/1/text")] {
        let body = json!({
            "model": "m", "response_format": format.clone(),
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": "hi"}],
        });
        let (body, _) = forwarded(&[Quirk::NoJsonSchema], &body);
        assert_eq!(body["messages"].as_array().map(Vec::len), Some(2));
        let words = body["messages"][0]["content"].pointer(at).and_then(Value::as_str).expect("text");
        assert!(words.contains("schema"), "{words}");
    }
}

#[test]
fn turns_that_follow_each_other_are_merged() {
    let mut chat = foreign(vec![
        (Role::User, vec![Block::text("one")]),
        (Role::User, vec![Block::text("two")]),
        (Role::Assistant, vec![Block::text("three")]),
        (Role::User, vec![Block::text("four")]),
    ]);
    chat.system = vec![Block::text("be kind")];
    let quirks = Quirks::from_iter([Quirk::StrictRoleAlternation]);
    let body = encode(&chat, &head(false), "m", quirks).expect("encodes").body;
    assert_eq!(
        body["messages"],
        json!([
            {"role": "system", "content": "be kind"}, {"role": "user", "content": "one\n\ntwo"},
            {"role": "assistant", "content": "three"}, {"role": "user", "content": "four"},
        ])
    );
}

#[test]
fn a_call_and_its_result_keep_one_short_id() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let body = json!({"model": "m", "messages": [
        {"role": "assistant", "content": null, "tool_calls": [call("toolu_01ABCDEFGH"), call("abcDEF123")]},
        {"role": "tool", "tool_call_id": "toolu_01ABCDEFGH", "content": "4"},
        {"role": "tool", "tool_call_id": "abcDEF123", "content": "5"},
    ]});
    let (body, _) = forwarded(&[Quirk::ToolCallId9], &body);
    let id = |path: &str| body.pointer(path).and_then(Value::as_str).expect("an id");
    let short = id("/messages/0/tool_calls/0/id");
    assert!(short.len() == 9 && short.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{short}");
    assert_eq!(id("/messages/1/tool_call_id"), short);
    assert_eq!(id("/messages/0/tool_calls/1/id"), "abcDEF123", "what fits is left");
    assert_eq!(id("/messages/2/tool_call_id"), "abcDEF123");
}

/// Whatever shape a body has, no quirk may panic on it.
#[test]
fn nonsense_goes_on_for_the_server_to_refuse() {
    let every = Quirk::ALL;
    for messages in [
        json!(null),
        json!("x"),
        json!([1, null, "x", []]),
        json!([{"role": 1, "tool_calls": 2, "content": {}}]),
    ] {
        let body = json!({
            "model": "m", "messages": messages, "max_completion_tokens": 5, "n": {}, "tool_calls": 1,
            "response_format": {"type": "json_schema"}, "parallel_tool_calls": "no", "developer": 1,
        });
        let outgoing = OpenAiChat(Quirks::from_iter(every)).encode(&call(&body), "m").expect("encodes");
        assert!(serde_json::from_slice::<Value>(&outgoing.body.concat()).is_ok());
    }
}
