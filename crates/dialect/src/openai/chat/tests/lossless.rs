//! Decoding a request and encoding it again at home changes nothing.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{call, chat, try_call};
use crate::Quirks;
use crate::openai::chat::encode::encode;

const REQUESTS: &str = include_str!("../fixtures/requests.json");

fn requests() -> Map<String, Value> {
    serde_json::from_str(REQUESTS).expect("the fixture is JSON")
}

fn again(body: &Value) -> Value {
    let call = call(body);
    let chat = call.chat().unwrap_or_else(|failure| panic!("{failure}"));
    let encoded =
        encode(chat, &call.head, &call.head.model, Quirks::default()).expect("home takes everything");
    assert_eq!(encoded.dropped, [], "home drops nothing");
    Value::Object(encoded.body)
}

#[test]
fn openai_chat_is_lossless() {
    for (name, body) in requests() {
        assert_eq!(again(&body), body, "{name}");
    }
}

/// What the fixtures decode to, so that losslessness is not bought by decoding nothing.
#[test]
fn fixtures_are_understood() {
    for (name, body) in requests() {
        insta::with_settings!({ snapshot_path => "../fixtures/snapshots", prepend_module_to_snapshot => false }, {
            insta::assert_debug_snapshot!(format!("request_{name}"), chat(&body));
        });
    }
}

/// A forwarded body differs in the model's name only, and not at all if that is the same.
#[test]
fn forwarding_touches_the_model_only() {
    use crate::Outbound;
    use crate::openai::chat::outbound::OpenAiChat;

    for (name, body) in requests() {
        let call = call(&body);
        let same = OpenAiChat::default().encode(&call, "m").expect("home");
        assert_eq!(same.body, std::slice::from_ref(&call.body), "{name}");
        let other = OpenAiChat::default().encode(&call, "vendor/other").expect("home");
        assert!(other.home && other.dropped.is_empty());
        assert_eq!(other.path, "/chat/completions");
        let text = String::from_utf8(call.body.to_vec()).expect("JSON");
        let expected = text.replacen(r#""model":"m""#, r#""model":"vendor/other""#, 1);
        assert_eq!(String::from_utf8(other.body.concat()).expect("JSON"), expected, "{name}");
    }
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z\\\\\"é]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[a-z_$]{1,4}", inner), 0..3)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

fn part() -> impl Strategy<Value = Value> {
    let known = prop_oneof![
        ".{0,8}".prop_map(|text| json!({"type": "text", "text": text})),
        "[A-Za-z0-9+/]{0,8}".prop_map(|data| {
            json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}})
        }),
        "https://[a-z]{1,8}".prop_map(|url| json!({"type": "image_url", "image_url": {"url": url}})),
        ".{0,8}".prop_map(|text| json!({"type": "refusal", "refusal": text})),
        "[a-z]{9,12}".prop_map(|kind| json!({"type": kind})),
    ];
    (known, extra()).prop_map(|(part, extra)| with(part, extra))
}

/// Fields nobody knows.
fn extra() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec(("x_[a-z]{1,4}", anything()), 0..2).prop_map(|fields| fields.into_iter().collect())
}

fn with(mut object: Value, extra: Map<String, Value>) -> Value {
    object.as_object_mut().expect("an object").extend(extra);
    object
}

fn content() -> impl Strategy<Value = Value> {
    prop_oneof![".{0,12}".prop_map(Value::from), prop::collection::vec(part(), 0..3).prop_map(Value::from)]
}

fn maybe(object: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        object[name] = value;
    }
}

fn message() -> impl Strategy<Value = Value> {
    let spoken = (prop::sample::select(vec!["system", "developer", "user"]), content())
        .prop_map(|(role, content)| json!({"role": role, "content": content}));
    let tool = (".{0,8}", content())
        .prop_map(|(id, content)| json!({"role": "tool", "tool_call_id": id, "content": content}));
    let tool_call =
        ("[a-z]{1,8}", "[a-z]{1,8}", ".{0,8}", extra()).prop_map(|(id, name, arguments, extra)| {
            let function = json!({"name": name, "arguments": arguments});
            with(json!({"id": id, "type": "function", "function": function}), extra)
        });
    let assistant = (
        prop::option::of(prop_oneof![content(), Just(Value::Null)]),
        prop::option::of(".{0,8}".prop_map(Value::from)),
        prop::option::of(".{0,8}".prop_map(Value::from)),
        prop::option::of(".{0,8}".prop_map(Value::from)),
        prop::option::of(prop::collection::vec(tool_call, 0..3).prop_map(Value::from)),
    )
        .prop_map(|(content, refusal, reasoning_content, reasoning, tool_calls)| {
            let mut message = json!({"role": "assistant"});
            maybe(&mut message, "content", content);
            maybe(&mut message, "refusal", refusal);
            maybe(&mut message, "reasoning_content", reasoning_content);
            maybe(&mut message, "reasoning", reasoning);
            maybe(&mut message, "tool_calls", tool_calls);
            message
        });
    (prop_oneof![spoken, tool, assistant], extra()).prop_map(|(message, extra)| with(message, extra))
}

fn request() -> impl Strategy<Value = Value> {
    let settings = (
        prop::option::of((1..1000_u64).prop_map(Value::from)),
        prop::option::of((1..1000_u64).prop_map(Value::from)),
        prop::option::of((0.0..2.0_f64).prop_map(Value::from)),
        prop::option::of(prop_oneof![
            ".{0,4}".prop_map(Value::from),
            prop::collection::vec(".{0,4}", 0..3).prop_map(Value::from)
        ]),
        prop::option::of(any::<bool>().prop_map(Value::from)),
        prop::option::of((1..4_u8).prop_map(Value::from)),
    );
    let shared = (
        prop::option::of("[a-z]{1,4}".prop_map(Value::from)),
        prop::option::of("[a-z]{1,4}".prop_map(Value::from)),
        prop::option::of("none|low|max|odd".prop_map(Value::from)),
        prop::option::of("low|medium|odd".prop_map(Value::from)),
        prop::option::of(prop_oneof![Just(json!({})), anything()]),
    );
    let parts = (prop::collection::vec(message(), 1..5), settings, shared, extra());
    parts.prop_map(|(messages, settings, shared, extra)| {
        let mut body = json!({"model": "m", "messages": messages});
        let (max_tokens, max_completion_tokens, temperature, stop, stream, n) = settings;
        maybe(&mut body, "max_tokens", max_tokens);
        maybe(&mut body, "max_completion_tokens", max_completion_tokens);
        maybe(&mut body, "temperature", temperature);
        maybe(&mut body, "stop", stop);
        maybe(&mut body, "stream", stream);
        maybe(&mut body, "n", n);
        let (user, safety_identifier, effort, verbosity, web_search_options) = shared;
        maybe(&mut body, "user", user);
        maybe(&mut body, "safety_identifier", safety_identifier);
        maybe(&mut body, "reasoning_effort", effort);
        maybe(&mut body, "verbosity", verbosity);
        maybe(&mut body, "web_search_options", web_search_options);
        with(body, extra)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn openai_chat_is_lossless_for_any_request(body in request()) {
        prop_assert_eq!(again(&body), body);
    }

    /// Whatever JSON is put where a field of the dialect stands: an error or a chat, no panic.
    #[test]
    fn any_value_anywhere_is_survived(
        name in prop::sample::select(vec![
            "messages", "tools", "tool_choice", "functions", "function_call", "response_format", "stop", "n",
            "max_tokens", "modalities", "stream_options", "stream", "logprobs", "top_logprobs", "reasoning_effort",
        ]),
        value in anything(),
    ) {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        body[name] = value;
        if let Ok(call) = try_call(&body)
            && let Err(failure) = call.chat()
        {
            prop_assert!(failure.param.is_some(), "{} names no field", failure);
        }
    }
}
