//! Sampling, output format and reasoning → the settings of a request.

use message::{Chat, Effort, OutputFormat, Reasoning, Sampling};
use serde_json::{Map, Value, json};

use super::Encoder;
use crate::Quirk;
use crate::openai::chat::inbound::parse_format;
use crate::openai::names;
use crate::openai::spelling::note;

/// The name given to a schema whose client gave none: the dialect requires one.
const FORMAT_NAME: &str = "response";

/// Thinking budgets up to this many tokens become `low` effort.
const LOW_BUDGET_TOKENS: u64 = 2_048;
/// Thinking budgets up to this many tokens become `medium` effort, larger ones `high`.
const MEDIUM_BUDGET_TOKENS: u64 = 8_192;

impl Encoder {
    /// Writes every setting.
    pub(super) fn options(&mut self, chat: &Chat, body: &mut Map<String, Value>) {
        let noted = |name| note(&chat.extra, name);
        if let Some(limit) = chat.sampling.max_tokens {
            let old_name = self.home && noted("max_tokens").is_some();
            let name = if old_name { "max_tokens" } else { "max_completion_tokens" };
            body.insert(name.to_owned(), limit.into());
        }
        sampling(&chat.sampling, body);
        self.extensions(chat, body);
        if let [stop] = chat.sampling.stop.as_slice()
            && noted("stop").is_some()
        {
            body.insert("stop".to_owned(), stop.as_str().into());
        } else if !chat.sampling.stop.is_empty() {
            body.insert("stop".to_owned(), chat.sampling.stop.clone().into());
        }
        if self.home {
            for name in ["logprobs", "top_logprobs", "n", "modalities"] {
                if let (Some(value), false) = (noted(name), body.contains_key(name)) {
                    body.insert(name.to_owned(), value.clone());
                }
            }
        }
        let language = noted("language").and_then(Value::as_object).filter(|_| self.home);
        let written = match noted("response_format") {
            _ if language.is_some() => None,
            Some(note) if parse_format(note).as_ref() == Ok(&chat.output) => Some(note.clone()),
            _ => write_format(&chat.output),
        };
        if let Some(mut format) = written {
            if let (false, Some(Value::Object(schema))) = (self.home, format.get_mut("json_schema")) {
                schema.entry("name").or_insert_with(|| FORMAT_NAME.into());
            }
            body.insert("response_format".to_owned(), format);
        }
        body.extend(language.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
        if let Some(reasoning) = &chat.reasoning {
            self.reasoning(reasoning, body);
        }
        if let Some(user) = &chat.user {
            let user = if self.home { user.into() } else { names::user(user) };
            let newer = self.home && noted("safety_identifier").is_some();
            let name = if newer { "safety_identifier" } else { "user" };
            body.insert(name.to_owned(), user.into());
        }
    }

    /// Settings beyond OpenAI's own, for servers that take them.
    fn extensions(&mut self, chat: &Chat, body: &mut Map<String, Value>) {
        let sampling = &chat.sampling;
        let old_penalty = self.home && note(&chat.extra, "repeat_penalty").is_some();
        let penalty = if old_penalty { "repeat_penalty" } else { "repetition_penalty" };
        let fields = [
            ("top_k", sampling.top_k.map(Value::from)),
            ("min_p", sampling.min_p.clone().map(Value::from)),
            (penalty, sampling.repetition_penalty.clone().map(Value::from)),
        ];
        for (name, value) in fields {
            match value {
                Some(value) if self.home || self.quirks.has(Quirk::SamplingExtensions) => {
                    body.insert(name.to_owned(), value);
                }
                Some(_) => self.drop(name, "not a setting of this server"),
                None => {}
            }
        }
        if let (true, Some(unlimited)) = (self.home && sampling.top_k.is_none(), note(&chat.extra, "top_k")) {
            body.insert("top_k".to_owned(), unlimited.clone());
        }
    }

    /// Effort is the dialect's only word for reasoning; a budget is translated to it.
    fn reasoning(&mut self, reasoning: &Reasoning, body: &mut Map<String, Value>) {
        if reasoning.shown == Some(false) {
            self.drop("thinking.display", "a server of this dialect that can show its thoughts does");
        }
        let effort = match (reasoning.effort, reasoning.budget_tokens) {
            (Some(effort), _) => effort,
            (None, Some(budget)) => {
                self.drop("thinking.budget_tokens", "sent as reasoning_effort");
                effort_for(budget)
            }
            (None, None) => {
                if reasoning.enabled == Some(false) {
                    self.drop("thinking", "this dialect cannot switch thinking off for every model");
                }
                return;
            }
        };
        body.insert("reasoning_effort".to_owned(), effort.word().into());
    }
}

fn sampling(sampling: &Sampling, body: &mut Map<String, Value>) {
    let numbers = [
        ("temperature", &sampling.temperature),
        ("top_p", &sampling.top_p),
        ("presence_penalty", &sampling.presence_penalty),
        ("frequency_penalty", &sampling.frequency_penalty),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            body.insert(name.to_owned(), Value::Number(number.clone()));
        }
    }
    if let Some(seed) = sampling.seed {
        body.insert("seed".to_owned(), seed.into());
    }
    if let Some(top) = sampling.logprobs {
        body.insert("logprobs".to_owned(), true.into());
        if top > 0 {
            body.insert("top_logprobs".to_owned(), top.into());
        }
    }
}

pub(in crate::openai) const fn effort_for(budget_tokens: u64) -> Effort {
    if budget_tokens <= LOW_BUDGET_TOKENS {
        Effort::Low
    } else if budget_tokens <= MEDIUM_BUDGET_TOKENS {
        Effort::Medium
    } else {
        Effort::High
    }
}

/// The usual spelling of an output format; free text needs none.
pub(in crate::openai) fn write_format(format: &OutputFormat) -> Option<Value> {
    match format {
        OutputFormat::Text | OutputFormat::Grammar(_) => None,
        OutputFormat::JsonObject => Some(json!({"type": "json_object"})),
        OutputFormat::JsonSchema { name, description, schema, strict } => {
            let mut inner = Map::new();
            if let Some(name) = name {
                inner.insert("name".to_owned(), name.as_str().into());
            }
            if let Some(description) = description {
                inner.insert("description".to_owned(), description.as_str().into());
            }
            inner.insert("schema".to_owned(), schema.clone());
            if let Some(strict) = strict {
                inner.insert("strict".to_owned(), (*strict).into());
            }
            Some(json!({"type": "json_schema", "json_schema": inner}))
        }
    }
}
