//! The name llama.cpp has for the way a tokenizer cuts text before BPE (`llama-vocab.cpp`
//! of llama-cpp-sys-2 0.1.161, where the names' expressions stand).

use serde_json::Value as Json;

use super::Tokenizer;

/// Llama 3's expression, but for how many digits stay together.
macro_rules! words {
    ($digits:literal) => {
        concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|",
            $digits,
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
}

/// Words by the case of their letters.
macro_rules! cased {
    ($suffix:literal, $digits:literal) => {
        concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
            $suffix,
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
            $suffix,
            "|",
            $digits,
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    };
}

/// An expression, whether whole words are taken before merges, and the name. (Tokenizers
/// with the fourth were made from one that always does, and not all of their files say so.)
const BY_EXPRESSION: [(&str, bool, &str); 6] = [
    (words!(r"\p{N}{1,3}"), true, "llama-bpe"),
    (words!(r"\p{N}{1,3}"), false, "smaug-bpe"),
    (words!(r"\p{N}"), false, "qwen2"),
    (cased!("", r"\p{N}"), true, "tekken"),
    (cased!("", r"\p{N}"), false, "tekken"),
    (cased!("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", r"\p{N}{1,3}"), false, "gpt-4o"),
];

/// The name of a tokenizer's cut.
///
/// # Errors
/// In words, if llama.cpp is not known to have it.
pub(super) fn name(tokenizer: &Tokenizer) -> Result<&'static str, String> {
    let unknown = |what: &str| {
        format!(
            "tokenizer.json: llama.cpp is not known to cut text this way ({what}); look for a GGUF of the model"
        )
    };
    // NFC is left out by llama.cpp, too: nearly all text is in it already.
    if !matches!(kind(&tokenizer.normalizer), None | Some("NFC")) {
        return Err(unknown(&tokenizer.normalizer.to_string()));
    }
    let steps = match tokenizer.pre_tokenizer.get("pretokenizers").and_then(Json::as_array) {
        Some(steps) => steps.iter().collect(),
        None => vec![&tokenizer.pre_tokenizer],
    };
    let byte_level = |step: &Json, cuts: bool| {
        kind(step) == Some("ByteLevel")
            && step["add_prefix_space"] != Json::Bool(true)
            && step["use_regex"].as_bool().unwrap_or(true) == cuts
    };
    let found = match steps.as_slice() {
        [bytes] if byte_level(bytes, true) => Some("gpt-2"),
        [digits, bytes]
            if kind(digits) == Some("Digits")
                && digits["individual_digits"] == Json::Bool(true)
                && byte_level(bytes, true) =>
        {
            Some("smollm")
        }
        [split, bytes] if kind(split) == Some("Split") && byte_level(bytes, false) => {
            let expression = split["pattern"]["Regex"].as_str();
            let whole = tokenizer.model.ignore_merges;
            let known = BY_EXPRESSION.iter().find(|(e, w, _)| (Some(*e), *w) == (expression, whole));
            known.filter(|_| split["behavior"] == "Isolated").map(|(_, _, name)| *name)
        }
        _ => None,
    };
    found.ok_or_else(|| unknown(&tokenizer.pre_tokenizer.to_string()))
}

fn kind(step: &Json) -> Option<&str> {
    step.get("type")?.as_str()
}
