//! Special tokens, what is put around a text, and the chat template.

use serde::Deserialize;
use serde_json::Value as Json;

use super::Tokenizer;
use crate::convert::config::{Config, TokenIds};
use crate::convert::folder::Folder;
use crate::gguf::Value;

/// Texts of tokens that llama.cpp takes for an answer's end (`llama-vocab.cpp` of
/// llama-cpp-sys-2 0.1.161; those of families that are not converted left out).
const KNOWN_ENDS: [&str; 8] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<eos>",
];

/// `tokenizer_config.json`, as far as it is used.
#[derive(Deserialize, Default)]
struct Settings {
    #[serde(default)]
    add_bos_token: Option<bool>,
    #[serde(default)]
    add_eos_token: Option<bool>,
    #[serde(default)]
    bos_token: Json,
    #[serde(default)]
    eos_token: Json,
    #[serde(default)]
    unk_token: Json,
    #[serde(default)]
    pad_token: Json,
    #[serde(default)]
    chat_template: Json,
}

/// The settings of special tokens and templates.
///
/// # Errors
/// In words, where a file makes no sense.
pub(super) fn settings(
    folder: &Folder,
    config: &Config,
    tokenizer: &Tokenizer,
    tokens: &[String],
) -> Result<Vec<(String, Value)>, String> {
    let read = |name: &str| folder.optional(name);
    let own: Settings = match read("tokenizer_config.json")? {
        Some(json) => {
            serde_json::from_slice(&json).map_err(|error| format!("tokenizer_config.json: {error}"))?
        }
        None => Settings::default(),
    };
    let generation: TokenIds = match read("generation_config.json")? {
        Some(json) => {
            serde_json::from_slice(&json).map_err(|error| format!("generation_config.json: {error}"))?
        }
        None => TokenIds::default(),
    };
    let mut settings = Vec::new();
    let mut set = |key: &str, id: Option<u32>| {
        settings.extend(id.map(|id| (format!("tokenizer.ggml.{key}_token_id"), Value::from(id))));
    };
    let named = |token: &Json| by_name(token, tokens);
    let first = |ids: &Option<Json>| numbers(ids.as_ref(), tokens.len()).first().copied();
    let of = |token: &Json, one: &Option<Json>, other: &Option<Json>| {
        named(token).or_else(|| first(one)).or_else(|| first(other))
    };
    let given = &config.token_ids;
    let bos = of(&own.bos_token, &given.bos_token_id, &generation.bos_token_id);
    set("bos", bos);
    let eos = of(&own.eos_token, &given.eos_token_id, &generation.eos_token_id);
    set("eos", eos);
    // Where an answer may end in other ways, too, llama.cpp has two more names for them.
    // Those it knows by their text are not named: it also knows which of them ends a turn.
    let mut ends = numbers(generation.eos_token_id.as_ref().or(given.eos_token_id.as_ref()), tokens.len());
    ends.retain(|end| Some(*end) != eos && !KNOWN_ENDS.contains(&&*tokens[*end as usize]));
    set("eom", ends.first().copied());
    set("eot", ends.get(1).copied());
    set("unknown", named(&own.unk_token));
    set("padding", of(&own.pad_token, &given.pad_token_id, &generation.pad_token_id));

    let (first, last) = around(&tokenizer.post_processor, tokens);
    let (bos_around, eos_around) = (first.is_some() && first == bos, last.is_some() && last == eos);
    settings.push(("tokenizer.ggml.add_bos_token".into(), own.add_bos_token.unwrap_or(bos_around).into()));
    settings.push(("tokenizer.ggml.add_eos_token".into(), own.add_eos_token.unwrap_or(eos_around).into()));
    settings.extend(templates(&own.chat_template, read("chat_template.jinja")?)?);
    Ok(settings)
}

/// The number of a token that is given by its text, or an object with it.
fn by_name(token: &Json, tokens: &[String]) -> Option<u32> {
    let text = token.as_str().or_else(|| token.get("content")?.as_str())?;
    tokens.iter().position(|token| token == text).and_then(|id| u32::try_from(id).ok())
}

/// One number, or several; those that are no tokens are left out.
fn numbers(ids: Option<&Json>, tokens: usize) -> Vec<u32> {
    let all = match ids {
        Some(Json::Array(ids)) => ids.iter().collect(),
        Some(id) => vec![id],
        None => Vec::new(),
    };
    let ids = all.into_iter().filter_map(|id| u32::try_from(id.as_u64()?).ok());
    ids.filter(|id| (*id as usize) < tokens).collect()
}

/// The tokens that are put before and after every text.
fn around(processor: &Json, tokens: &[String]) -> (Option<u32>, Option<u32>) {
    let one = [processor.clone()];
    let steps = processor.get("processors").and_then(Json::as_array).map_or(&one[..], Vec::as_slice);
    let template = steps.iter().find(|step| step["type"] == "TemplateProcessing");
    let Some([first, .., last]) = template.and_then(|step| step["single"].as_array()).map(Vec::as_slice)
    else {
        return (None, None);
    };
    let special = |step: &Json| by_name(step.get("SpecialToken")?.get("id")?, tokens);
    (special(first), special(last))
}

/// A template, or several with names.
fn templates(given: &Json, file: Option<Vec<u8>>) -> Result<Vec<(String, Value)>, String> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
        template: String,
    }
    if let Some(file) = file {
        let text = String::from_utf8(file).map_err(|_| "chat_template.jinja is no UTF-8")?;
        return Ok(vec![("tokenizer.chat_template".into(), (&*text).into())]);
    }
    match given {
        Json::String(text) => Ok(vec![("tokenizer.chat_template".into(), (&**text).into())]),
        Json::Array(_) => {
            let all: Vec<Named> = serde_json::from_value(given.clone())
                .map_err(|error| format!("tokenizer_config.json: chat_template: {error}"))?;
            let others: Vec<&str> =
                all.iter().map(|named| &*named.name).filter(|name| *name != "default").collect();
            let mut settings = vec![("tokenizer.chat_templates".into(), Value::from(&others[..]))];
            settings.extend(all.iter().map(|Named { name, template }| {
                let key = if name == "default" { String::new() } else { format!(".{name}") };
                (format!("tokenizer.chat_template{key}"), Value::from(&**template))
            }));
            Ok(settings)
        }
        _ => Ok(Vec::new()),
    }
}
