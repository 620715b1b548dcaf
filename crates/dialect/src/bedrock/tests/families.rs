//! InvokeModel, family by family: what a body means, and what its clients are answered.

use message::{
    Block, BlockHead, BlockKind, Completion, Delta, EmbedInput, EmbedPurpose, ErrorKind, Event, FinishReason,
    Operation, Ranked, ToolKind, ToolOrigin, Usage,
};
use proptest::prelude::*;
use serde_json::json;

use super::invoke::natives;
use super::reply::{delta, start, stop, stream};
use super::*;

/// A call to InvokeModel as `server` makes it: the body says the operation.
fn invoke(model: &str, body: &Value, stream: bool) -> Result<Call, Failure> {
    let body = Bytes::from(body.to_string());
    let inbound = crate::inbound(Dialect::BedrockInvoke, Operation::Chat, Some(model), stream, &body)?;
    Ok(Call::new(NewCall {
        id: RequestId::new("11111111-2222"),
        operation: inbound.operation(Operation::Chat),
        dialect: Dialect::BedrockInvoke,
        head: inbound.head,
        body,
        headers: Arc::new(HeaderMap::new()),
        principal: Principal { key_id: "key_1".into(), name: "test".into() },
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    }))
}

/// One body for each family that generates.
fn bodies() -> Vec<(&'static str, Value)> {
    vec![
        (
            "anthropic.claude-haiku-4-5",
            json!({"anthropic_version": "x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
        ),
        (
            "amazon.nova-lite-v1:0",
            json!({"schemaVersion": "messages-v1", "system": [{"text": "s"}],
            "messages": [{"role": "user", "content": [{"text": "hi"}, {"image": {"format": "png", "source": {"bytes": "aGk="}}}]}],
            "inferenceConfig": {"max_new_tokens": 9, "top_p": 0.5, "topK": 3, "stopSequences": ["x"], "newOne": 1},
            "toolConfig": {"tools": [{"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object"}}}}]}}),
        ),
        (
            "amazon.titan-text-express-v1",
            json!({"inputText": "User: hi\nBot:",
            "textGenerationConfig": {"maxTokenCount": 9, "temperature": 0, "topP": 1, "stopSequences": ["User:"], "newOne": 1}}),
        ),
        (
            "meta.llama3-8b-instruct-v1:0",
            json!({"prompt": "<|begin_of_text|>hi", "max_gen_len": 9, "temperature": 0.5, "top_p": 0.9}),
        ),
        (
            "mistral.mistral-7b-instruct-v0:2",
            json!({"prompt": "<s>[INST] hi [/INST]", "max_tokens": 9, "top_k": 5, "stop": ["</s>"]}),
        ),
        (
            "mistral.mistral-large-2407-v1:0",
            json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9,
            "tools": [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}]}),
        ),
        (
            "cohere.command-text-v14",
            json!({"prompt": "hi", "max_tokens": 9, "p": 0.5, "k": 0, "stop_sequences": ["x"], "return_likelihoods": "NONE"}),
        ),
        (
            "cohere.command-r-v1:0",
            json!({"message": "and there?", "preamble": "s", "max_tokens": 9, "p": 0.5, "k": 3, "seed": 4,
            "chat_history": [
                {"role": "USER", "message": "weather?"},
                {"role": "CHATBOT", "message": "Looking.", "tool_calls": [{"name": "get", "parameters": {"city": "Oslo"}}]},
                {"role": "TOOL", "tool_results": [{"call": {"name": "get", "parameters": {"city": "Oslo"}}, "outputs": [{"t": 1}]}]}],
            "documents": [{"title": "D", "snippet": "it rains"}],
            "tools": [{"name": "get", "description": "d", "parameter_definitions": {"city": {"description": "c", "type": "str", "required": true}, "days": {"type": "List[int]"}}}],
            "tool_results": [{"call": {"name": "other", "parameters": {}}, "outputs": []}], "stop_sequences": ["x"]}),
        ),
        (
            "openai.gpt-oss-20b-1:0",
            json!({"messages": [{"role": "developer", "content": "s"}, {"role": "user", "content": "hi"}], "max_completion_tokens": 9}),
        ),
        ("imported-completion", json!({"prompt": "hi", "max_tokens": 9, "stop": "x", "seed": 1})),
    ]
}

#[test]
fn every_familys_body_is_understood() {
    let mut told = Vec::new();
    for (model, body) in bodies() {
        let call = invoke(model, &body, false).unwrap();
        assert_eq!(call.head.max_tokens, Some(9), "{model}");
        let chat = call.chat().unwrap();
        assert_eq!(chat.sampling.max_tokens, Some(9), "{model}");
        let silent =
            |line: &&str| ![": None,", ": {},", ": [],", ": false,"].iter().any(|end| line.ends_with(end));
        let text = format!("{chat:#?}");
        told.push(format!("## {model}\n{}\n", text.lines().filter(silent).collect::<Vec<_>>().join("\n")));
    }
    insta::assert_snapshot!("bodies", told.join("\n"));
}

proptest! {
    /// At home nothing is written anew: whatever a family's body says goes on as it came,
    /// also what nobody here knows.
    #[test]
    fn invoke_is_lossless_for_every_family(
        place in 0..bodies().len(),
        name in "x_[a-z]{1,6}",
        more in prop_oneof![Just(json!(null)), ".{0,9}".prop_map(Value::from), Just(json!({"a": [1.0, {}]}))],
        text in "[ -~]{1,12}",
    ) {
        let (model, mut body) = bodies().swap_remove(place);
        body[&name] = more;
        for prompt in ["prompt", "inputText", "message"] {
            if body.get(prompt).is_some() {
                body[prompt] = text.as_str().into();
            }
        }
        let call = invoke(model, &body, false).unwrap();
        let target = crate::outbound(Dialect::BedrockConverse, &crate::Quirks::default()).unwrap();
        let outgoing = target.encode(&call, model).unwrap();
        prop_assert!(outgoing.home && outgoing.dropped.is_empty(), "{}", model);
        prop_assert_eq!(outgoing.body.concat(), body.to_string().into_bytes());
        prop_assert!(call.chat().is_ok(), "{}", model);
    }
}

/// The answer's clock readings and dates, which differ from run to run, made the same.
fn still(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(still),
        Value::Object(members) => {
            for (name, member) in members {
                match name.as_str() {
                    "created" | "latencyMs" | "invocationLatency" | "firstByteLatency" => *member = json!(0),
                    _ => still(member),
                }
            }
        }
        _ => {}
    }
}

fn events(tools: bool) -> Vec<Event> {
    let usage = Usage { input_tokens: 3, cache_read_tokens: 4, output_tokens: 2, ..Usage::default() };
    let mut events = vec![
        Event::Start { id: None },
        start(0, BlockHead::Text),
        delta(0, Delta::text("Hé")),
        delta(0, Delta::text("llo")),
        stop(0),
    ];
    if tools {
        events.push(start(1, BlockHead::ToolUse { id: "call_1".to_owned(), name: "now".to_owned() }));
        events.push(delta(1, Delta::ToolInput("{\"a\":".to_owned())));
        events.push(delta(1, Delta::ToolInput("1}".to_owned())));
        events.push(stop(1));
    }
    events.push(Event::Usage(usage));
    let reason = if tools { FinishReason::ToolUse } else { FinishReason::MaxTokens };
    events.push(Event::Finish { reason, stop_sequence: None });
    events
}

#[test]
fn every_family_is_answered_in_its_own_words() {
    let mut told = Vec::new();
    for (model, body) in bodies() {
        let tools = ["claude", "nova", "large", "command-r"].iter().any(|word| model.contains(word));
        let call = invoke(model, &body, true).unwrap();
        let mut encoder = crate::reply_encoder(&call);
        let mut streamed = natives(&stream(&mut *encoder, events(tools)));
        streamed.iter_mut().for_each(still);
        let metrics = &streamed.last().unwrap()["amazon-bedrock-invocationMetrics"];
        assert_eq!(
            (&metrics["inputTokenCount"], &metrics["outputTokenCount"]),
            (&json!(3), &json!(2)),
            "{model}"
        );
        let earlier = &streamed[..streamed.len() - 1];
        assert!(
            earlier.iter().all(|event| event.get("amazon-bedrock-invocationMetrics").is_none()),
            "{model}"
        );

        let mut completion = Completion::default();
        events(tools).into_iter().for_each(|event| completion.push(event));
        let mut whole: Value =
            serde_json::from_slice(&crate::reply_encoder(&call).whole(completion).body).unwrap();
        still(&mut whole);
        let streamed: Vec<String> = streamed.iter().map(Value::to_string).collect();
        told.push(format!("## {model}\n{}\nwhole: {whole}\n", streamed.join("\n")));
    }
    insta::assert_snapshot!("answers", told.join("\n"));
}

#[test]
fn s14_s18_every_familys_broken_stream_ends_with_an_exception() {
    for (model, body) in bodies() {
        let call = invoke(model, &body, true).unwrap();
        let out = stream(
            &mut *crate::reply_encoder(&call),
            [start(0, BlockHead::Text), delta(0, Delta::text("a"))],
        );
        let frames = super::reply::frames(&out);
        assert!(
            frames.lines().last().unwrap().starts_with("exception modelStreamErrorException"),
            "{model}: {frames}"
        );
    }
}

#[test]
fn hostile_bodies_are_refused_in_the_services_words() {
    for (body, place) in [
        (json!({"inputText": 7}), "inputText"),
        (
            json!({"inputText": "a", "textGenerationConfig": {"maxTokenCount": -1}}),
            "textGenerationConfig.maxTokenCount",
        ),
        (json!({"prompt": ["a"], "max_gen_len": 1}), "prompt"),
        (json!({"prompt": "a", "num_generations": 3}), "num_generations"),
        (json!({"message": "a", "chat_history": [{"role": "BOT"}]}), "chat_history.0.role"),
        (json!({"message": "a", "tools": [{}]}), "tools.0.name"),
        (
            json!({"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": [{}]}]}),
            "messages.0.content.0",
        ),
        (json!({"messages": [{"role": "user", "content": 5}]}), "messages.0.content"),
    ] {
        let failure = invoke("house", &body, false).and_then(|call| call.chat().cloned()).unwrap_err();
        assert_eq!(failure.param.as_deref(), Some(place), "{failure}");
        assert!(failure.message.starts_with("Malformed input request: "), "{failure}");
        assert_eq!(failure.message.matches("Malformed").count(), 1);
    }
}

#[test]
fn embeddings_are_a_call_of_their_own() {
    let titan = invoke("amazon.titan-embed-text-v2:0",
        &json!({"inputText": "hi", "dimensions": 256, "normalize": true, "embeddingTypes": ["float", "binary"]}), false).unwrap();
    assert_eq!(titan.operation, Operation::Embed);
    let embed = titan.embed().unwrap();
    assert_eq!(
        (&embed.inputs[0], embed.dimensions, embed.normalize),
        (&EmbedInput::Text("hi".to_owned()), Some(256), Some(true))
    );
    let cohere = invoke(
        "cohere.embed-english-v3",
        &json!({"texts": ["a", "b"], "input_type": "search_query", "truncate": "END"}),
        false,
    )
    .unwrap();
    assert_eq!(cohere.embed().unwrap().purpose, Some(EmbedPurpose::Query));
    let typed = invoke("cohere.embed-v4:0",
        &json!({"inputs": [{"content": [{"type": "text", "text": "a"}]}], "input_type": "clustering", "embedding_types": ["float", "ubinary", "binary"], "output_dimension": 256}), false).unwrap();
    let nova = invoke("amazon.nova-2-multimodal-embeddings-v1:0",
        &json!({"schemaVersion": "nova-multimodal-embed-v1", "taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {
            "embeddingPurpose": "GENERIC_INDEX", "embeddingDimension": 256, "text": {"truncationMode": "END", "value": "hi"}}}), false).unwrap();
    assert_eq!(nova.embed().unwrap().purpose, Some(EmbedPurpose::Document));

    let usage = Usage { input_tokens: 5, ..Usage::default() };
    let answer = |call: &Call, embeddings: Vec<Vec<f32>>| {
        let completion =
            Completion { embeddings, usage, finish: Some(FinishReason::EndTurn), ..Completion::default() };
        String::from_utf8(crate::reply_encoder(call).whole(completion).body.to_vec()).unwrap()
    };
    insta::assert_snapshot!(
        "vectors",
        [
            answer(&titan, vec![vec![0.1, -0.5]]),
            answer(&cohere, vec![vec![0.1], vec![0.25]]),
            answer(&typed, vec![vec![0.1, -0.5, 0.2]]),
            answer(&nova, vec![vec![1.0]]),
        ]
        .join("\n")
    );
}

#[test]
fn what_cannot_be_embedded_is_refused() {
    for (body, place) in [
        (json!({"texts": ["a"], "embedding_types": ["int8"]}), "embedding_types.0"),
        (json!({"images": ["https://x"]}), "images.0"),
        (
            json!({"inputs": [{"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]}),
            "inputs.0.content",
        ),
        (json!({"taskType": "SEGMENTED_EMBEDDING", "singleEmbeddingParams": {}}), "taskType"),
        (json!({"inputText": "a", "dimensions": 5_000_000_000_u64}), "dimensions"),
    ] {
        let failure = invoke("house", &body, false).and_then(|call| call.embed().cloned()).unwrap_err();
        assert_eq!(failure.param.as_deref(), Some(place), "{failure}");
    }
    let streamed = invoke("cohere.embed-v4:0", &json!({"texts": ["a"]}), true).err().unwrap();
    assert_eq!(streamed.kind, ErrorKind::Unsupported);
}

#[test]
fn rankings_are_a_call_of_their_own() {
    let call = invoke(
        "cohere.rerank-v3-5:0",
        &json!({"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1, "api_version": 2}),
        false,
    )
    .unwrap();
    assert_eq!(call.operation, Operation::Rerank);
    let rerank = call.rerank().unwrap();
    assert_eq!((rerank.query.as_str(), rerank.documents.len(), rerank.top_n), ("q", 2, Some(1)));
    let completion = Completion { ranking: vec![Ranked { index: 1, score: 0.5 }], ..Completion::default() };
    let whole = crate::reply_encoder(&call).whole(completion);
    assert_eq!(whole.body, r#"{"results":[{"index":1,"relevance_score":0.5}]}"#);
}

#[test]
fn a_tool_call_of_command_r_pairs_with_its_result() {
    let (model, body) = bodies().into_iter().find(|(model, _)| model.contains("command-r")).unwrap();
    let call = invoke(model, &body, false).unwrap();
    let chat = call.chat().unwrap();
    let mut open: Vec<&str> = Vec::new();
    for block in chat.messages.iter().flat_map(|message| &message.content) {
        match &block.kind {
            BlockKind::ToolUse { id, origin: ToolOrigin::Client, .. } => open.push(id),
            BlockKind::ToolResult { id, .. } => open.retain(|known| known != id),
            _ => {}
        }
    }
    assert!(open.is_empty());
    assert!(
        matches!(&chat.tools[0].kind, ToolKind::Function { schema: Some(schema) } if schema["properties"]["days"]["type"] == "array")
    );
    assert_eq!(chat.messages.last().unwrap().content.last().and_then(Block::as_text), Some("and there?"));
}
