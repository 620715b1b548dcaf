//! `generationConfig` → sampling, output format, reasoning.

use message::{Chat, Dropped, Effort, Extra, Failure, OutputFormat, Reasoning};
use serde_json::{Map, Value};

use super::super::schema;
use crate::json::fields::{At, Fields};

/// The fields that together say the answer's form.
const FORMAT: [&str; 3] = ["responseMimeType", "responseSchema", "responseJsonSchema"];

/// The fields that together say what is wanted of reasoning.
const THINKING: [&str; 3] = ["includeThoughts", "thinkingBudget", "thinkingLevel"];

/// Decodes the settings.
pub(super) fn settings(fields: &mut Fields<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let at = fields.at;
    let at = at.field("generationConfig");
    let Some(value) = fields.take("generationConfig") else { return Ok(()) };
    let mut config = Fields::of(at, value)?;
    let sampling = &mut chat.sampling;
    sampling.max_tokens = config.count("maxOutputTokens")?;
    sampling.temperature = config.number("temperature")?;
    sampling.top_p = config.number("topP")?;
    sampling.top_k = config.count("topK")?;
    sampling.presence_penalty = config.number("presencePenalty")?;
    sampling.frequency_penalty = config.number("frequencyPenalty")?;
    if let Some(seed) = config.number("seed")? {
        let seed = seed.as_i64().ok_or_else(|| at.field("seed").fault("expected an integer"))?;
        sampling.seed = Some(seed);
    }
    for (index, stop) in config.filled_array("stopSequences")?.into_iter().enumerate() {
        match stop {
            Value::String(stop) => sampling.stop.push(stop),
            other => return Err(at.field("stopSequences").item(index).expected("a string", &other)),
        }
    }
    logprobs(&mut config, chat)?;
    answers(&mut config, chat)?;
    format(&mut config, chat)?;
    thinking(&mut config, chat)?;
    fields.keep_rest("generationConfig", config);
    Ok(())
}

/// `responseLogprobs` switches them on, `logprobs` counts the alternatives.
fn logprobs(config: &mut Fields<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let at = config.at;
    match config.bool("responseLogprobs")? {
        Some(true) => {}
        Some(false) => {
            config.note("responseLogprobs", false);
            return Ok(());
        }
        None => return Ok(()),
    }
    let count = config.count("logprobs")?;
    let wrong = |_| at.field("logprobs").fault("must be between 0 and 20");
    if count == Some(0) {
        config.note("logprobs", 0);
    }
    chat.sampling.logprobs = Some(u8::try_from(count.unwrap_or(0)).map_err(wrong)?);
    Ok(())
}

/// How many answers, and of which kinds: others give text only.
fn answers(config: &mut Fields<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let at = config.at;
    if let Some(count) = config.count("candidateCount")? {
        if count == 0 {
            return Err(at.field("candidateCount").fault("must be at least 1"));
        }
        chat.choices = u32::try_from(count).unwrap_or(u32::MAX);
        config.note("candidateCount", count);
    }
    if let Some(modalities) = config.take("responseModalities") {
        let is_text = |one: &Value| one.as_str().is_some_and(|one| one.eq_ignore_ascii_case("text"));
        if modalities.as_array().is_some_and(|all| all.iter().all(is_text)) {
            config.note("responseModalities", modalities);
        } else {
            config.put("responseModalities", modalities);
            essential(chat, "responseModalities", "it answers in text only");
        }
    }
    if config.peek("responseFormat").is_some() {
        essential(chat, "responseFormat", "use responseMimeType and responseJsonSchema");
    }
    Ok(())
}

fn essential(chat: &mut Chat, name: &str, why: &'static str) {
    chat.essential.push(Dropped { path: format!("generationConfig.{name}"), why });
}

fn format(config: &mut Fields<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let mut said = Extra::new();
    for name in FORMAT {
        if let Some(value) = config.take(name) {
            said.insert(name.to_owned(), value);
        }
    }
    match read_format(config.at, &said)? {
        Some(format) => {
            chat.output = format;
            if !said.is_empty() {
                config.note("format", said);
            }
        }
        None => {
            let why = "it answers in free text or JSON";
            said.into_iter().for_each(|(name, value)| config.put(&name, value));
            essential(chat, "responseMimeType", why);
        }
    }
    Ok(())
}

/// The form of the answer; `None`: one that only Gemini has.
pub(in crate::gemini) fn read_format(at: At<'_>, said: &Extra) -> Result<Option<OutputFormat>, Failure> {
    let [mime_type, own, json] = FORMAT.map(|name| said.get(name));
    let mime_type = match mime_type {
        None => None,
        Some(Value::String(text)) => Some(text.as_str()),
        Some(other) => return Err(at.field(FORMAT[0]).expected("a string", other)),
    };
    let schema = match (json, own) {
        (Some(_), Some(_)) => {
            return Err(at.field("responseSchema").fault("cannot be combined with `responseJsonSchema`"));
        }
        (Some(schema), None) => Some(schema.clone()),
        (None, Some(own)) => Some(schema::to_json_schema(own)),
        (None, None) => None,
    };
    Ok(match (mime_type, schema) {
        (Some("application/json") | None, Some(schema)) => {
            Some(OutputFormat::JsonSchema { name: None, description: None, schema, strict: None })
        }
        (Some("application/json"), None) => Some(OutputFormat::JsonObject),
        (Some("text/plain") | None, None) => Some(OutputFormat::Text),
        _ => None,
    })
}

fn thinking(config: &mut Fields<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let at = config.at;
    let at = at.field("thinkingConfig");
    let Some(value) = config.take("thinkingConfig") else { return Ok(()) };
    let mut inner = Fields::of(at, value)?;
    let mut said = Map::new();
    for name in THINKING {
        if let Some(value) = inner.take(name) {
            said.insert(name.to_owned(), value);
        }
    }
    chat.reasoning = Some(read_thinking(at, &said)?);
    inner.note("said", said);
    config.keep_rest("thinkingConfig", inner);
    Ok(())
}

/// Budget 0 is off, −1 is the model's choice.
pub(in crate::gemini) fn read_thinking(at: At<'_>, said: &Extra) -> Result<Reasoning, Failure> {
    let [shown, budget, level] = THINKING.map(|name| said.get(name));
    let shown = match shown {
        None => None,
        Some(Value::Bool(shown)) => Some(*shown),
        Some(other) => return Err(at.field(THINKING[0]).expected("a boolean", other)),
    };
    let budget = match budget {
        None => None,
        Some(value) => {
            Some(value.as_i64().ok_or_else(|| at.field(THINKING[1]).expected("an integer", value))?)
        }
    };
    let effort = match level {
        None => None,
        Some(Value::String(word)) => Effort::from_word(&word.to_ascii_lowercase()),
        Some(other) => return Err(at.field(THINKING[2]).expected("a string", other)),
    };
    let budget_tokens = budget.and_then(|budget| u64::try_from(budget).ok()).filter(|budget| *budget > 0);
    let enabled = match budget {
        Some(0) => Some(false),
        Some(1..) => Some(true),
        _ => None,
    };
    Ok(Reasoning { enabled, effort, budget_tokens, shown })
}
