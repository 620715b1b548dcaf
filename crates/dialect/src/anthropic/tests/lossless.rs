//! Decoding a body and writing it again gives the same JSON.

use message::{Operation, SPELLING};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::encode::Request;
use super::super::inbound::{self, decode_body};

fn again(body: &Value) -> Value {
    let chat = decode_body(body.to_string().as_bytes()).expect("decodes");
    let model = body["model"].as_str().expect("a model");
    let stream = body["stream"] == true;
    let written = Request { operation: Operation::Chat, model, stream, chat: &chat }.body().expect("encodes");
    serde_json::from_slice(&written).expect("JSON")
}

#[test]
fn anthropic_is_lossless() {
    let mut count = 0;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/anthropic/requests");
    for entry in std::fs::read_dir(folder).expect("fixtures") {
        let path = entry.expect("an entry").path();
        let body: Value = serde_json::from_slice(&std::fs::read(&path).expect("readable")).expect("JSON");
        assert_eq!(again(&body), body, "{}", path.display());
        count += 1;
    }
    assert!(count >= 9, "only {count} fixtures were found");
}

#[test]
fn fixtures_are_decoded_as_meant() {
    for (name, body) in [
        ("user_blocks", include_str!("../../../fixtures/anthropic/requests/user_blocks.json")),
        ("tool_turns", include_str!("../../../fixtures/anthropic/requests/tool_turns.json")),
        ("claude_code", include_str!("../../../fixtures/anthropic/requests/claude_code.json")),
        ("settings", include_str!("../../../fixtures/anthropic/requests/settings.json")),
    ] {
        insta::assert_debug_snapshot!(name, decode_body(body.as_bytes()).expect("decodes"));
    }
}

#[test]
fn the_hubs_own_key_is_not_the_clients() {
    let body = json!({"model": "m", SPELLING: {"thinking": "adaptive"}, "messages": [{"role": "user", "content": "x"}]});
    let chat = decode_body(body.to_string().as_bytes()).expect("decodes");
    assert!(chat.extra.is_empty());
}

#[test]
fn the_head_is_read_in_one_pass() {
    let body = br#"{"stream": true, "mod\u0065l": "cl\u0061ude", "max_tokens": 5, "messages": []}"#;
    let head = inbound::read(Operation::Chat, body).expect("reads").head;
    assert_eq!((head.model.as_str(), head.stream, head.max_tokens), ("claude", true, Some(5)));
    assert_eq!(&body[head.model_span.expect("a span")], br#""cl\u0061ude""#);
    // Counting never streams, and needs no limit.
    let body = br#"{"model": "m", "stream": true, "messages": []}"#;
    assert!(!inbound::read(Operation::CountTokens, body).expect("reads").head.stream);
}

#[test]
fn what_is_wrong_is_named() {
    for (body, message) in [
        ("[]", "expected an object"),
        ("{", "the body ends"),
        (r#"{"max_tokens":1,"messages":[]}"#, "model: field required"),
        (r#"{"model":null,"max_tokens":1,"messages":[]}"#, "model: field required"),
        (r#"{"model":"","max_tokens":1,"messages":[]}"#, "model: must not be empty"),
        (r#"{"model":1,"max_tokens":1,"messages":[]}"#, "model: expected a string, got a number"),
        (r#"{"model":"a","model":"b","max_tokens":1,"messages":[]}"#, "model"),
        (r#"{"model":"m","messages":[]}"#, "max_tokens: field required"),
        (r#"{"model":"m","max_tokens":-1,"messages":[]}"#, "max_tokens: expected a non-negative integer"),
        (r#"{"model":"m","max_tokens":1}"#, "messages: field required"),
        (r#"{"model":"m","max_tokens":1,"messages":{}}"#, "messages: expected an array"),
        (r#"{"model":"m","max_tokens":1,"messages":[],"stream":"yes"}"#, "stream: expected a boolean"),
    ] {
        let failure = inbound::read(Operation::Chat, body.as_bytes()).err().expect(body);
        assert!(failure.message.contains(message), "{body}: {failure}");
    }
}

#[test]
fn what_is_wrong_deep_inside_is_named() {
    let user = |content: Value| json!({"messages": [{"role": "user", "content": "ok"}, {"role": "user", "content": content}]});
    for (body, message) in [
        (json!({"messages": []}), "messages: at least one message is required"),
        (json!({"messages": ["x"]}), "messages.0: expected an object, got a string"),
        (json!({"messages": [{"content": "x"}]}), "messages.0.role: field required"),
        (json!({"messages": [{"role": "robot", "content": "x"}]}), "messages.0.role: expected \"user\""),
        (json!({"messages": [{"role": "user"}]}), "messages.0.content: field required"),
        (user(json!(1)), "messages.1.content: expected a string or an array of content blocks, got a number"),
        (user(json!(["x"])), "messages.1.content.0: expected a content block, got a string"),
        (user(json!([{"text": "x"}])), "messages.1.content.0.type: field required"),
        (user(json!([{"type": 1}])), "messages.1.content.0.type: expected a string, got a number"),
        (user(json!([{"type": "text"}])), "messages.1.content.0.text: field required"),
        (user(json!([{"type": "image"}])), "messages.1.content.0.source: field required"),
        (
            user(json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png"}}])),
            "messages.1.content.0.source.data: field required",
        ),
        (
            user(json!([{"type": "text", "text": "x", "cache_control": 1}])),
            "messages.1.content.0.cache_control: expected an object, got a number",
        ),
        (
            user(
                json!([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": []}]}]),
            ),
            "messages.1.content.0.content.0.text: expected a string, got an array",
        ),
        (
            user(json!([{"type": "search_result", "source": "s", "title": "t", "content": "x"}])),
            "messages.1.content.0.content: expected an array of text blocks, got a string",
        ),
        (
            user(json!([{"type": "search_result", "source": "s", "title": "t",
                "content": [{"type": "redacted_thinking", "data": "d"}]}])),
            "messages.1.content.0.content.0: a search result holds text only",
        ),
        (
            user(json!([{"type": "search_result", "source": "s", "title": "t", "content": [],
                "citations": {"enabled": 1}}])),
            "messages.1.content.0.citations.enabled: expected a boolean, got a number",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "system": [1]}),
            "system.0: expected a content block, got a number",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "tools": [{"name": "t"}]}),
            "tools.0.input_schema: field required",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "tool_choice": {}}),
            "tool_choice.type: field required",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "tool_choice": {"type": "tool"}}),
            "tool_choice.name: field required",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "stop_sequences": [1]}),
            "stop_sequences.0: expected a string, got a number",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "temperature": "hot"}),
            "temperature: expected a number, got a string",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "thinking": {"type": "enabled", "budget_tokens": 1.5}}),
            "thinking.budget_tokens: expected a non-negative integer",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "metadata": {"user_id": 7}}),
            "metadata.user_id: expected a string, got a number",
        ),
    ] {
        let failure = decode_body(body.to_string().as_bytes()).expect_err(message);
        assert!(failure.message.starts_with(message), "{failure}");
        assert!(failure.message.starts_with(failure.param.as_deref().expect("a path")));
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":{deep}}}]}}"#);
    assert!(inbound::read(Operation::Chat, body.as_bytes()).is_err());
    assert!(decode_body(body.as_bytes()).is_err());
}

/// Any JSON that may stand in an unknown place.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(|number: f64| json!(number)),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,4}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// An object of these fields, some of the optional ones, and unknown ones.
fn object(required: Value, optional: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Value> {
    let optional: Vec<_> = optional
        .into_iter()
        .map(|(key, value)| prop::option::of(value).prop_map(move |value| (key, value)))
        .collect();
    (optional, prop::collection::hash_map("x_[a-z]{1,3}", anything(), 0..2))
        .prop_map(move |(optional, unknown)| {
            let Value::Object(mut map) = required.clone() else { unreachable!() };
            map.extend(optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
            map.extend(unknown);
            Value::Object(map)
        })
        .boxed()
}

fn text() -> BoxedStrategy<Value> {
    ".{0,12}".prop_map(Value::from).boxed()
}

fn cache() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(json!({"type": "ephemeral"})),
        Just(json!({"type": "ephemeral", "ttl": "1h"})),
        Just(json!({"type": "ephemeral", "scope": "global"})),
        Just(Value::Null),
    ]
    .boxed()
}

/// Whether something may be cited, said in all the ways there are.
fn citable() -> BoxedStrategy<Value> {
    object(json!({}), vec![("enabled", any::<bool>().prop_map(Value::from).boxed())])
}

/// A piece of a search result.
fn piece() -> BoxedStrategy<Value> {
    object(json!({"type": "text", "text": "t"}), vec![("text", text()), ("cache_control", cache())])
}

/// What a text rests on: known, unknown, or no list at all.
fn citations() -> BoxedStrategy<Value> {
    let known = object(
        json!({"type": "page_location", "cited_text": "c", "document_index": 0, "start_page_number": 1,
               "end_page_number": 2}),
        vec![("cited_text", text()), ("document_title", prop_oneof![text(), Just(Value::Null)].boxed())],
    );
    let some = prop::collection::vec(prop_oneof![3 => known, 1 => anything()], 0..3);
    prop_oneof![some.prop_map(Value::from), anything()].boxed()
}

fn block() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        object(
            json!({"type": "text", "text": "t"}),
            vec![("text", text()), ("cache_control", cache()), ("citations", citations())]
        ),
        object(
            json!({"type": "thinking", "thinking": "t"}),
            vec![("thinking", text()), ("signature", text())]
        ),
        object(json!({"type": "redacted_thinking", "data": "d"}), vec![]),
        object(
            json!({"type": "tool_use", "id": "i", "name": "n", "input": {}}),
            vec![
                ("input", anything().prop_filter("given", |input| !input.is_null()).boxed()),
                ("cache_control", cache())
            ]
        ),
        object(
            json!({"type": "image", "source": {"type": "url", "url": "u"}}),
            vec![("cache_control", cache())]
        ),
        object(
            json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}}),
            vec![("title", text()), ("context", text()), ("citations", citable())]
        ),
        object(
            json!({"type": "search_result", "source": "s", "title": "t", "content": []}),
            vec![
                ("content", prop::collection::vec(piece(), 0..3).prop_map(Value::from).boxed()),
                ("citations", citable()),
                ("cache_control", cache()),
            ]
        ),
        object(
            json!({"type": "server_tool_use", "id": "i"}),
            vec![("input", anything().boxed()), ("cache_control", cache())]
        ),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        object(
            json!({"type": "tool_result", "tool_use_id": "i"}),
            vec![
                (
                    "content",
                    prop_oneof![text(), prop::collection::vec(inner, 0..3).prop_map(Value::from).boxed()]
                        .boxed(),
                ),
                ("is_error", any::<bool>().prop_map(Value::from).boxed()),
            ],
        )
    })
    .boxed()
}

fn content() -> BoxedStrategy<Value> {
    prop_oneof![text(), prop::collection::vec(block(), 0..4).prop_map(Value::from)].boxed()
}

fn request() -> impl Strategy<Value = Value> {
    let message = ("user|assistant|system", content())
        .prop_map(|(role, content)| json!({"role": role, "content": content}));
    let tool = object(
        json!({"name": "n", "input_schema": {"type": "object"}}),
        vec![
            ("description", text()),
            ("strict", any::<bool>().prop_map(Value::from).boxed()),
            ("cache_control", cache()),
            (
                "type",
                prop_oneof![Just(json!("custom")), Just(json!("bash_20250124")), Just(Value::Null)].boxed(),
            ),
        ],
    );
    let settings = object(
        json!({"model": "m", "max_tokens": 1}),
        vec![
            ("system", content()),
            ("stream", Just(json!(true)).boxed()),
            ("temperature", (0.0..2.0).prop_map(|number: f64| json!(number)).boxed()),
            ("top_k", any::<u32>().prop_map(Value::from).boxed()),
            ("stop_sequences", prop::collection::vec(text(), 0..3).prop_map(Value::from).boxed()),
            ("tools", prop::collection::vec(tool, 0..3).prop_map(Value::from).boxed()),
            (
                "tool_choice",
                object(
                    json!({"type": "auto"}),
                    vec![
                        ("type", "auto|any|none|new".prop_map(Value::from).boxed()),
                        ("disable_parallel_tool_use", any::<bool>().prop_map(Value::from).boxed()),
                    ],
                ),
            ),
            (
                "thinking",
                object(
                    json!({"type": "enabled"}),
                    vec![
                        ("type", "enabled|disabled|adaptive|between_tools".prop_map(Value::from).boxed()),
                        ("display", "summarized|omitted|.{0,8}".prop_map(Value::from).boxed()),
                    ],
                ),
            ),
            (
                "output_config",
                object(
                    json!({}),
                    vec![
                        ("effort", "low|medium|high|xhigh|max|new".prop_map(Value::from).boxed()),
                        (
                            "format",
                            prop_oneof![Just(json!({"type": "json_schema", "schema": {"a": 1}})), anything()]
                                .boxed(),
                        ),
                    ],
                ),
            ),
            ("output_format", Just(json!({"type": "json_schema", "schema": {}})).boxed()),
            ("metadata", object(json!({}), vec![("user_id", text())])),
        ],
    );
    (prop::collection::vec(message, 1..4), settings).prop_map(|(messages, mut body)| {
        body["messages"] = messages.into();
        body
    })
}

proptest! {
    #[test]
    fn anthropic_is_lossless_whatever_is_said(body in request()) {
        prop_assert_eq!(again(&body), body);
    }

    #[test]
    fn no_body_is_a_panic(mut body in request(), junk in anything(), place in 0_usize..40) {
        // One value somewhere replaced by anything at all.
        let mut places = Vec::new();
        collect(&mut body, &mut places);
        let count = places.len();
        *places.swap_remove(place % count) = junk;
        let _ = decode_body(body.to_string().as_bytes());
        let _ = inbound::read(Operation::Chat, body.to_string().as_bytes());
    }
}

/// Every leaf of a tree.
fn collect<'a>(value: &'a mut Value, places: &mut Vec<&'a mut Value>) {
    let empty = match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => true,
    };
    match value {
        leaf if empty => places.push(leaf),
        Value::Array(items) => items.iter_mut().for_each(|item| collect(item, places)),
        Value::Object(map) => map.values_mut().for_each(|item| collect(item, places)),
        _ => {}
    }
}
