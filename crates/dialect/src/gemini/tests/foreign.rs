//! Calls from other dialects to a Gemini server: what it is sent, what is lost.

use ::message::{
    Block, BlockKind, Chat, Dialect, Dropped, Effort, ErrorKind, Media, MediaSource, Operation, OutputFormat,
    Reasoning, Role, Sealer, Tool, ToolChoice, ToolKind, ToolOrigin,
};
use serde_json::{Map, Value, json};

use super::{call, foreign};
use crate::gemini::encode::{Encoded, encode};
use crate::gemini::outbound::Gemini;
use crate::gemini::seal;
use crate::{Outbound, Quirk, Quirks};

fn sent(chat: &Chat, model: &str) -> (Value, Vec<String>) {
    let Encoded { body, dropped } =
        encode(chat, Operation::Chat, model).unwrap_or_else(|failure| panic!("{failure}"));
    (Value::Object(body), dropped.into_iter().map(|Dropped { path, .. }| path).collect())
}

fn tool_use(id: &str, name: &str, input: &str) -> Block {
    Block::new(BlockKind::ToolUse {
        id: id.to_owned(),
        name: name.to_owned(),
        input: input.to_owned(),
        origin: ToolOrigin::Client,
    })
}

fn result(id: &str, content: Vec<Block>, is_error: Option<bool>) -> Block {
    Block::new(BlockKind::ToolResult { id: id.to_owned(), content, plain: false, is_error })
}

fn seal_of(sealer: Sealer, seal: &str) -> Block {
    Block::new(BlockKind::Thinking { text: String::new(), signature: Some(sealer.tag(seal)) })
}

fn picture() -> Block {
    let source = MediaSource::Base64("iVBO".to_owned());
    Block::new(BlockKind::Image(Media { media_type: Some("image/png".to_owned()), name: None, source }))
}

fn link(uri: &str) -> Block {
    let source = MediaSource::Url(uri.to_owned());
    Block::new(BlockKind::Image(Media { media_type: None, name: None, source }))
}

fn look(name: &str, strict: Option<bool>) -> Tool {
    let schema =
        json!({"type": "object", "$defs": {"a": {"const": "x"}}, "properties": {"a": {"$ref": "#/$defs/a"}}});
    Tool {
        name: name.to_owned(),
        description: None,
        kind: ToolKind::Function { schema: Some(schema) },
        strict,
        cache: None,
        extra: Map::new(),
    }
}

/// Two calls whose results come in the other order, among other things said.
fn parallel() -> Chat {
    foreign(vec![
        (Role::User, vec![Block::text("look"), Block::text(" ")]),
        (
            Role::Assistant,
            vec![
                seal_of(Sealer::Gemini, "c2VhbA=="),
                tool_use("a", "look", r#"{"x":1}"#),
                tool_use("b", "list", ""),
            ],
        ),
        (Role::User, vec![Block::text("first"), result("b", vec![Block::text("{\"$ref\": 1}")], None)]),
        (Role::Tool, vec![result("a", vec![Block::text("boom"), picture()], Some(true))]),
        (Role::System, vec![Block::text("be quick")]),
        (Role::User, vec![Block::text("go on")]),
    ])
}

#[test]
fn m1_m2_m5_r4_t4_a_conversation_keeps_its_pieces() {
    let (body, dropped) = sent(&parallel(), "gemini-3-pro");
    let expected = json!([
        {"role": "user", "parts": [{"text": "look"}]},
        {"role": "model", "parts": [
            {"functionCall": {"id": "a", "name": "look", "args": {"x": 1}}, "thoughtSignature": "c2VhbA=="},
            {"functionCall": {"id": "b", "name": "list", "args": {}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"id": "a", "name": "look", "response": {"error": "boom"},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBO"}}]}},
            {"functionResponse": {"id": "b", "name": "list", "response": {"output": "{\"$ref\": 1}"}}},
        ]},
        {"role": "user", "parts": [{"text": "first"}, {"text": "<system>\nbe quick\n</system>"}, {"text": "go on"}]},
    ]);
    assert_eq!(body["contents"], expected);
    assert_eq!(dropped, ["messages.4.role"]);
}

#[test]
fn m2_before_gemini_3_pictures_stand_beside_the_results() {
    let (body, _) = sent(&parallel(), "gemini-2.5-flash");
    let contents = body["contents"].as_array().expect("a list");
    assert_eq!(contents[2]["parts"].as_array().map(Vec::len), Some(2));
    assert_eq!(contents[2]["parts"][0]["functionResponse"].get("parts"), None);
    assert_eq!(contents[3]["parts"][1]["text"], "Attached to the result of tool call a (look):");
    assert_eq!(contents[3]["parts"][2]["inlineData"]["mimeType"], "image/png");
}

#[test]
fn m4_links_of_every_kind_travel() {
    let chat = foreign(vec![(Role::User, vec![link("gs://bucket/a.PNG"), link("https://h/a?b=c.d")])]);
    let (body, dropped) = sent(&chat, "gemini-3-pro");
    let expected = json!([
        {"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/a.PNG"}},
        {"fileData": {"fileUri": "https://h/a?b=c.d"}},
    ]);
    assert_eq!((&body["contents"][0]["parts"], dropped), (&expected, vec![]));
}

#[test]
fn r4_r9_seals_go_back_to_their_own_vendor() {
    let chat = foreign(vec![
        (Role::User, vec![Block::text("hi")]),
        (
            Role::Assistant,
            vec![
                Block::new(BlockKind::Thinking {
                    text: "claude's".to_owned(),
                    signature: Some("c2VhbA==".to_owned()),
                }),
                Block::new(BlockKind::RedactedThinking("x".to_owned())),
                seal_of(Sealer::OpenAi, "gAAA"),
                Block::text("so"),
                tool_use("a", "look", "{}"),
                seal_of(Sealer::Gemini, "ZW5k"),
            ],
        ),
    ]);
    let (body, dropped) = sent(&chat, "gemini-2.5-pro");
    let expected = json!([
        {"text": "so"}, {"functionCall": {"id": "a", "name": "look", "args": {}}}, {"text": "", "thoughtSignature": "ZW5k"},
    ]);
    assert_eq!(body["contents"][1]["parts"], expected);
    assert_eq!(dropped, ["messages.1.content.0", "messages.1.content.1", "messages.1.content.2"]);
    // A Gemini that insists on a seal is told that there is none.
    let (body, _) = sent(&chat, "gemini-3-flash");
    assert_eq!(body["contents"][1]["parts"][1]["thoughtSignature"], "skip_thought_signature_validator");
}

/// A Gemini client that was answered by a Claude brings its seal to a Gemini.
#[test]
fn r9_at_home_another_vendors_seal_is_left_out() {
    let marked = seal::for_client("c2VhbA==");
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [
            {"text": "hm", "thought": true, "thoughtSignature": marked},
            {"text": "x", "thoughtSignature": "b3du"},
        ]},
    ], "unknown": {"kept": 1.0}});
    let outgoing = Gemini::default().encode(&call(&body), "gemini-3-pro").expect("home");
    let sent: Value = serde_json::from_slice(&outgoing.body.concat()).expect("JSON");
    let mut expected = body;
    expected["contents"][1]["parts"].as_array_mut().expect("a list").remove(0);
    assert_eq!(sent, expected);
    assert!(outgoing.home);
    assert_eq!(outgoing.dropped[0].path, "contents.1.parts.0");
}

#[test]
fn t4_t6_t7_tools_keep_schema_name_and_strictness() {
    let long = format!("mcp__{}__read", "server".repeat(12));
    let mut chat = foreign(vec![(Role::User, vec![Block::text("hi")])]);
    chat.tools = vec![look("look", Some(true)), look(&long, None)];
    let (body, dropped) = sent(&chat, "gemini-2.5-flash");
    let functions = &body["tools"][0]["functionDeclarations"];
    assert_eq!(functions[0]["parametersJsonSchema"]["properties"]["a"]["$ref"], "#/$defs/a");
    assert_eq!(functions[0]["parametersJsonSchema"]["$defs"]["a"], json!({"enum": ["x"]}));
    let name = functions[1]["name"].as_str().expect("a name");
    assert!(name.len() <= 64 && name.starts_with("mcp__server"), "{name}");
    assert_eq!(body["toolConfig"]["functionCallingConfig"]["mode"], "VALIDATED");
    assert_eq!(dropped, Vec::<String>::new());
    chat.tool_choice = Some(ToolChoice::Named(long));
    let (body, _) = sent(&chat, "gemini-2.5-flash");
    let config = &body["toolConfig"]["functionCallingConfig"];
    assert_eq!((&config["mode"], &config["allowedFunctionNames"][0]), (&json!("ANY"), &json!(name)));
    chat.tool_choice = Some(ToolChoice::Named("nobody".to_owned()));
    let failure = encode(&chat, Operation::Chat, "m").expect_err("not offered");
    assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::Unsupported, Some("tool_choice")));
}

#[test]
fn thinking_is_asked_for_in_the_models_own_way() {
    for (reasoning, model, expected, lost) in [
        (
            json!([null, "high", null]),
            "gemini-3-pro",
            json!({"includeThoughts": true, "thinkingLevel": "HIGH"}),
            0,
        ),
        (
            json!([null, "max", null]),
            "gemini-3-pro",
            json!({"includeThoughts": true, "thinkingLevel": "HIGH"}),
            1,
        ),
        (
            json!([null, "medium", null]),
            "gemini-2.5-pro",
            json!({"includeThoughts": true, "thinkingBudget": 8192}),
            0,
        ),
        (
            json!([true, null, 2000]),
            "gemini-3-pro",
            json!({"includeThoughts": true, "thinkingBudget": 2000}),
            0,
        ),
        (json!([false, null, null]), "gemini-2.5-pro", json!({"thinkingBudget": 0}), 0),
        (json!([null, "none", null]), "gemini-3-pro", json!({"thinkingLevel": "MINIMAL"}), 1),
        (json!([null, null, null]), "gemini-3-pro", Value::Null, 0),
    ] {
        let mut chat = foreign(vec![(Role::User, vec![Block::text("hi")])]);
        chat.reasoning = Some(Reasoning {
            enabled: reasoning[0].as_bool(),
            effort: reasoning[1].as_str().and_then(Effort::from_word),
            budget_tokens: reasoning[2].as_u64(),
            shown: None,
        });
        let (body, dropped) = sent(&chat, model);
        assert_eq!(body["generationConfig"]["thinkingConfig"], expected, "{reasoning} {model}");
        assert_eq!(dropped.len(), lost, "{reasoning} {model}");
    }
}

#[test]
fn t10_formats_and_bounds_are_said_or_declared() {
    let mut chat = foreign(vec![(Role::User, vec![Block::text("hi")])]);
    chat.output = OutputFormat::JsonSchema {
        name: Some("x".to_owned()),
        description: None,
        schema: json!({"type": "object"}),
        strict: Some(true),
    };
    chat.sampling.stop = (0..7).map(|number| number.to_string()).collect();
    chat.sampling.seed = Some(1 << 40);
    chat.sampling.logprobs = Some(3);
    chat.parallel_tool_calls = Some(false);
    let (body, dropped) = sent(&chat, "gemini-2.5-flash");
    let config = &body["generationConfig"];
    assert_eq!(
        (&config["responseMimeType"], &config["responseJsonSchema"]),
        (&json!("application/json"), &json!({"type": "object"}))
    );
    assert_eq!(config["stopSequences"].as_array().map(Vec::len), Some(5));
    assert_eq!((&config["responseLogprobs"], &config["logprobs"]), (&json!(true), &json!(3)));
    assert_eq!(dropped, ["seed", "stop"]);
}

#[test]
fn a_count_carries_instructions_and_tools() {
    let contents = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
    let brief = json!({"parts": [{"text": "be brief"}]});
    let plain = json!({ "contents": contents });
    let beside = json!({"contents": contents, "systemInstruction": brief});
    let within = json!({"contents": contents, "systemInstruction": brief, "model": "models/m"});
    let within = json!({ "generateContentRequest": within });
    let vertex = Quirks::from_iter([Quirk::VertexPaths]);
    let sent = |client: Dialect, body: &Value, quirks: Quirks| {
        let inbound =
            crate::inbound(client, Operation::CountTokens, Some("m"), false, body.to_string().as_bytes());
        let inbound = inbound.expect("a good body");
        let call = call(&plain);
        let call = ::message::Call::new(::message::NewCall {
            id: call.id.clone(),
            operation: Operation::CountTokens,
            dialect: client,
            head: inbound.head,
            body: body.to_string().into(),
            headers: call.headers.clone(),
            principal: call.principal.clone(),
            received: call.received,
            strict: false,
            decode: inbound.decode,
        });
        let outgoing = Gemini(quirks).encode(&call, "m").expect("said");
        serde_json::from_slice::<Value>(&outgoing.body.concat()).expect("JSON")
    };
    let anthropic =
        json!({"model": "m", "system": "be brief", "messages": [{"role": "user", "content": "hi"}]});
    let api = Quirks::default();
    for (client, body) in
        [(Dialect::Anthropic, &anthropic), (Dialect::Gemini, &beside), (Dialect::Gemini, &within)]
    {
        assert_eq!(sent(client, body, api), within, "{client} {body}");
        assert_eq!(sent(client, body, vertex), beside, "{client} {body}");
    }
    for quirks in [api, vertex] {
        assert_eq!(sent(Dialect::Gemini, &plain, quirks), plain);
    }
}

#[test]
fn what_would_be_wrong_is_refused() {
    for (messages, param) in [
        (vec![(Role::User, vec![result("nobody", vec![], None)])], "messages.0.content.0"),
        (vec![(Role::User, vec![Block::text(" ")])], "messages"),
        (vec![(Role::System, vec![Block::text("only this")])], "messages"),
    ] {
        let failure = encode(&foreign(messages), Operation::Chat, "m").expect_err(param);
        assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::Unsupported, Some(param)));
    }
}
