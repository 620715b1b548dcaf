//! `additionalModelRequestFields`: parameters that Converse has no member for, in the
//! words of the model's own family.
//!
//! Known words become the hub's, and are noted as spelling with all they say; the rest
//! stays as `additionalModelRequestFields` in the chat's `extra`. At home both are written
//! back as they were.
//!
//! Source: the families' request bodies in the Amazon Bedrock user guide ("Inference
//! request parameters and response fields"), read 2026-11-22.

use message::{Chat, Effort, Extra, Failure, Reasoning};
use serde_json::Value;

use super::wire::{At, Object, leave, spell, string};

pub(super) const FIELD: &str = "additionalModelRequestFields";

/// Reads the fields into `chat`.
pub(super) fn read(value: Value, at: At<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let mut fields = Object::new(value, at)?;
    let (mut spelt, mut kept) = (Extra::new(), Extra::new());
    for name in PLAIN {
        spelt.extend(fields.peek(name).map(|value| ((*name).to_owned(), value.clone())));
    }
    plain(&mut fields, chat)?;
    for (name, read) in SPELT {
        if let Some(value) = fields.take(name) {
            let whole = value.clone();
            let mut field = Field { at: at.key(name), value, chat };
            let understood = read(&mut field)?;
            if understood { &mut spelt } else { &mut kept }.insert((*name).to_owned(), whole);
        }
    }
    if !spelt.is_empty() {
        spell(&mut chat.extra, FIELD, Value::Object(spelt));
    }
    let left = fields.left();
    leave(&mut chat.extra, &[FIELD], (!kept.is_empty()).then_some(kept));
    leave(&mut chat.extra, &[FIELD], left);
    Ok(())
}

/// The names that [`plain`] reads.
const PLAIN: &[&str] = &[
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "seed",
    "parallel_tool_calls",
];

/// Fields the hub has under the same name.
fn plain(fields: &mut Object<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let sampling = &mut chat.sampling;
    sampling.top_k = fields.count("top_k", 0)?;
    sampling.min_p = fields.fraction("min_p", 0.0, 1.0)?;
    sampling.presence_penalty = fields.number("presence_penalty")?;
    sampling.frequency_penalty = fields.number("frequency_penalty")?;
    sampling.repetition_penalty = fields.number("repetition_penalty")?;
    if let Some(seed) = fields.number("seed")? {
        let at = fields.at.key("seed");
        sampling.seed = Some(seed.as_i64().ok_or_else(|| at.wrong("must be a whole number of 64 bits"))?);
    }
    if let Some(parallel) = fields.boolean("parallel_tool_calls")? {
        chat.parallel_tool_calls = Some(parallel);
    }
    Ok(())
}

/// A field in a family's own spelling.
struct Field<'a> {
    at: At<'a>,
    value: Value,
    chat: &'a mut Chat,
}

impl Field<'_> {
    fn object(&mut self) -> Result<Object<'_>, Failure> {
        Object::new(self.value.take(), self.at)
    }

    /// `outputConfig.effort`, read before, wins over a family's own word.
    fn set_effort(&mut self, word: Option<&str>) -> bool {
        let effort = word.and_then(Effort::from_word);
        if let Some(effort) = effort {
            self.chat.reasoning.get_or_insert_with(Reasoning::default).effort.get_or_insert(effort);
        }
        effort.is_some() || word.is_none()
    }
}

/// Reads a field; `false` if it says more than has been understood.
type Read = fn(&mut Field<'_>) -> Result<bool, Failure>;

const SPELT: &[(&str, Read)] = &[
    ("topK", top_k),
    ("inferenceConfig", nova_config),
    ("thinking", thinking),
    ("reasoning_config", thinking),
    ("output_config", output_config),
    ("reasoning_effort", reasoning_effort),
    ("tool_choice", tool_choice),
];

fn top_k(field: &mut Field<'_>) -> Result<bool, Failure> {
    let top_k = field.value.as_u64().ok_or_else(|| field.at.wrong("must be a whole number"))?;
    field.chat.sampling.top_k = Some(top_k);
    Ok(true)
}

/// Amazon Nova's `{"topK": n}`.
fn nova_config(field: &mut Field<'_>) -> Result<bool, Failure> {
    let mut config = field.object()?;
    let top_k = config.count("topK", 0)?;
    let understood = config.rest().is_empty();
    field.chat.sampling.top_k = top_k.or(field.chat.sampling.top_k);
    Ok(understood)
}

/// Anthropic's `{"type": "enabled" | "adaptive" | "disabled", "budget_tokens": n,
/// "display": "summarized" | "omitted"}`.
fn thinking(field: &mut Field<'_>) -> Result<bool, Failure> {
    let mut config = field.object()?;
    let enabled = match config.require_string("type")?.as_str() {
        "enabled" => Some(true),
        "disabled" => Some(false),
        "adaptive" => None,
        _ => return Err(config.at.key("type").wrong("must be `enabled`, `adaptive` or `disabled`")),
    };
    let budget_tokens = config.count("budget_tokens", 0)?;
    let display = config.string("display")?;
    let shown = match display.as_deref() {
        Some("summarized") => Some(true),
        Some("omitted") => Some(false),
        _ => None,
    };
    let understood = config.rest().is_empty() && display.is_some() == shown.is_some();
    let reasoning = field.chat.reasoning.get_or_insert_with(Reasoning::default);
    reasoning.enabled = enabled;
    reasoning.budget_tokens = budget_tokens;
    reasoning.shown = shown;
    Ok(understood)
}

/// Anthropic's `{"effort": …}`.
fn output_config(field: &mut Field<'_>) -> Result<bool, Failure> {
    let mut config = field.object()?;
    let word = config.string("effort")?;
    let alone = config.rest().is_empty();
    Ok(field.set_effort(word.as_deref()) && alone)
}

/// OpenAI's.
fn reasoning_effort(field: &mut Field<'_>) -> Result<bool, Failure> {
    let word = string(field.value.take(), field.at)?;
    Ok(field.set_effort(Some(&word)))
}

/// Anthropic's `{"type": "auto", "disable_parallel_tool_use": …}`; which tool must be
/// called is `toolConfig.toolChoice`'s to say.
fn tool_choice(field: &mut Field<'_>) -> Result<bool, Failure> {
    let mut choice = field.object()?;
    let alone = choice.boolean("disable_parallel_tool_use")?;
    let auto = choice.string("type")?.is_none_or(|kind| kind == "auto");
    let understood = auto && choice.rest().is_empty();
    field.chat.parallel_tool_calls = alone.map(|alone| !alone).or(field.chat.parallel_tool_calls);
    Ok(understood)
}
