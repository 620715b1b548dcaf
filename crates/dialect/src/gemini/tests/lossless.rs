//! Decoding a request and encoding it again at home changes nothing.

use ::message::Operation;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{call, chat, try_call};
use crate::Outbound;
use crate::gemini::encode::encode;
use crate::gemini::outbound::Gemini;

/// What Google's SDKs and documents send, and what protobuf's JSON allows besides.
fn requests() -> Vec<(&'static str, Value)> {
    vec![
        ("plain", json!({"contents": [{"parts": [{"text": "hi"}], "role": "user"}]})),
        (
            "documents_example",
            json!({"system_instruction": {"parts": {"text": "cat"}}, "contents": {"parts": {"text": "hi"}}}),
        ),
        (
            "everything",
            json!({
                "systemInstruction": {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
                "contents": [
                    {"role": "user", "parts": [
                        {"text": "look"},
                        {"inlineData": {"mimeType": "image/png", "data": "iVBO-_8=", "displayName": "a.png"}, "mediaResolution": {"level": "HIGH"}},
                        {"inline_data": {"mime_type": "audio/wav", "data": "AAAA"}},
                        {"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/a.png"}},
                        {"fileData": {"fileUri": "https://youtu.be/x"}, "videoMetadata": {"fps": 2.0}},
                    ]},
                    {"role": "model", "parts": [
                        {"text": "hm", "thought": true},
                        {"text": "", "thought": true},
                        {"text": "sealed", "thought": true, "thoughtSignature": "c2VhbA=="},
                        {"text": "hi", "thoughtSignature": "c2VhbDI="},
                        {"functionCall": {"name": "f", "args": {"a": 1.0}}, "thoughtSignature": "c2VhbDM="},
                        {"functionCall": {"id": "x", "name": "f"}, "thought": false},
                        {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "eA=="},
                        {"of_the_future": {"$spelling": 1}},
                        {"text": "", "thoughtSignature": "ZW5k"},
                    ]},
                    {"role": "function", "parts": [
                        {"functionResponse": {"name": "f", "response": {"output": "x"}}},
                        {"function_response": {"id": "x", "name": "f", "response": {"a": [1]}, "will_continue": false,
                            "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBO"}}]}},
                    ]},
                    {"role": "model"},
                    {"parts": []},
                ],
                "tools": [
                    {"functionDeclarations": [
                        {"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "NUMBER"}}}, "behavior": "BLOCKING"},
                        {"name": "g", "parametersJsonSchema": {"type": "object"}},
                    ]},
                    {"googleSearch": {}, "urlContext": {}},
                ],
                "toolConfig": {
                    "functionCallingConfig": {"mode": "any", "allowedFunctionNames": ["f", "g"]},
                    "retrievalConfig": {"latLng": {"latitude": 1}},
                },
                "safetySettings": [{"category": "C", "threshold": "OFF"}],
                "generationConfig": {
                    "temperature": 1, "topP": 0.5, "topK": 40.0, "maxOutputTokens": 9, "candidateCount": 1,
                    "stopSequences": ["x"], "seed": 7, "presencePenalty": 0.0, "responseLogprobs": true, "logprobs": 0,
                    "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "nullable": true},
                    "thinkingConfig": {"includeThoughts": true, "thinkingBudget": -1, "more": 1},
                    "speechConfig": {"voice": "x"}, "mediaResolution": "LOW", "responseModalities": ["TEXT"],
                },
                "cachedContent": "cachedContents/x", "labels": {"a": "b"}, "serviceTier": "flex", "nothing": null,
            }),
        ),
        (
            "snake",
            json!({
                "contents": [{"parts": [{"text": "hi"}]}],
                "tool_config": {"function_calling_config": {"mode": "NONE"}},
                "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object"}}]}],
                "generation_config": {"max_output_tokens": 5, "top_k": 3, "thinking_config": {"thinking_level": "LOW"},
                    "response_mime_type": "text/plain", "stop_sequences": []},
                "safety_settings": [],
            }),
        ),
        (
            "empty_objects",
            json!({"contents": [{"parts": [{"text": ""}]}], "generationConfig": {}, "tools": [], "toolConfig": {}}),
        ),
        (
            "several",
            json!({"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"candidateCount": 2, "responseMimeType": "text/x.enum"}}),
        ),
        (
            "named_model",
            json!({"model": "models/gemini-2.5-flash", "contents": [{"parts": [{"text": "x"}]}]}),
        ),
        (
            "wrapped",
            json!({"generateContentRequest": {"model": "models/gemini-2.5-flash", "contents": [{"parts": [{"text": "x"}]}]}, "x": 1}),
        ),
    ]
}

fn again(body: &Value) -> Value {
    let call = call(body);
    let chat = call.chat().unwrap_or_else(|failure| panic!("{failure}"));
    let encoded = encode(chat, Operation::Chat, "gemini-2.5-flash").expect("home takes everything");
    assert_eq!(encoded.dropped, [], "home drops nothing");
    Value::Object(encoded.body)
}

#[test]
fn gemini_is_lossless() {
    for (name, body) in requests() {
        assert_eq!(again(&body), body, "{name}");
    }
}

/// What the fixtures decode to, so that losslessness is not bought by decoding nothing.
#[test]
fn fixtures_are_understood() {
    for (name, body) in requests() {
        insta::assert_debug_snapshot!(format!("request_{name}"), chat(&body));
    }
}

/// The model is in the path: a body goes on as it came, or with the name in it spliced.
#[test]
fn forwarding_touches_the_model_only() {
    for (name, body) in requests() {
        let call = call(&body);
        let outgoing = Gemini::default().encode(&call, "models/gemini-2.5-pro").expect("home");
        assert!(outgoing.home && outgoing.dropped.is_empty(), "{name}");
        assert_eq!(outgoing.path, "/models/gemini-2.5-pro:generateContent");
        let mut expected = body;
        if let Some(model) = expected.get_mut("model") {
            *model = "models/gemini-2.5-pro".into();
        }
        assert_eq!(outgoing.body.concat(), expected.to_string().into_bytes(), "{name}");
    }
    let body = json!({"contents": [{"parts": [{"text": "x"}]}]});
    for (query, path) in [("alt=sse", "?alt=sse"), ("", "")] {
        let call = try_call(Operation::Chat, true, query, &body).expect("good");
        let outgoing = Gemini::default().encode(&call, "a b/c").expect("home");
        assert_eq!(outgoing.path, format!("/models/a%20b/c:streamGenerateContent{path}"));
        assert_eq!(outgoing.body, std::slice::from_ref(&call.body));
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
            prop::collection::vec(("[a-z_$]{1,4}|\\$spelling|someName", inner), 0..3)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::vec(("[a-z_$A-Z]{1,4}|\\$spelling", anything()), 0..3)
        .prop_map(|fields| fields.into_iter().collect())
}

fn part() -> impl Strategy<Value = Value> {
    let signature = prop::option::of("[A-Za-z0-9+/]{1,8}");
    let known = prop_oneof![
        ".{0,8}".prop_map(|text| json!({ "text": text })),
        (".{0,8}", any::<bool>()).prop_map(|(text, thought)| json!({"text": text, "thought": thought})),
        ("[A-Za-z0-9+/_-]{0,9}", "[a-z]{1,5}/[a-z]{1,5}")
            .prop_map(|(data, kind)| json!({"inlineData": {"data": data, "mimeType": kind}})),
        ("(gs|https)://[a-z./]{0,8}", prop::option::of("image/png"))
            .prop_map(|(uri, kind)| json!({"file_data": {"file_uri": uri, "mimeType": kind}})),
        ("[a-z]{1,3}", object(), prop::option::of("[a-z]{1,3}"))
            .prop_map(|(name, args, id)| json!({"functionCall": {"name": name, "args": args, "id": id}})),
        ("[a-z]{1,3}", object())
            .prop_map(|(name, response)| json!({"functionResponse": {"name": name, "response": response}})),
        object(),
    ];
    (known, signature, object()).prop_map(|(mut part, signature, more)| {
        if let (Some(signature), Some(fields)) = (signature, part.as_object_mut()) {
            fields.insert("thoughtSignature".to_owned(), signature.into());
        }
        if let (Value::Object(fields), Value::Object(more)) = (&mut part, more) {
            more.into_iter().for_each(|(name, value)| {
                fields.entry(name).or_insert(value);
            });
        }
        part
    })
}

fn request() -> impl Strategy<Value = Value> {
    let content = (prop::option::of("user|model|function"), prop::collection::vec(part(), 0..4));
    let content = content.prop_map(|(role, parts)| match role {
        Some(role) => json!({"role": role, "parts": parts}),
        None => json!({ "parts": parts }),
    });
    let config = (
        0_u64..100,
        prop::option::of(-1_i64..50),
        prop::option::of("LOW|HIGH|ODD"),
        any::<Option<bool>>(),
        object(),
    );
    let config = config.prop_map(|(max, budget, level, shown, more)| {
        let thinking = json!({"thinkingBudget": budget, "thinking_level": level, "includeThoughts": shown});
        let mut config = json!({"maxOutputTokens": max, "thinkingConfig": thinking});
        if let (Value::Object(fields), Value::Object(more)) = (&mut config, more) {
            more.into_iter().for_each(|(name, value)| {
                fields.entry(name).or_insert(value);
            });
        }
        config
    });
    (prop::collection::vec(content, 1..4), config, object(), "AUTO|any|NONE|VALIDATED").prop_map(
        |(contents, config, more, mode)| {
            let mut body = json!({
                "contents": contents, "generation_config": config,
                "tools": [{"functionDeclarations": [{"name": "f", "x": 1}], "more": more}],
                "toolConfig": {"functionCallingConfig": {"mode": mode, "allowedFunctionNames": ["f"]}, "x": more},
            });
            body["unknownField"] = more;
            body
        },
    )
}

proptest! {
    #[test]
    fn any_request_is_lossless(body in request()) {
        if let Ok(call) = try_call(Operation::Chat, false, "", &body)
            && let Ok(chat) = call.chat()
        {
            let encoded = encode(chat, Operation::Chat, "gemini-2.5-flash").expect("home takes everything");
            prop_assert_eq!(Value::Object(encoded.body), body);
        }
    }
}
