//! What a request or a reply means, whatever dialect says it: the form in which cells are
//! compared. Ids, defaults and the grouping of turns differ between dialects and are
//! normalised; what a person or a model would notice is not.

use message::{
    Block, BlockKind, Chat, Citation, CitationSource, Completion, Media, MediaSource, Message, OutputFormat,
    Role, ToolChoice, ToolKind,
};
use serde_json::{Map, Value, json};

/// A conversation's meaning: a flat list of who said what, and the settings.
pub(crate) fn of_chat(chat: &Chat) -> Map<String, Value> {
    let mut said = Vec::new();
    let mut ids = Vec::new();
    let mut system: Vec<Value> = chat.system.iter().filter_map(|block| item(block, &mut ids)).collect();
    for Message { role, content, .. } in &chat.messages {
        for block in content {
            let Some(item) = item(block, &mut ids) else { continue };
            match role {
                Role::System | Role::Developer if said.is_empty() => system.push(item),
                Role::System | Role::Developer => said.push(json!(["system", item])),
                Role::Assistant => said.push(json!(["assistant", item])),
                Role::User | Role::Tool => said.push(json!(["user", item])),
            }
        }
    }
    let tools: Vec<Value> = chat
        .tools
        .iter()
        .map(|tool| match &tool.kind {
            ToolKind::Function { schema } => json!({
                "name": tool.name, "description": tool.description, "schema": schema,
                "cached": tool.cache.is_some(),
            }),
            ToolKind::Opaque(value) => json!({"opaque": value}),
        })
        .collect();
    let mut meaning = Map::new();
    let mut put = |name: &str, value: Value| {
        if !matches!(&value, Value::Null) && value != json!([]) {
            meaning.insert(name.to_owned(), value);
        }
    };
    put("system", system.into());
    put("said", said.into());
    put("tools", tools.into());
    put("tool_choice", choice(chat));
    if chat.parallel_tool_calls == Some(false) {
        put("parallel_tool_calls", false.into());
    }
    let sampling = &chat.sampling;
    put("max_tokens", json!(sampling.max_tokens));
    put("temperature", json!(sampling.temperature.as_ref().and_then(serde_json::Number::as_f64)));
    put("top_p", json!(sampling.top_p.as_ref().and_then(serde_json::Number::as_f64)));
    put("top_k", json!(sampling.top_k));
    put("stop", json!(sampling.stop));
    put("seed", json!(sampling.seed));
    match &chat.output {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => put("output", "json".into()),
        OutputFormat::JsonSchema { schema, .. } => put("output", schema.clone()),
        OutputFormat::Grammar(grammar) => put("output", format!("{grammar:?}").into()),
    }
    let thinks = chat.reasoning.as_ref().is_some_and(|reasoning| {
        reasoning.enabled == Some(true) || reasoning.effort.is_some() || reasoning.budget_tokens.is_some()
    });
    if thinks {
        put("thinks", true.into());
    }
    meaning
}

fn choice(chat: &Chat) -> Value {
    match chat.tool_choice.as_ref() {
        // All vendors' habit when tools are given.
        None | Some(ToolChoice::Auto) => Value::Null,
        Some(ToolChoice::Any) => "any".into(),
        Some(ToolChoice::None) => "none".into(),
        Some(ToolChoice::Named(name)) => json!({"named": name}),
    }
}

/// One block; `None` for what says nothing. Tool ids become their order of appearance.
fn item(block: &Block, ids: &mut Vec<String>) -> Option<Value> {
    let mut place = |id: &str| match ids.iter().position(|known| known == id) {
        Some(place) => place,
        None => {
            ids.push(id.to_owned());
            ids.len() - 1
        }
    };
    let mut value = match &block.kind {
        BlockKind::Text(text) if text.trim().is_empty() && block.cache.is_none() => return None,
        BlockKind::Text(text) => json!({"text": text}),
        BlockKind::Image(media) => json!({"image": file(media)}),
        BlockKind::Document(document) => {
            let mut file = json!({"document": file(&document.media)});
            if let Some(context) = &document.context {
                file["context"] = context.as_str().into();
            }
            if document.citations == Some(true) {
                file["cited"] = true.into();
            }
            file
        }
        BlockKind::SearchResult(result) => json!({
            "search_result": result.source, "title": result.title, "cited": result.citations == Some(true),
            "content": result.content.iter().filter_map(|piece| item(piece, ids)).collect::<Vec<_>>(),
        }),
        BlockKind::Audio(media) => json!({"audio": file(media)}),
        BlockKind::Video(media) => json!({"video": file(media)}),
        BlockKind::ToolUse { id, name, input, .. } => {
            let input: Value = serde_json::from_str(input).unwrap_or(Value::Null);
            json!({"tool_use": name, "input": input, "call": place(id)})
        }
        BlockKind::ToolResult { id, content, is_error, .. } => {
            let call = place(id);
            let content: Vec<Value> = content.iter().filter_map(|block| item(block, ids)).collect();
            json!({"tool_result": content, "call": call, "failed": *is_error == Some(true)})
        }
        BlockKind::Thinking { text, signature } => json!({"thinking": text, "sealed": signature.is_some()}),
        BlockKind::RedactedThinking(_) => json!({"thinking": null, "sealed": true}),
        BlockKind::Refusal(text) => json!({"refusal": text}),
        BlockKind::Opaque { value, .. } => json!({"opaque": value}),
    };
    if block.cache.is_some() {
        value["cached"] = true.into();
    }
    if !block.citations.is_empty() {
        value["rests_on"] = block.citations.iter().map(citation).collect();
    }
    Some(value)
}

/// A citation; what only one vendor says of it is left out.
fn citation(citation: &Citation) -> Value {
    let source = match &citation.source {
        CitationSource::Document { index, span } => json!({"document": index, "at": format!("{span:?}")}),
        CitationSource::SearchResult { index, source, pieces } => {
            json!({"search_result": index, "source": source, "at": format!("{pieces:?}")})
        }
        CitationSource::Web { url } => json!({"url": url}),
        CitationSource::Named(name) => json!({"named": name}),
    };
    json!({"source": source, "title": citation.title, "quote": citation.quote})
}

fn file(media: &Media) -> Value {
    let source = match &media.source {
        MediaSource::Base64(data) => json!({"base64": data}),
        MediaSource::Text(text) => json!({"text": text}),
        MediaSource::Url(url) => json!({"url": url}),
        MediaSource::Reference(value) => json!({"reference": value}),
    };
    // A link's type is only a hint: its server says what it is.
    let linked = matches!(media.source, MediaSource::Url(_));
    let kind = media.media_type.as_ref().filter(|_| !linked);
    // A file's name is how dialects differ most: some demand one, some forbid dots.
    json!({"type": kind, "source": source})
}

/// A reply's meaning, in the words of `replies/*.json`.
pub(crate) fn of_completion(completion: &Completion) -> Value {
    let content: Vec<Value> = completion.content.iter().filter_map(reply_item).collect();
    let usage = completion.usage;
    json!({
        "content": content,
        "finish": completion.finish.as_ref().map(|reason| format!("{reason:?}")),
        "usage": {
            "input": usage.total_input(), "read": usage.cache_read_tokens, "output": usage.total_output(),
        },
    })
}

fn reply_item(block: &Block) -> Option<Value> {
    Some(match &block.kind {
        BlockKind::Text(text) if text.is_empty() => return None,
        BlockKind::Text(text) if !block.citations.is_empty() => {
            json!({"text": text, "rests_on": block.citations.iter().map(citation).collect::<Vec<_>>()})
        }
        BlockKind::Text(text) => json!({"text": text}),
        BlockKind::Thinking { text, .. } if text.is_empty() => return None,
        BlockKind::Thinking { text, .. } => json!({"thinking": text}),
        BlockKind::ToolUse { name, input, .. } => {
            let input = if input.is_empty() { "{}" } else { input };
            json!({"tool_use": name, "input": serde_json::from_str::<Value>(input).expect("JSON arguments")})
        }
        BlockKind::Refusal(text) => json!({"refusal": text}),
        other => json!({"other": format!("{other:?}")}),
    })
}
