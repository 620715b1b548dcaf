//! A Converse body, decoded and encoded again, is the same JSON.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::bedrock::encode;

fn again(body: &Value) -> Value {
    let chat = converse(body).unwrap_or_else(|failure| panic!("{failure}: {body}"));
    encode::body(chat, Operation::Chat).unwrap()
}

#[test]
fn converse_is_lossless() {
    for (name, body) in fixtures("converse") {
        assert_eq!(again(&body), body, "{name}");
    }
}

#[test]
fn what_says_nothing_is_kept_too() {
    let messages = json!([{"role": "user", "content": []}]);
    for body in [
        json!({"messages": messages, "system": [], "inferenceConfig": {}, "additionalModelRequestFields": {}}),
        json!({"messages": messages, "inferenceConfig": {"stopSequences": []}, "outputConfig": {}}),
        json!({"messages": messages, "toolConfig": {"tools": []}, "additionalModelResponseFieldPaths": []}),
        json!({"messages": messages, "toolConfig": {"tools": [], "toolChoice": {"auto": {}}}}),
        json!({"messages": [{"role": "user", "content": [{"citationsContent": {}}, {"guardContent": {"text": {"text": ""}}}]}]}),
        json!({"messages": messages, "additionalModelRequestFields": {"top_k": 4, "topK": 5, "x": {}, "reasoning_effort": "low"},
               "outputConfig": {"effort": "high"}}),
    ] {
        assert_eq!(again(&body), body);
    }
}

/// Blocks as the service model has them, with members nobody knows.
fn block() -> impl Strategy<Value = Value> {
    let text = || prop_oneof![Just(String::new()), ".{0,12}"];
    let unknown = || prop_oneof![Just(json!({})), Just(json!({"newMember": [1.5, null]}))];
    let with = |mut value: Value, unknown: &Value| {
        for member in value.as_object_mut().unwrap().values_mut() {
            if let (Value::Object(member), Value::Object(unknown)) = (member, unknown) {
                // `null` is absence.
                member.extend(unknown.clone().into_iter().map(|(key, _)| (key, json!([1.5]))));
            }
        }
        value
    };
    let source = prop_oneof![
        Just(json!({"bytes": "aGk="})),
        Just(json!({"s3Location": {"uri": "s3://b/k"}})),
        text().prop_map(|text| json!({"text": text})),
        prop::collection::vec(text(), 0..3).prop_map(|texts| {
            json!({"content": texts.into_iter().map(|text| json!({"text": text})).collect::<Vec<_>>()})
        }),
        Just(json!({"newSource": {"a": 1}})),
    ];
    let format = prop::sample::select(vec!["png", "webp", "avif", "pdf", "md", "mpg", "mka", "three_gp"]);
    let file = (prop::sample::select(vec!["image", "video", "audio", "document"]), format, source, unknown());
    let leaf = prop_oneof![
        text().prop_map(|text| json!({"text": text})),
        file.prop_map(move |(kind, format, source, unknown)| {
            let mut file = json!({"format": format, "source": source});
            if kind == "document" {
                file["name"] = json!("a name");
                // Said, said emptily, or not at all.
                if unknown == json!({}) {
                    file["context"] = json!("");
                    file["citations"] = json!({"enabled": false, "newMember": 1});
                } else {
                    file["citations"] = json!({});
                }
            }
            with(json!({ kind: file }), &unknown)
        }),
        (text(), unknown()).prop_map(move |(text, unknown)| with(
            json!({"toolUse": {"toolUseId": text, "name": "n", "input": {"a": [text, 1.0, 1, true]}}}),
            &unknown
        )),
        Just(json!({"toolUse": {"toolUseId": "t", "name": "web", "input": 7, "type": "server_tool_use"}})),
        text().prop_map(|text| json!({"reasoningContent": {"reasoningText": {"text": text, "signature": "s"}}})),
        text().prop_map(|text| json!({"reasoningContent": {"reasoningText": {"text": text}}})),
        Just(json!({"reasoningContent": {"redactedContent": "c2VhbA=="}})),
        prop::sample::select(vec![json!({"type": "default"}), json!({"type": "default", "ttl": "1h"}), json!({"type": "future"})])
            .prop_map(|point| json!({ "cachePoint": point })),
        (text(), unknown()).prop_map(move |(text, unknown)| with(
            json!({"guardContent": {"text": {"text": text, "qualifiers": ["query"]}}}),
            if unknown == json!({}) { &unknown } else { &Value::Null }
        )),
        Just(json!({"guardContent": {"image": {"format": "jpeg", "source": {"bytes": "aGk="}}}})),
        prop::collection::vec(text(), 0..3).prop_map(|texts| json!({"citationsContent": {
            "content": texts.into_iter().map(|text| json!({"text": text})).collect::<Vec<_>>(),
            "citations": [{"title": "t", "location": {"documentChar": {"documentIndex": 0, "start": 1, "end": 2}}}],
        }})),
        (text(), unknown()).prop_map(move |(text, unknown)| with(
            json!({"searchResult": {"title": text, "source": "s", "citations": {"enabled": true},
                "content": [{"text": text}, {"text": "", "newMember": 1}]}}),
            &unknown
        )),
        Just(json!({"toolAddition": {"tool": {"type": "tool", "name": "n"}}})),
        Just(json!({"toolRemoval": {"tool": {"type": "tool", "name": "n"}}})),
    ];
    let inner = prop::collection::vec(
        prop_oneof![leaf.clone(), text().prop_map(|text| json!({"json": {"x": text}}))],
        0..3,
    );
    prop_oneof![
        4 => leaf,
        1 => (inner, prop::sample::select(vec![None, Some("success"), Some("error")])).prop_map(|(content, status)| {
            let mut result = json!({"toolUseId": "t", "content": content});
            result.as_object_mut().unwrap().extend(status.map(|status| ("status".to_owned(), json!(status))));
            json!({ "toolResult": result })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn generated_converse_is_lossless(
        turns in prop::collection::vec(("user|assistant|system", prop::collection::vec(block(), 0..5)), 1..4),
        temperature in 0.0..1.0_f64,
        schema in "[ ]?\\{\"type\":[ ]?\"object\"\\}",
        fields in prop::collection::vec(("top_k|topK|seed|k|newField", 1..9_u8), 0..3),
    ) {
        let messages: Vec<Value> =
            turns.into_iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
        let fields: serde_json::Map<String, Value> =
            fields.into_iter().map(|(name, value)| (name, json!(value))).collect();
        let body = json!({
            "messages": messages,
            "inferenceConfig": {"temperature": temperature, "maxTokens": 3},
            "additionalModelRequestFields": fields,
            "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema}}}},
        });
        prop_assert_eq!(again(&body), body);
    }
}
