//! How tokenizers cut text, as their files say it.

use serde_json::{Value as Json, json};

use super::{Merge, Tokenizer, pre};

fn cut(pre_tokenizer: Json, ignore_merges: bool) -> Result<&'static str, String> {
    let json = json!({"pre_tokenizer": pre_tokenizer,
        "model": {"type": "BPE", "vocab": {}, "ignore_merges": ignore_merges}});
    pre::name(&serde_json::from_value::<Tokenizer>(json).unwrap())
}

fn split(expression: &str) -> Json {
    json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]})
}

/// The expressions are those of the published files of Llama 3, Qwen2 and Mistral Nemo.
#[test]
fn known_cuts_have_their_names() {
    let llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let qwen2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let tekken = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    assert_eq!(cut(split(llama3), true), Ok("llama-bpe"));
    assert_eq!(cut(split(llama3), false), Ok("smaug-bpe"));
    assert_eq!(cut(split(qwen2), false), Ok("qwen2"));
    assert_eq!(cut(split(tekken), true), Ok("tekken"));
    assert_eq!(cut(json!({"type": "ByteLevel", "add_prefix_space": false}), false), Ok("gpt-2"));
}

#[test]
fn other_cuts_are_refused() {
    for other in [
        split(r"\w+"),
        json!({"type": "ByteLevel", "add_prefix_space": true}),
        json!({"type": "ByteLevel", "use_regex": false}),
        json!({"type": "Sequence", "pretokenizers": []}),
        Json::Null,
    ] {
        assert!(cut(other, false).unwrap_err().contains("not known to cut"));
    }
}

#[test]
fn merges_are_written_with_one_space() {
    let merges: Vec<Merge> = serde_json::from_value(json!([["a", "b c"], "d e"])).unwrap();
    let texts: Vec<_> = merges.iter().map(Merge::text).collect();
    assert_eq!(texts, ["a b\u{120}c", "d e"]);
}
