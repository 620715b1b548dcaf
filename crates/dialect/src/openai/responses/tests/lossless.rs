//! Decoding a request and encoding it again at home changes nothing.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{call, chat, try_call};
use crate::openai::responses::encode::encode;

const REQUESTS: &str = include_str!("../fixtures/requests.json");

fn requests() -> Map<String, Value> {
    serde_json::from_str(REQUESTS).expect("the fixture is JSON")
}

fn again(body: &Value) -> Value {
    let call = call(body);
    let chat = call.chat().unwrap_or_else(|failure| panic!("{failure}"));
    let encoded = encode(chat, &call.head, &call.head.model).expect("home takes everything");
    assert_eq!(encoded.dropped, [], "home drops nothing");
    Value::Object(encoded.body)
}

#[test]
fn openai_responses_is_lossless() {
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
    use crate::openai::responses::outbound::OpenAiResponses;

    for (name, body) in requests().into_iter().filter(|(name, _)| name != "conversation") {
        let call = call(&body);
        let same = OpenAiResponses.encode(&call, "m").expect("home");
        assert_eq!(same.body, std::slice::from_ref(&call.body), "{name}");
        let other = OpenAiResponses.encode(&call, "vendor/other").expect("home");
        assert!(other.home && other.dropped.is_empty());
        assert_eq!(other.path, "/responses");
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
    prop_oneof![
        ".{0,8}".prop_map(|text| json!({"type": "input_text", "text": text})),
        (".{0,8}", anything())
            .prop_map(|(text, extra)| json!({"type": "output_text", "text": text, "x": extra})),
        "[A-Za-z0-9+/]{0,8}".prop_map(|data| {
            json!({"type": "input_image", "image_url": format!("data:image/png;base64,{data}")})
        }),
        "[a-z]{1,5}".prop_map(|name| json!({"type": "input_file", "filename": name, "file_data": "AAAA"})),
        anything().prop_map(|value| json!({"type": "input_novel", "value": value})),
    ]
}

fn item() -> impl Strategy<Value = Value> {
    let content = prop_oneof![
        ".{0,8}".prop_map(Value::from),
        prop::collection::vec(part(), 0..3).prop_map(Value::from),
    ];
    let role = prop_oneof![Just("user"), Just("assistant"), Just("developer"), Just("system")];
    let output = prop_oneof![
        ".{0,8}".prop_map(Value::from),
        prop::collection::vec(part(), 0..3).prop_map(Value::from),
    ];
    prop_oneof![
        (role.clone(), content.clone()).prop_map(|(role, content)| json!({"role": role, "content": content})),
        (role, content, anything(), anything()).prop_map(|(role, content, id, extra)| {
            json!({"type": "message", "role": role, "content": content, "id": id, "x": extra})
        }),
        (".{0,8}", anything()).prop_map(|(text, extra)| {
            json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": text, "x": extra})
        }),
        ".{0,8}".prop_map(|text| json!({"type": "custom_tool_call", "call_id": "c", "name": "f", "input": text})),
        (output.clone(), anything()).prop_map(|(output, extra)| {
            json!({"type": "function_call_output", "call_id": "c", "output": output, "x": extra})
        }),
        output.prop_map(|output| json!({"type": "custom_tool_call_output", "call_id": "c", "output": output})),
        (".{0,8}", "[a-z.:]{0,9}").prop_map(|(text, seal)| {
            json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": text}], "encrypted_content": seal})
        }),
        anything().prop_map(|value| json!({"type": "novel_call", "value": value})),
    ]
}

proptest! {
    #[test]
    fn generated_requests_are_lossless(
        items in prop::collection::vec(item(), 0..5),
        extra in anything(),
        effort in prop_oneof![Just(json!({"effort": "low"})), Just(json!({})), anything().prop_map(|x| json!({"effort": x, "y": x}))],
    ) {
        let body = json!({"model": "m", "input": items, "extra": extra, "reasoning": effort});
        prop_assert_eq!(again(&body), body);
    }

    #[test]
    fn generated_settings_are_lossless(
        text in prop::option::of((
            prop::option::of(prop::sample::select(vec![
                json!({"type": "text"}),
                json!({"type": "json_object"}),
                json!({"type": "json_schema", "name": "n", "schema": {}, "strict": null}),
                json!({"type": "json_schema", "schema": {"a": 1.0}, "x": 1}),
            ])),
            prop::option::of("low|medium|high|odd"),
            prop::option::of(anything()),
        )),
        reasoning in (prop::option::of("none|low|max|odd"), prop::option::of("auto|detailed"), prop::option::of("auto|concise")),
        who in (prop::option::of("[a-z]{1,4}"), prop::option::of("[a-z]{1,4}")),
        tier in prop::option::of("auto|default|flex"),
        top in prop::option::of(0..3_u8),
        include in prop::option::of(prop::collection::vec("message.output_text.logprobs|reasoning.encrypted_content", 0..3)),
        handled in (any::<Option<bool>>(), prop::option::of(anything()), prop::option::of("auto|disabled")),
    ) {
        let mut body = json!({"model": "m", "input": "hi"});
        let mut put = |place: &str, value: Option<Value>| {
            let Some(value) = value else { return };
            let (outer, inner) = place.split_once('.').unwrap_or((place, ""));
            if inner.is_empty() { body[outer] = value } else { body[outer][inner] = value }
        };
        if let Some((format, verbosity, more)) = text {
            put("text", Some(json!({})));
            put("text.format", format);
            put("text.verbosity", verbosity.map(Value::from));
            put("text.more", more);
        }
        put("reasoning.effort", reasoning.0.map(Value::from));
        put("reasoning.summary", reasoning.1.map(Value::from));
        put("reasoning.generate_summary", reasoning.2.map(Value::from));
        put("user", who.0.map(Value::from));
        put("safety_identifier", who.1.map(Value::from));
        put("service_tier", tier.map(Value::from));
        put("top_logprobs", top.map(Value::from));
        put("include", include.map(Value::from));
        put("store", handled.0.map(Value::from));
        put("metadata", handled.1);
        put("truncation", handled.2.map(Value::from));
        prop_assert_eq!(again(&body), body);
    }

    #[test]
    fn any_json_is_answered(body in anything(), input in anything(), tools in anything()) {
        for body in [body.clone(), json!({"model": "m", "input": input, "tools": tools, "tool_choice": body, "text": input, "reasoning": tools})] {
            if let Ok(call) = try_call(&body) {
                let _ = call.chat();
            }
        }
    }
}
