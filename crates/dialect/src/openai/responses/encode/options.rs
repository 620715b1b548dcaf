//! Sampling, output format and reasoning → the settings of a request.

use message::{BlockKind, Chat, Effort, Head, OutputFormat, Reasoning, Sealer};
use serde_json::{Map, Value, json};

use super::Encoder;
use crate::openai::chat::encode::effort_for;
use crate::openai::fields::At;
use crate::openai::names;
use crate::openai::responses::inbound::{parse_format, parse_reasoning};
use crate::openai::spelling::note;

/// The name given to a schema whose client gave none: the dialect requires one.
const FORMAT_NAME: &str = "response";

/// Least `max_output_tokens` that the service takes.
const MAX_OUTPUT_TOKENS_MIN: u64 = 16;

/// Asks for the seal without which reasoning cannot be sent back.
const ENCRYPTED_REASONING: &str = "reasoning.encrypted_content";

impl Encoder {
    /// Writes every setting.
    pub(super) fn options(&mut self, chat: &Chat, head: &Head, body: &mut Map<String, Value>) {
        let sampling = &chat.sampling;
        if let Some(limit) = sampling.max_tokens {
            let sent = if self.home { limit } else { limit.max(MAX_OUTPUT_TOKENS_MIN) };
            if sent != limit {
                self.drop("max_tokens", "raised to 16, the least that this server takes");
            }
            body.insert("max_output_tokens".to_owned(), sent.into());
        }
        for (name, number) in [("temperature", &sampling.temperature), ("top_p", &sampling.top_p)] {
            if let Some(number) = number {
                body.insert(name.to_owned(), Value::Number(number.clone()));
            }
        }
        if self.home {
            return self.at_home(chat, body);
        }
        self.drop_settings(chat);
        let mut include = Vec::new();
        if let Some(top) = sampling.logprobs {
            body.insert("top_logprobs".to_owned(), top.into());
            include.push("message.output_text.logprobs");
        }
        if let Some(mut format) = write_format(&chat.output) {
            if format.get("schema").is_some() && format.get("name").is_none() {
                format["name"] = FORMAT_NAME.into();
            }
            body.insert("text".to_owned(), json!({ "format": format }));
        }
        if let Some(reasoning) = &chat.reasoning
            && let Some(reasoning) = self.effort(reasoning)
        {
            body.insert("reasoning".to_owned(), reasoning);
            include.push(ENCRYPTED_REASONING);
        } else if brings_reasoning(chat) {
            include.push(ENCRYPTED_REASONING);
        }
        // Nothing of a call from elsewhere can be asked for again at this server.
        body.insert("store".to_owned(), false.into());
        if !include.is_empty() {
            body.insert("include".to_owned(), include.into());
        }
        if let Some(user) = &chat.user {
            body.insert("safety_identifier".to_owned(), names::user(user).into());
        }
        if head.stream {
            body.insert("stream".to_owned(), true.into());
        }
    }

    fn at_home(&self, chat: &Chat, body: &mut Map<String, Value>) {
        let noted = |name| note(&chat.extra, name);
        match (chat.sampling.logprobs, noted("top_logprobs")) {
            (Some(top), Some(note)) if *note != top => body.insert("top_logprobs".to_owned(), top.into()),
            (Some(top), None) if top > 0 => body.insert("top_logprobs".to_owned(), top.into()),
            (_, Some(note)) => body.insert("top_logprobs".to_owned(), note.clone()),
            (_, None) => None,
        };
        for name in ["truncation", "service_tier"] {
            body.extend(noted(name).map(|value| (name.to_owned(), value.clone())));
        }
        let mut text = Map::new();
        let unchanged = |note: &&Value| parse_format(At::Root, note).as_ref() == Ok(&chat.output);
        let format = noted("format").filter(unchanged).cloned().or_else(|| write_format(&chat.output));
        text.extend(format.map(|format| ("format".to_owned(), format)));
        text.extend(noted("verbosity").map(|verbosity| ("verbosity".to_owned(), verbosity.clone())));
        if !text.is_empty() {
            body.insert("text".to_owned(), text.into());
        }
        let mut reasoning = Map::new();
        if let Some(Reasoning { effort: Some(effort), .. }) = &chat.reasoning {
            debug_assert!(parse_reasoning(Some(&effort.word().into())).is_some());
            reasoning.insert("effort".to_owned(), effort.word().into());
        }
        for name in ["summary", "generate_summary", "context"] {
            let place = format!("reasoning.{name}");
            let note = note(&chat.extra, &place);
            reasoning.extend(note.map(|value| (name.to_owned(), value.clone())));
        }
        if !reasoning.is_empty() {
            body.insert("reasoning".to_owned(), reasoning.into());
        }
        if let Some(user) = &chat.user {
            let name = if noted("safety_identifier").is_some() { "safety_identifier" } else { "user" };
            body.insert(name.to_owned(), user.as_str().into());
        }
    }

    /// Settings that the dialect has no word for.
    fn drop_settings(&mut self, chat: &Chat) {
        let sampling = &chat.sampling;
        let absent = [
            ("top_k", sampling.top_k.is_some()),
            ("min_p", sampling.min_p.is_some()),
            ("presence_penalty", sampling.presence_penalty.is_some()),
            ("frequency_penalty", sampling.frequency_penalty.is_some()),
            ("repetition_penalty", sampling.repetition_penalty.is_some()),
            ("seed", sampling.seed.is_some()),
            ("stop", !sampling.stop.is_empty()),
        ];
        for (name, _) in absent.into_iter().filter(|(_, said)| *said) {
            self.drop(name, "not a setting of Responses");
        }
    }

    /// Effort is the dialect's only measure; a budget is translated to it.
    fn effort(&mut self, reasoning: &Reasoning) -> Option<Value> {
        let effort = match (reasoning.effort, reasoning.budget_tokens) {
            (Some(effort), _) => Some(effort),
            (None, Some(budget)) => {
                self.drop("thinking.budget_tokens", "sent as reasoning.effort");
                Some(effort_for(budget))
            }
            (None, None) => None,
        };
        if effort.is_none() && reasoning.enabled == Some(false) {
            self.drop("thinking", "this dialect cannot switch thinking off for every model");
            return None;
        }
        // Without a summary the client would see no reasoning at all.
        let shown = reasoning.shown != Some(false) && effort != Some(Effort::None);
        match (effort, shown) {
            (Some(effort), true) => Some(json!({"effort": effort.word(), "summary": "auto"})),
            (Some(effort), false) => Some(json!({"effort": effort.word()})),
            (None, true) => Some(json!({"summary": "auto"})),
            (None, false) => None,
        }
    }
}

/// Whether earlier reasoning of this vendor's comes back: its model reasons.
fn brings_reasoning(chat: &Chat) -> bool {
    let blocks = chat.messages.iter().flat_map(|message| &message.content);
    blocks.into_iter().any(|block| match &block.kind {
        BlockKind::Thinking { signature: Some(seal), .. } => Sealer::read(seal).0 == Sealer::OpenAi,
        _ => false,
    })
}

/// The usual spelling of an output format; free text needs none.
pub(in crate::openai::responses) fn write_format(format: &OutputFormat) -> Option<Value> {
    let (name, description, schema, strict) = match format {
        OutputFormat::Text | OutputFormat::Grammar(_) => return None,
        OutputFormat::JsonObject => return Some(json!({"type": "json_object"})),
        OutputFormat::JsonSchema { name, description, schema, strict } => (name, description, schema, strict),
    };
    let mut out = Map::new();
    out.insert("type".to_owned(), "json_schema".into());
    for (field, text) in [("name", name), ("description", description)] {
        if let Some(text) = text {
            out.insert(field.to_owned(), text.as_str().into());
        }
    }
    out.insert("schema".to_owned(), schema.clone());
    if let Some(strict) = strict {
        out.insert("strict".to_owned(), (*strict).into());
    }
    Some(out.into())
}
