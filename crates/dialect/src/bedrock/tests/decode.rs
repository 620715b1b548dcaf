//! Converse bodies → [`Chat`].

use message::{BlockKind, ErrorKind, SPELLING, said};
use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn every_part_of_converse_is_understood() {
    let text: Vec<String> = fixtures("converse")
        .into_iter()
        .map(|(name, body)| format!("## {name}\n{}\n", said_in(&converse(&body).unwrap())))
        .collect();
    insta::assert_snapshot!("converse", text.join("\n"));
}

/// What a chat says, without the many fields that say nothing.
fn said_in(chat: &Chat) -> String {
    let silent = |line: &str| [": None,", ": {},", ": [],", ": false,"].iter().any(|end| line.ends_with(end));
    let text = format!("{chat:#?}");
    text.lines().filter(|line| !silent(line)).collect::<Vec<_>>().join("\n")
}

/// Puts a member nobody knows into the object that is `place`th in reading order.
fn strange(value: &mut Value, place: &mut usize) -> bool {
    match value {
        Value::Array(items) => items.iter_mut().any(|item| strange(item, place)),
        Value::Object(members) => {
            if *place == 0 {
                members.insert("newMember".to_owned(), json!("kept-as-it-is"));
                return true;
            }
            *place -= 1;
            members.values_mut().any(|member| strange(member, place))
        }
        _ => false,
    }
}

#[test]
fn members_nobody_knows_are_kept_or_refused_wherever_they_stand() {
    for (name, body) in fixtures("converse") {
        for place in 0.. {
            let mut body = body.clone();
            if !strange(&mut body, &mut place.clone()) {
                break;
            }
            match converse(&body) {
                Ok(chat) => assert!(
                    format!("{chat:?}").contains("kept-as-it-is"),
                    "{name}, place {place}: lost from {body}"
                ),
                // A union with two members.
                Err(failure) => assert!(failure.message.contains("exactly one of"), "{name}: {failure}"),
            }
        }
    }
}

#[test]
fn only_what_no_other_dialect_says_counts_as_lost() {
    let losses = |name: &str| -> Vec<String> {
        let (_, body) = fixtures("converse").into_iter().find(|(fixture, _)| fixture == name).unwrap();
        let chat = converse(&body).unwrap();
        let blocks = chat.system.iter().chain(chat.messages.iter().flat_map(|message| &message.content));
        let tools = chat.tools.iter().map(|tool| &tool.extra);
        let extras = std::iter::once(&chat.extra).chain(tools).chain(blocks.map(|block| &block.extra));
        extras.flat_map(|extra| said(extra).map(str::to_owned).collect::<Vec<_>>()).collect()
    };
    for name in ["text", "image", "video", "audio", "tool_use", "reasoning", "c1_cache_points", "tools"] {
        assert_eq!(losses(name), Vec::<String>::new(), "{name}");
    }
    assert_eq!(losses("additional_nova"), Vec::<String>::new());
    assert_eq!(losses("additional_claude"), ["additionalModelRequestFields"]);
    assert_eq!(
        losses("parameters"),
        ["guardrailConfig", "requestMetadata", "performanceConfig", "serviceTier"]
    );
}

#[test]
fn a_guardrail_is_applied_or_the_call_refused() {
    let mut body = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
    assert!(converse(&body).unwrap().leave_home().is_ok());
    body["guardrailConfig"] = json!({"guardrailIdentifier": "a", "guardrailVersion": "1"});
    let failure = converse(&body).unwrap().leave_home().unwrap_err();
    assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::Unsupported, Some("guardrailConfig")));
}

#[test]
fn c1_a_cache_point_marks_what_stands_before_it() {
    let (_, body) = fixtures("converse").into_iter().find(|(name, _)| name == "c1_cache_points").unwrap();
    let chat = converse(&body).unwrap();
    let ttl = |block: &message::Block| block.cache.as_ref().map(|cache| cache.ttl.clone());
    assert_eq!(ttl(&chat.system[0]), Some(None));
    assert_eq!(ttl(&chat.messages[0].content[0]), Some(Some("1h".to_owned())));
    assert_eq!(ttl(&chat.messages[0].content[1]), None);
    assert_eq!(chat.tools[0].cache.as_ref().unwrap().ttl.as_deref(), Some("1h"));
    // One with nothing before it is carried by an empty text of its own.
    let carrier = &chat.messages[2].content[0];
    assert_eq!((carrier.as_text(), ttl(carrier)), (Some(""), Some(Some("5m".to_owned()))));
    assert_eq!(carrier.extra[SPELLING]["block"], "cachePoint");
}

#[test]
fn the_head_is_read_without_decoding() {
    let head = head(
        Dialect::BedrockConverse,
        r#"{"messages": [], "inferenceConfig": {"temperature": 1, "maxTokens": 7}}"#,
    )
    .unwrap();
    assert_eq!((head.model.as_str(), head.stream, head.max_tokens), ("a.model", true, Some(7)));
    assert_eq!(head.model_span, None);
}

#[test]
fn every_fault_names_its_place() {
    let hi = json!([{"role": "user", "content": [{"text": "hi"}]}]);
    let content = |block: Value| json!({"messages": [{"role": "user", "content": [{"text": "hi"}, block]}]});
    let with = |key: &str, value: Value| json!({"messages": hi, key: value});
    let faults: Vec<String> = [
        json!({}),
        json!({"messages": "hi"}),
        json!({"messages": null}),
        json!({"messages": []}),
        json!({"messages": ["hi"]}),
        json!({"messages": [{"content": []}]}),
        json!({"messages": [{"role": "robot", "content": []}]}),
        json!({"messages": [{"role": "user", "content": "hi"}]}),
        content(json!("hi")),
        content(json!({"text": 7})),
        content(json!({"text": "a", "image": {}})),
        content(json!({})),
        content(json!({"image": {"format": "png", "source": {"bytes": 1}}})),
        content(json!({"toolUse": {"toolUseId": "t", "name": "n"}})),
        content(json!({"toolUse": {"toolUseId": "t", "name": "n", "input": {}, "type": "x"}})),
        content(json!({"toolResult": {"toolUseId": "t", "content": [{"text": 1}]}})),
        content(json!({"toolResult": {"toolUseId": "t", "content": [], "status": "meh"}})),
        content(json!({"reasoningContent": {"reasoningText": {"signature": "s"}}})),
        content(json!({"guardContent": {"video": {}}})),
        with("system", json!("be nice")),
        with("system", json!([{"text": null}])),
        with("inferenceConfig", json!({"maxTokens": 0})),
        with("inferenceConfig", json!({"maxTokens": "9"})),
        with("inferenceConfig", json!({"temperature": 2.5})),
        with("inferenceConfig", json!({"stopSequences": ["a", ""]})),
        with("toolConfig", json!({})),
        with("toolConfig", json!({"tools": [{"toolSpec": {"name": "n"}}]})),
        with("toolConfig", json!({"tools": [{"cachePoint": {"type": "default"}}]})),
        with("toolConfig", json!({"tools": [], "toolChoice": {"tool": {}}})),
        with("toolConfig", json!({"tools": [], "toolChoice": {"some": {}}})),
        with(
            "outputConfig",
            json!({"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": {}}}}}),
        ),
        with(
            "outputConfig",
            json!({"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{"}}}}),
        ),
        with("additionalModelRequestFields", json!({"top_k": "many"})),
        with("additionalModelRequestFields", json!({"thinking": {"type": "maybe"}})),
        with("additionalModelResponseFieldPaths", json!(["stop_sequence"])),
        with("promptVariables", json!({"name": {"text": "x"}})),
    ]
    .iter()
    .map(|body| converse(body).expect_err(&body.to_string()))
    .map(|failure| format!("{:?} {:?}: {}", failure.kind, failure.param.unwrap_or_default(), failure.message))
    .collect();
    insta::assert_snapshot!("faults", faults.join("\n"));
}

#[test]
fn bodies_that_are_no_json_are_refused_before_anything_else() {
    let deep = format!("{{\"messages\": {}", "[".repeat(100_000));
    for body in ["", "{", "[]", "\u{1}", "{\"messages\": [}", "{\"messages\": [], \"messages\": []}", &deep] {
        let failure = head(Dialect::BedrockConverse, body).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::InvalidRequest);
        assert!(failure.message.len() < 300, "{}", failure.message);
    }
}

#[test]
fn what_newer_clients_say_is_kept_whole() {
    let chat =
        converse(&json!({"messages": [{"role": "user", "content": [{"hologram": {"x": 1}}]}]})).unwrap();
    let block = BlockKind::Opaque { dialect: Dialect::BedrockConverse, value: json!({"hologram": {"x": 1}}) };
    assert_eq!(chat.messages[0].content[0].kind, block);
}

#[test]
fn tokens_are_counted_of_either_form() {
    for (name, body) in fixtures("count_tokens") {
        if name == "invoke_model" {
            continue;
        }
        let call = call(Dialect::BedrockConverse, Operation::CountTokens, body.to_string()).unwrap();
        assert_eq!(call.chat().unwrap().messages[0].content[0].as_text(), Some("hi"), "{name}");
    }
    for (body, place) in [
        (json!({}), "input"),
        (json!({"input": {}}), "input"),
        (json!({"input": {"converse": {"messages": [{}]}}}), "input.converse.messages.0.role"),
        (json!({"input": {"invokeModel": {}}}), "input.invokeModel.body"),
        (json!({"input": {"invokeModel": {"body": "%"}}}), "input.invokeModel.body"),
        (json!({"input": {"other": {}}}), "input.other"),
    ] {
        let counted = call(Dialect::BedrockConverse, Operation::CountTokens, body.to_string())
            .and_then(|call| call.chat().cloned());
        assert_eq!(counted.unwrap_err().param.as_deref(), Some(place));
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    // The words of the dialect, so that the random bodies get past its doors.
    let word = prop::sample::select(vec![
        "messages",
        "role",
        "content",
        "text",
        "image",
        "source",
        "bytes",
        "toolUse",
        "toolResult",
        "toolUseId",
        "name",
        "input",
        "cachePoint",
        "type",
        "system",
        "toolConfig",
        "tools",
        "toolSpec",
        "inputSchema",
        "json",
        "inferenceConfig",
        "maxTokens",
        "outputConfig",
        "additionalModelRequestFields",
        "guardContent",
        "x",
    ]);
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..5).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_panics(messages in any_json(), config in any_json(), extra in any_json()) {
        let body = json!({
            "messages": [messages, {"role": "user", "content": [extra]}],
            "toolConfig": config.clone(), "outputConfig": config.clone(), "system": config.clone(),
            "additionalModelRequestFields": config,
        });
        let _ = converse(&body);
    }
}
