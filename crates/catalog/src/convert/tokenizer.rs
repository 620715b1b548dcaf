//! The tokenizer: `tokenizer.json` (byte-level BPE) as `tokenizer.ggml.*`, with what
//! `tokenizer_config.json`, `generation_config.json` and `config.json` say of special
//! tokens and of the chat template.
//!
//! How text is cut into words before BPE is a name in a GGUF, whose meaning is built into
//! llama.cpp. It is found by the expressions themselves ([`pre`]); one that is not known is
//! refused, since a model with another cut reads other tokens than it was taught.

mod pre;
mod special;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use super::config::Config;
use super::folder::Folder;
use crate::gguf::Value;

/// Most tokens: the largest vocabularies have a quarter of a million.
const MAX_TOKENS: u64 = 1 << 21;
// llama.cpp's LLAMA_TOKEN_TYPE.
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
const UNUSED: i32 = 5;

/// `tokenizer.json`, as far as it is used.
#[derive(Deserialize)]
struct Tokenizer {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Json,
    #[serde(default)]
    pre_tokenizer: Json,
    #[serde(default)]
    post_processor: Json,
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    vocab: Json,
    #[serde(default)]
    merges: Vec<Merge>,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(default)]
    byte_fallback: bool,
}

/// A token that was added to the vocabulary.
#[derive(Deserialize)]
struct Added {
    id: u64,
    content: String,
    #[serde(default)]
    special: bool,
}

/// A merge, as a pair or as older files have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair([String; 2]),
    Text(String),
}

/// The settings of a tokenizer.
///
/// # Errors
/// In words: what it lacks, or what of it is not understood.
pub(super) fn settings(folder: &Folder, config: &Config) -> Result<Vec<(String, Value)>, String> {
    if !folder.has("tokenizer.json") && folder.has("tokenizer.model") {
        return Err(
            "its tokenizer is SentencePiece (tokenizer.model), which cannot be converted; look for a \
                    GGUF of the model"
                .into(),
        );
    }
    let json = folder.required("tokenizer.json")?;
    let tokenizer: Tokenizer =
        serde_json::from_slice(&json).map_err(|error| format!("tokenizer.json: {error}"))?;
    drop(json);
    let (tokens, types) = tokens(&tokenizer, config.vocabulary)?;
    let merges: Vec<String> = tokenizer.model.merges.iter().map(Merge::text).collect();
    let mut settings: Vec<(String, Value)> = vec![
        ("tokenizer.ggml.model".into(), "gpt2".into()),
        ("tokenizer.ggml.pre".into(), pre::name(&tokenizer)?.into()),
        ("tokenizer.ggml.tokens".into(), tokens[..].into()),
        ("tokenizer.ggml.token_type".into(), types[..].into()),
        ("tokenizer.ggml.merges".into(), merges[..].into()),
    ];
    settings.extend(special::settings(folder, config, &tokenizer, &tokens)?);
    Ok(settings)
}

/// Every token by its number, and its type. Numbers that the embedding has and the
/// vocabulary has not are filled up.
fn tokens(tokenizer: &Tokenizer, count: u64) -> Result<(Vec<String>, Vec<i32>), String> {
    let wrong = |why: String| Err(format!("tokenizer.json: {why}"));
    let Model { kind, vocab, byte_fallback, .. } = &tokenizer.model;
    let Json::Object(vocab) = vocab else {
        return wrong(format!(
            "{} is not converted; byte-level BPE is",
            kind.as_deref().unwrap_or("its model")
        ));
    };
    if kind.as_deref().is_some_and(|kind| kind != "BPE") || *byte_fallback {
        return wrong(
            "a vocabulary after SentencePiece is not converted; byte-level BPE is; look for a GGUF".into(),
        );
    }
    if count > MAX_TOKENS {
        return wrong(format!("{count} tokens"));
    }
    let mut known = BTreeMap::new();
    for (text, id) in vocab {
        let Some(id) = id.as_u64().filter(|id| *id < count) else {
            return wrong(format!("the token {text:?} has the number {id}, of {count}"));
        };
        if known.insert(id, (text.as_str(), NORMAL)).is_some() {
            return wrong(format!("two tokens have the number {id}"));
        }
    }
    for Added { id, content, special } in &tokenizer.added_tokens {
        if *id >= count {
            return wrong(format!("the token {content:?} has the number {id}, of {count}"));
        }
        // Some files forget to call a mark special.
        let mark = *special || (content.starts_with("<|") && content.ends_with("|>"));
        known.insert(*id, (content, if mark { CONTROL } else { USER_DEFINED }));
    }
    let all = (0..count).map(|id| match known.get(&id) {
        Some((text, kind)) => ((*text).to_owned(), *kind),
        None => (format!("[PAD{id}]"), UNUSED),
    });
    Ok(all.unzip())
}

impl Merge {
    /// As one text, in which a space parts the two: one within a part is written as
    /// byte-level BPE writes it.
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Pair(pair) => pair.each_ref().map(|part| part.replace(' ', "\u{120}")).join(" "),
        }
    }
}

#[cfg(test)]
mod tests;
