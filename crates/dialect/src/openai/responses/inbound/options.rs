//! The request's settings: sampling, the form of the text, reasoning.

use message::{Chat, Dropped, Effort, Extra, Failure, OutputFormat, Reasoning};
use serde_json::Value;

use crate::openai::fields::{At, Fields};
use crate::openai::responses::encode::write_format;

/// Most alternatives per token that `top_logprobs` may ask for.
const TOP_LOGPROBS_MAX: u8 = 20;

/// Decodes every setting that the hub has a field for.
pub(super) fn options(fields: &mut Fields<'_>, chat: &mut Chat, notes: &mut Extra) -> Result<(), Failure> {
    let sampling = &mut chat.sampling;
    sampling.max_tokens = max_tokens(fields)?;
    sampling.temperature = fields.number_in("temperature", 0.0, f64::INFINITY)?;
    sampling.top_p = fields.number_in("top_p", 0.0, 1.0)?;
    sampling.logprobs = logprobs(fields, notes)?;
    text(fields, chat, notes)?;
    reasoning(fields, chat, notes)?;
    chat.user = fields.string("user")?;
    if chat.user.is_none() {
        chat.user = fields.string("safety_identifier")?;
        if chat.user.is_some() {
            notes.insert("safety_identifier".to_owned(), true.into());
        }
    }
    // What everybody does who is not asked for more.
    for (name, usual) in [("truncation", "disabled"), ("service_tier", "auto"), ("service_tier", "default")] {
        if fields.peek(name).is_some_and(|value| value == usual) {
            notes.insert(name.to_owned(), fields.take_any(name).unwrap_or_default());
        }
    }
    if fields.peek("max_tool_calls").is_some_and(|max| !max.is_null()) {
        let why = "it cannot stop a model after a number of tool calls";
        chat.essential.push(Dropped { path: "max_tool_calls".to_owned(), why });
    }
    Ok(())
}

fn max_tokens(fields: &mut Fields<'_>) -> Result<Option<u64>, Failure> {
    let at = fields.at;
    let at = at.field("max_output_tokens");
    match fields.take("max_output_tokens") {
        None => Ok(None),
        Some(value) => match value.as_u64() {
            Some(limit) if limit > 0 => Ok(Some(limit)),
            _ if value.is_number() => Err(at.fault("must be a positive integer")),
            _ => Err(at.expected("a positive integer", &value)),
        },
    }
}

/// `top_logprobs`; `include` alone asks for the chosen tokens' own.
fn logprobs(fields: &mut Fields<'_>, notes: &mut Extra) -> Result<Option<u8>, Failure> {
    let at = fields.at;
    let included = notes.get("include").and_then(Value::as_array);
    let included = included.is_some_and(|all| all.iter().any(|one| one == "message.output_text.logprobs"));
    let Some(value) = fields.take("top_logprobs") else { return Ok(included.then_some(0)) };
    let top = match value.as_u64().and_then(|top| u8::try_from(top).ok()) {
        Some(top) if top <= TOP_LOGPROBS_MAX => top,
        _ => {
            let range = format_args!("must be an integer between 0 and {TOP_LOGPROBS_MAX}");
            return Err(at.field("top_logprobs").fault(range));
        }
    };
    notes.insert("top_logprobs".to_owned(), value);
    Ok((top > 0 || included).then_some(top))
}

/// `text`: the form of the answer, and how wordy it is.
fn text(fields: &mut Fields<'_>, chat: &mut Chat, notes: &mut Extra) -> Result<(), Failure> {
    let at = fields.at;
    let at = at.field("text");
    let Some(value) = fields.take("text") else { return Ok(()) };
    let mut inner = Fields::of(at, value)?;
    if let Some(format) = inner.take("format") {
        chat.output = parse_format(at.field("format"), &format)?;
        if write_format(&chat.output).as_ref() != Some(&format) {
            notes.insert("format".to_owned(), format);
        }
    }
    if inner.peek("verbosity").is_some_and(|verbosity| verbosity == "medium") {
        notes.insert("verbosity".to_owned(), inner.take_any("verbosity").unwrap_or_default());
    }
    // Also when empty: that it was there is the client's spelling.
    fields.put("text", inner.rest().into());
    Ok(())
}

/// Reads a `text.format`.
pub(in crate::openai::responses) fn parse_format(at: At<'_>, value: &Value) -> Result<OutputFormat, Failure> {
    match value.get("type").and_then(Value::as_str) {
        Some("text") => Ok(OutputFormat::Text),
        Some("json_object") => Ok(OutputFormat::JsonObject),
        Some("json_schema") => {
            let mut inner = Fields::of(at, value.clone())?;
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

/// `reasoning`; an effort this version does not know stays for home.
fn reasoning(fields: &mut Fields<'_>, chat: &mut Chat, notes: &mut Extra) -> Result<(), Failure> {
    let at = fields.at;
    let Some(value) = fields.take("reasoning") else { return Ok(()) };
    let mut inner = Fields::of(at.field("reasoning"), value)?;
    let parsed = parse_reasoning(inner.peek("effort"));
    if parsed.is_some() {
        inner.take("effort");
    }
    chat.reasoning = parsed;
    if inner.peek("summary").or(inner.peek("generate_summary")).is_some_and(Value::is_string) {
        chat.reasoning.get_or_insert_default().shown = Some(true);
    }
    // How it is summed up: elsewhere it is shown as it comes.
    for name in ["summary", "generate_summary", "context"] {
        if let Some(value) = inner.take_any(name) {
            notes.insert(format!("reasoning.{name}"), value);
        }
    }
    fields.put("reasoning", inner.rest().into());
    Ok(())
}

/// Reads a `reasoning.effort`.
pub(in crate::openai::responses) fn parse_reasoning(effort: Option<&Value>) -> Option<Reasoning> {
    let effort = Effort::from_word(effort?.as_str()?)?;
    let enabled = (effort == Effort::None).then_some(false);
    Some(Reasoning { enabled, effort: Some(effort), ..Reasoning::default() })
}
