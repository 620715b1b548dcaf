//! A [`Chat`] of one bare prompt → the body of a Completions request.

use message::{Block, Chat, Dialect, Dropped, Failure, Head, said};
use serde_json::{Map, Value, json};

use crate::Quirks;
use crate::openai::chat::encode::write_settings;
use crate::openai::spelling::{note, unseal};

/// Encodes a bare prompt for a server that names the model `model`.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported) for a conversation: its template is not
/// known here.
pub fn encode(
    chat: &Chat,
    head: &Head,
    model: &str,
    quirks: Quirks,
) -> Result<(Map<String, Value>, Vec<Dropped>), Failure> {
    let home = chat.home == Dialect::OpenAiCompletions;
    if !chat.raw {
        return Err(Failure::unsupported(
            "this model's server continues bare prompts; it cannot be sent a conversation",
        ));
    }
    if !home {
        chat.leave_home()?;
    }
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    let noted = |name| note(&chat.extra, name).filter(|_| home);
    if let Some(message) = chat.messages.first() {
        let text: String = message.content.iter().filter_map(Block::as_text).collect();
        match noted("prompt").and_then(Value::as_str) {
            Some("listed") => body.insert("prompt".to_owned(), json!([text])),
            None if home => None,
            _ => body.insert("prompt".to_owned(), text.into()),
        };
    }
    let (settings, mut dropped) = write_settings(chat, quirks);
    body.extend(settings);
    // What Chat Completions says otherwise.
    body.shift_remove("top_logprobs");
    body.shift_remove("logprobs");
    if let Some(limit) = body.shift_remove("max_completion_tokens") {
        body.insert("max_tokens".to_owned(), limit);
    }
    if noted("default max_tokens").is_some() {
        body.shift_remove("max_tokens");
    }
    if let Some(top) = chat.sampling.logprobs {
        body.insert("logprobs".to_owned(), top.into());
    }
    if home {
        for name in ["stream", "stream_options"] {
            body.extend(noted(name).map(|value| (name.to_owned(), value.clone())));
        }
        unseal(&chat.extra, &mut body);
    } else {
        if head.stream {
            body.insert("stream".to_owned(), true.into());
            body.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
        for name in said(&chat.extra) {
            dropped.push(Dropped { path: name.to_owned(), why: "not known to Completions" });
        }
    }
    Ok((body, dropped))
}
