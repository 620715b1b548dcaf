//! Blocks → the items of a response: each block is one.

use message::{Block, BlockKind, Citation, Sealer, TokenLogprob};
use serde_json::{Map, Value, json};

use crate::openai::annotation::{self, chars};
use crate::openai::custom;
use crate::openai::responses::inbound::Spoken;
use crate::openai::responses::{ANTHROPIC_SEAL, REDACTED};

/// The least probability the dialect can write: JSON has no infinity.
const LOGPROB_MIN: f32 = -9999.0;

/// What ids are made of, and how the client knows its tools.
pub(super) struct Identity {
    pub(super) base: String,
    pub(super) spoken: Spoken,
}

impl Identity {
    /// The id of the item at a place in the output.
    pub(super) fn item(&self, prefix: &str, place: usize) -> String {
        format!("{prefix}_{}{place:04x}", self.base)
    }

    /// Whether the client takes this tool's input as free text.
    pub(super) fn is_custom(&self, name: &str) -> bool {
        self.spoken.get(name).is_some_and(|known| known.custom)
    }
}

/// The whole item of a block at a place in the output; `None` for what has none here.
pub(super) fn whole(
    identity: &Identity,
    place: usize,
    block: &Block,
    logprobs: &[TokenLogprob],
) -> Option<Value> {
    Some(match &block.kind {
        BlockKind::Text(text) => {
            let annotations = annotations(text, &block.citations);
            message(identity, place, Some(text_part(text, logprobs, annotations)))
        }
        BlockKind::Refusal(text) => message(identity, place, Some(refusal_part(text))),
        BlockKind::Thinking { text, signature } => {
            reasoning(identity, place, text, signature.as_deref().map(sealed))
        }
        BlockKind::RedactedThinking(data) => {
            reasoning(identity, place, "", Some(format!("{REDACTED}{data}")))
        }
        BlockKind::ToolUse { id, name, input, .. } => call(identity, place, id, name, Some(input)),
        _ => return None,
    })
}

/// A `message` item; begun if it has no part yet.
pub(super) fn message(identity: &Identity, place: usize, part: Option<Value>) -> Value {
    json!({
        "id": identity.item("msg", place),
        "type": "message",
        "status": status(part.is_some()),
        "role": "assistant",
        "content": part.into_iter().collect::<Vec<_>>(),
    })
}

pub(super) fn text_part(text: &str, logprobs: &[TokenLogprob], annotations: Vec<Value>) -> Value {
    let logprobs = self::logprobs(logprobs);
    json!({"type": "output_text", "annotations": annotations, "logprobs": logprobs, "text": text})
}

/// The pages that a text rests on.
pub(super) fn annotations(text: &str, citations: &[Citation]) -> Vec<Value> {
    if citations.is_empty() {
        return Vec::new();
    }
    let place = 0..chars(text);
    let pages = citations.iter().filter_map(|citation| annotation::page(citation, place.clone()));
    let marked = pages.map(|mut page| {
        page.insert("type".to_owned(), "url_citation".into());
        Value::Object(page)
    });
    marked.collect()
}

pub(super) fn refusal_part(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

/// A `reasoning` item.
pub(super) fn reasoning(identity: &Identity, place: usize, text: &str, seal: Option<String>) -> Value {
    let summary = if text.is_empty() { Vec::new() } else { vec![summary_part(text)] };
    let mut item = json!({"id": identity.item("rs", place), "type": "reasoning", "summary": summary});
    if let Some(seal) = seal {
        item["encrypted_content"] = seal.into();
    }
    item
}

pub(super) fn summary_part(text: &str) -> Value {
    json!({"type": "summary_text", "text": text})
}

/// A seal as this dialect's clients keep it. Claude's is told from OpenAI's own by a mark.
pub(super) fn sealed(travelled: &str) -> String {
    match Sealer::read(travelled) {
        (Sealer::Anthropic, seal) => format!("{ANTHROPIC_SEAL}{seal}"),
        (Sealer::OpenAi, seal) => seal.to_owned(),
        (Sealer::Gemini, _) => travelled.to_owned(),
    }
}

/// A call of a function or a custom tool; begun if it has no input yet.
pub(super) fn call(identity: &Identity, place: usize, id: &str, name: &str, input: Option<&str>) -> Value {
    let known = identity.spoken.get(name);
    let custom = known.is_some_and(|known| known.custom);
    let (kind, prefix) = if custom { ("custom_tool_call", "ctc") } else { ("function_call", "fc") };
    let mut item = Map::new();
    item.insert("id".to_owned(), identity.item(prefix, place).into());
    item.insert("type".to_owned(), kind.into());
    item.insert("status".to_owned(), status(input.is_some()).into());
    if custom {
        item.insert("input".to_owned(), custom::unwrap(input.unwrap_or_default()).into());
    } else {
        let arguments = match input {
            None => "",
            Some("") => "{}",
            Some(arguments) => arguments,
        };
        item.insert("arguments".to_owned(), arguments.into());
    }
    item.insert("call_id".to_owned(), id.into());
    match known.and_then(|known| known.within.as_ref()) {
        Some((namespace, name)) => {
            item.insert("name".to_owned(), name.as_str().into());
            item.insert("namespace".to_owned(), namespace.as_str().into());
        }
        None => {
            item.insert("name".to_owned(), name.into());
        }
    }
    item.into()
}

const fn status(whole: bool) -> &'static str {
    if whole { "completed" } else { "in_progress" }
}

pub(super) fn logprobs(tokens: &[TokenLogprob]) -> Value {
    let one = |token: &[u8], logprob: f32| json!({"token": String::from_utf8_lossy(token), "bytes": token, "logprob": logprob.max(LOGPROB_MIN)});
    let content = tokens.iter().map(|token| {
        let mut entry = one(&token.token, token.logprob);
        entry["top_logprobs"] = token.top.iter().map(|top| one(&top.token, top.logprob)).collect();
        entry
    });
    content.collect()
}
