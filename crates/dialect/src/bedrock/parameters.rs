//! What Converse has no member for, in the words of the model's own family: written as
//! `additionalModelRequestFields`, the other half of `additional`, which reads them.
//!
//! A field that a family does not know makes Bedrock refuse the request, so only known
//! ones are sent, and what is left out is listed. Sources: "Inference request parameters
//! and response fields" and "Extended thinking" of the Amazon Bedrock user guide;
//! `LiteLLM` 1.109.1's maps for `tool_choice`; read 2026-11-22.

use message::{Chat, Effort, Reasoning, ToolChoice};
use serde_json::{Value, json};

use super::adapt::Losses;
use super::additional::FIELD;
use super::family::Family;
use super::pointer::PATHS;
use super::wire::{At, leave, spell};
use crate::claude::{self, Claude};

/// Output tokens asked for beside the thinking when the client set no limit. Every Claude
/// that thinks can produce as many.
const MAX_TOKENS_DEFAULT: u64 = 8192;

const UNKNOWN: &str = "this model has no parameter for it";

/// Adds what the family has words for.
pub(super) fn add(chat: &Chat, family: Family, adapted: &mut Chat, losses: &mut Losses) {
    let mut fields = Fields { adapted, losses };
    let mut top_k = chat.sampling.top_k;
    match family {
        Family::Claude(claude) => {
            let thinks = claude_fields(chat, claude, &mut fields);
            let sampling = &mut fields.adapted.sampling;
            sampling.top_k = top_k;
            claude.settle(thinks, sampling, |name, why| fields.losses.note(At::Body.key(name), why));
            top_k = sampling.top_k.take();
        }
        Family::Nova { thinks } => nova_fields(chat, thinks, &mut fields),
        _ => fields.reason(chat, |reasoning| match (family, reasoning.effort) {
            (Family::OpenAi { reasoning_effort: true }, Some(effort)) => {
                Some(("reasoning_effort", Value::from(effort.word())))
            }
            _ => None,
        }),
    }
    fields.count(chat, family, top_k);
    let alone = chat.parallel_tool_calls == Some(false) && !chat.tools.is_empty();
    if alone && !matches!(family, Family::Claude(_)) {
        fields.lose("parallel_tool_calls");
    }
}

struct Fields<'a> {
    adapted: &'a mut Chat,
    losses: &'a mut Losses,
}

impl Fields<'_> {
    fn set(&mut self, name: &str, value: Value) {
        leave(&mut self.adapted.extra, &[FIELD], Some([(name.to_owned(), value)].into_iter().collect()));
    }

    fn lose(&mut self, name: &str) {
        self.losses.note(At::Body.key(name), UNKNOWN);
    }

    /// The parameters that are a number in every family, under its name for them.
    fn count(&mut self, chat: &Chat, family: Family, top_k: Option<u64>) {
        let sampling = &chat.sampling;
        let number = |number: &Option<serde_json::Number>, neutral: f64| {
            number.clone().filter(|number| number.as_f64() != Some(neutral)).map(Value::Number)
        };
        let given = [
            ("top_k", top_k.map(Value::from)),
            ("min_p", sampling.min_p.clone().map(Value::Number)),
            ("presence_penalty", number(&sampling.presence_penalty, 0.0)),
            ("frequency_penalty", number(&sampling.frequency_penalty, 0.0)),
            ("repetition_penalty", number(&sampling.repetition_penalty, 1.0)),
            ("seed", sampling.seed.map(Value::from)),
        ];
        for (name, value) in given {
            let Some(value) = value else { continue };
            match (family, name) {
                (Family::Claude(_) | Family::Mistral, "top_k") => self.set("top_k", value),
                (Family::Nova { .. }, "top_k") => self.set("inferenceConfig", json!({ "topK": value })),
                (Family::Command, "top_k") => self.set("k", value),
                (
                    Family::Command | Family::OpenAi { .. },
                    "presence_penalty" | "frequency_penalty" | "seed",
                ) => {
                    self.set(name, value);
                }
                _ => self.lose(name),
            }
        }
    }

    /// Says how to think, if the family has a word for what was asked.
    fn reason(&mut self, chat: &Chat, word: impl FnOnce(&Reasoning) -> Option<(&'static str, Value)>) {
        let Some(reasoning) = &chat.reasoning else { return };
        match word(reasoning) {
            Some((name, value)) => self.set(name, value),
            None if reasoning.wanted() => self.lose("reasoning"),
            // Not to think is what a model without the word does.
            None => {}
        }
    }
}

/// Whether it is asked to think.
fn claude_fields(chat: &Chat, claude: Claude, fields: &mut Fields<'_>) -> bool {
    // The reply should say which stop sequence ended it.
    if !chat.sampling.stop.is_empty() {
        spell(&mut fields.adapted.extra, PATHS, json!(["/stop_sequence"]));
    }
    let choice = fields.adapted.tool_choice.clone();
    if chat.parallel_tool_calls == Some(false) && !fields.adapted.tools.is_empty() {
        let kind = match &choice {
            Some(ToolChoice::Any) => json!({ "type": "any", "disable_parallel_tool_use": true }),
            Some(ToolChoice::Named(name)) => {
                json!({ "type": "tool", "name": name, "disable_parallel_tool_use": true })
            }
            _ => json!({ "type": "auto", "disable_parallel_tool_use": true }),
        };
        fields.set("tool_choice", kind);
    }
    let Some(reasoning) = &chat.reasoning else { return false };
    if reasoning.off() {
        if claude.thinks() {
            fields.set("thinking", json!({ "type": "disabled" }));
        }
        return false;
    }
    if !reasoning.wanted() {
        return false;
    }
    // A forced call excludes thinking.
    if !claude.thinks() || matches!(choice, Some(ToolChoice::Any | ToolChoice::Named(_))) {
        fields.lose("reasoning");
        return false;
    }
    let mut effort = reasoning.effort;
    let mut budget = reasoning.budget_tokens;
    match budget {
        Some(tokens) if !claude.takes_budget() => {
            fields.losses.note(At::Body.key("thinking").key("budget_tokens"), claude::MEASURES_ITSELF);
            effort = effort.or(Some(claude::effort(tokens)));
            budget = None;
        }
        None if !claude.adapts() => budget = Some(claude::budget(effort)),
        _ => {}
    }
    // Unasked, a Claude since Opus 4.7 shows nothing of what it thinks; the earlier ones
    // show it as they would unasked.
    let display = if reasoning.shown == Some(false) { "omitted" } else { "summarized" };
    match budget {
        Some(budget) => {
            let sampling = &mut fields.adapted.sampling;
            let limit = *sampling.max_tokens.get_or_insert(budget.saturating_add(MAX_TOKENS_DEFAULT));
            let Some(budget) = claude::fitting(budget, limit) else {
                fields.lose("reasoning");
                return false;
            };
            let thinking = json!({ "type": "enabled", "budget_tokens": budget, "display": display });
            fields.set("thinking", thinking);
        }
        None => fields.set("thinking", json!({ "type": "adaptive", "display": display })),
    }
    if let Some(effort) = effort.filter(|_| claude.adapts()) {
        let word = effort.max(Effort::Low).word();
        let config = [("effort".to_owned(), Value::from(word))].into_iter().collect();
        leave(&mut fields.adapted.extra, &["outputConfig"], Some(config));
    }
    true
}

fn nova_fields(chat: &Chat, thinks: bool, fields: &mut Fields<'_>) {
    fields.reason(chat, |reasoning| {
        if !thinks {
            return None;
        }
        if reasoning.off() {
            return Some(("reasoningConfig", json!({ "type": "disabled" })));
        }
        let effort = match reasoning.effort {
            _ if !reasoning.wanted() => return None,
            Some(Effort::None | Effort::Minimal | Effort::Low) => "low",
            Some(Effort::Medium) | None => "medium",
            Some(Effort::High | Effort::XHigh | Effort::Max) => "high",
        };
        Some(("reasoningConfig", json!({ "type": "enabled", "maxReasoningEffort": effort })))
    });
}
