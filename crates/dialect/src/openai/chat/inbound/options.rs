//! The request's settings: sampling, output format, reasoning, number of answers.

use message::{Chat, Dropped, Effort, Extra, Failure, OutputFormat, Reasoning};
use serde_json::{Number, Value};

use crate::openai::chat::encode::write_format;
use crate::openai::fields::{At, Fields};

/// Most alternatives per token that `top_logprobs` may ask for.
const TOP_LOGPROBS_MAX: u8 = 20;

/// Decodes every setting that the hub has a field for.
pub(super) fn options(fields: &mut Fields<'_>, chat: &mut Chat, notes: &mut Extra) -> Result<(), Failure> {
    let sampling = &mut chat.sampling;
    sampling.max_tokens = match max_tokens(fields, "max_completion_tokens")? {
        Some(limit) => Some(limit),
        None => {
            let limit = max_tokens(fields, "max_tokens")?;
            if limit.is_some() {
                notes.insert("max_tokens".to_owned(), Value::Bool(true));
            }
            limit
        }
    };
    sampling.temperature = fields.number_in("temperature", 0.0, f64::INFINITY)?;
    sampling.top_p = fields.number_in("top_p", 0.0, 1.0)?;
    sampling.min_p = fields.number_in("min_p", 0.0, 1.0)?;
    sampling.presence_penalty = fields.number_in("presence_penalty", -2.0, 2.0)?;
    sampling.frequency_penalty = fields.number_in("frequency_penalty", -2.0, 2.0)?;
    sampling.repetition_penalty = repetition_penalty(fields, notes)?;
    sampling.top_k = top_k(fields, notes)?;
    sampling.seed = seed(fields)?;
    sampling.stop = stop(fields, notes)?;
    sampling.logprobs = logprobs(fields, notes)?;
    chat.output = output(fields, notes)?;
    chat.reasoning = reasoning(fields);
    chat.user = fields.string("user")?;
    if chat.user.is_none() {
        // Its newer name.
        chat.user = fields.string("safety_identifier")?;
        if chat.user.is_some() {
            notes.insert("safety_identifier".to_owned(), true.into());
        }
    }
    answers(fields, chat, notes)?;
    modalities(fields, chat, notes);
    Ok(())
}

/// A cap on output tokens; `null` is none.
fn max_tokens(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<u64>, Failure> {
    let at = fields.at;
    match fields.take(name) {
        None => Ok(None),
        Some(value) => token_limit(at.field(name), &value).map(Some),
    }
}

fn token_limit(at: At<'_>, value: &Value) -> Result<u64, Failure> {
    match value.as_u64() {
        Some(limit) if limit > 0 => Ok(limit),
        _ if value.is_number() => Err(at.fault("must be a positive integer")),
        _ => Err(at.expected("a positive integer", value)),
    }
}

/// vLLM's `repetition_penalty`, or llama.cpp's `repeat_penalty` for the same.
fn repetition_penalty(fields: &mut Fields<'_>, notes: &mut Extra) -> Result<Option<Number>, Failure> {
    if let Some(penalty) = fields.number_in("repetition_penalty", 0.0, f64::INFINITY)? {
        return Ok(Some(penalty));
    }
    let penalty = fields.number_in("repeat_penalty", 0.0, f64::INFINITY)?;
    if penalty.is_some() {
        notes.insert("repeat_penalty".to_owned(), Value::Bool(true));
    }
    Ok(penalty)
}

/// An extension of vLLM (−1: all) and llama.cpp (0: all).
fn top_k(fields: &mut Fields<'_>, notes: &mut Extra) -> Result<Option<u64>, Failure> {
    let at = fields.at;
    let Some(value) = fields.take("top_k") else { return Ok(None) };
    match value.as_i64() {
        Some(-1 | 0) => {
            notes.insert("top_k".to_owned(), value);
            Ok(None)
        }
        Some(k) if k > 0 => Ok(Some(k.unsigned_abs())),
        _ => Err(at.field("top_k").fault("expected a positive integer, or 0 or -1 for no limit")),
    }
}

fn seed(fields: &mut Fields<'_>) -> Result<Option<i64>, Failure> {
    let at = fields.at;
    match fields.take("seed") {
        None => Ok(None),
        Some(value) => match value.as_i64() {
            Some(seed) => Ok(Some(seed)),
            None => Err(at.field("seed").fault("expected a 64-bit integer")),
        },
    }
}

fn stop(fields: &mut Fields<'_>, notes: &mut Extra) -> Result<Vec<String>, Failure> {
    let at = fields.at;
    let at = at.field("stop");
    match fields.take("stop") {
        None => Ok(Vec::new()),
        Some(Value::String(stop)) => {
            notes.insert("stop".to_owned(), Value::Bool(true));
            Ok(vec![stop])
        }
        Some(Value::Array(stops)) if stops.is_empty() => {
            fields.put("stop", Value::Array(stops));
            Ok(Vec::new())
        }
        Some(Value::Array(stops)) => {
            let strings = stops.into_iter().enumerate().map(|(index, stop)| match stop {
                Value::String(stop) => Ok(stop),
                other => Err(at.item(index).expected("a string", &other)),
            });
            strings.collect()
        }
        Some(other) => Err(at.expected("a string or an array of strings", &other)),
    }
}

fn logprobs(fields: &mut Fields<'_>, notes: &mut Extra) -> Result<Option<u8>, Failure> {
    let at = fields.at;
    let wanted = fields.bool("logprobs")?;
    let top = match fields.take("top_logprobs") {
        None => None,
        Some(value) => match value.as_u64().and_then(|top| u8::try_from(top).ok()) {
            Some(top) if top <= TOP_LOGPROBS_MAX => Some(top),
            _ => {
                let range = format_args!("must be an integer between 0 and {TOP_LOGPROBS_MAX}");
                return Err(at.field("top_logprobs").fault(range));
            }
        },
    };
    if wanted != Some(true) {
        if top.is_some_and(|top| top > 0) {
            return Err(at.field("top_logprobs").fault("needs `logprobs` to be true"));
        }
        if let Some(no) = wanted {
            notes.insert("logprobs".to_owned(), Value::Bool(no));
        }
    }
    if top == Some(0) {
        notes.insert("top_logprobs".to_owned(), Value::from(0));
    }
    Ok((wanted == Some(true)).then(|| top.unwrap_or(0)))
}

fn output(fields: &mut Fields<'_>, notes: &mut Extra) -> Result<OutputFormat, Failure> {
    let at = fields.at;
    let Some(value) = fields.take("response_format") else { return Ok(OutputFormat::Text) };
    let format = format(at.field("response_format"), &value)?;
    if write_format(&format).as_ref() != Some(&value) {
        notes.insert("response_format".to_owned(), value);
    }
    Ok(format)
}

pub(super) fn format(at: At<'_>, value: &Value) -> Result<OutputFormat, Failure> {
    match value.get("type").and_then(Value::as_str) {
        Some("text") => Ok(OutputFormat::Text),
        Some("json_object") => Ok(OutputFormat::JsonObject),
        Some("json_schema") => {
            let at = at.field("json_schema");
            let Some(Value::Object(inner)) = value.get("json_schema") else {
                return Err(at.fault("an object with `name` and `schema` is required"));
            };
            let mut inner = Fields::new(at, inner.clone());
            Ok(OutputFormat::JsonSchema {
                name: inner.string("name")?,
                description: inner.string("description")?,
                schema: inner.take("schema").ok_or_else(|| inner.missing("schema"))?,
                strict: inner.bool("strict")?,
            })
        }
        _ => Err(at.field("type").fault("expected `text`, `json_object` or `json_schema`")),
    }
}

/// `reasoning_effort`; a word this version does not know stays for home.
fn reasoning(fields: &mut Fields<'_>) -> Option<Reasoning> {
    let effort = Effort::from_word(fields.peek("reasoning_effort")?.as_str()?)?;
    fields.take("reasoning_effort");
    let enabled = (effort == Effort::None).then_some(false);
    Some(Reasoning { enabled, effort: Some(effort), ..Reasoning::default() })
}

/// `n`: how many answers.
fn answers(fields: &mut Fields<'_>, chat: &mut Chat, notes: &mut Extra) -> Result<(), Failure> {
    let at = fields.at;
    let Some(n) = fields.take("n") else { return Ok(()) };
    chat.choices = u32::try_from(token_limit(at.field("n"), &n)?).unwrap_or(u32::MAX);
    notes.insert("n".to_owned(), n);
    Ok(())
}

/// `modalities`: text is what everybody answers; sound only some models at home.
fn modalities(fields: &mut Fields<'_>, chat: &mut Chat, notes: &mut Extra) {
    let Some(modalities) = fields.take("modalities") else { return };
    let text_only = modalities.as_array().is_some_and(|list| list.iter().all(|one| one == "text"));
    if text_only {
        notes.insert("modalities".to_owned(), modalities);
    } else {
        fields.put("modalities", modalities);
        let why = "it answers in text only";
        chat.essential.push(Dropped { path: "modalities".to_owned(), why });
    }
}
