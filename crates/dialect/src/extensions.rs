//! Settings that servers of open models take beyond the vendors' own, as vLLM's and
//! llama.cpp's clients send them: sampling, and the language that an answer must be of.
//!
//! They are read beside what stays in `extra`: a server of the client's dialect gets them
//! as they were, one of another is told to have left them out.
//!
//! Sources: llama.cpp's tools/server/README.md; vLLM's OpenAI-compatible server and its
//! structured outputs; both read 2026-11-23.

use message::{Extensions, Extra, Failure, Grammar, OutputFormat};
use serde_json::{Map, Value};

/// Most tokens that a bias or an allowance may name: OpenAI's limit is 300.
const MAX_TOKENS: usize = 1024;
/// Most texts, and bytes in each, that break repetitions.
const MAX_BREAKERS: usize = 64;
const MAX_BREAKER_BYTES: usize = 64;
/// Most texts to choose from.
const MAX_CHOICES: usize = 1024;

/// Reads the sampling among these fields; `within` is what they stand in (`options.`).
///
/// # Errors
/// A value of the wrong kind, by its field's name.
pub(crate) fn sampling(fields: &Extra, within: &str) -> Result<Extensions, Failure> {
    let mut reader = Reader { fields, within, read: Vec::new() };
    let mut extensions = Extensions {
        typical_p: reader.number("typical_p")?,
        top_n_sigma: reader.number("top_n_sigma")?,
        xtc_probability: reader.number("xtc_probability")?,
        xtc_threshold: reader.number("xtc_threshold")?,
        dry_multiplier: reader.number("dry_multiplier")?,
        dry_base: reader.number("dry_base")?,
        dry_allowed_length: reader.count("dry_allowed_length")?,
        dry_penalty_last_n: reader.integer("dry_penalty_last_n")?,
        dry_sequence_breakers: reader.texts("dry_sequence_breakers", MAX_BREAKERS, MAX_BREAKER_BYTES)?,
        mirostat: reader.count("mirostat")?,
        mirostat_tau: reader.number("mirostat_tau")?,
        mirostat_eta: reader.number("mirostat_eta")?,
        dynatemp_range: reader.number("dynatemp_range")?,
        dynatemp_exponent: reader.number("dynatemp_exponent")?,
        min_tokens: reader.count("min_tokens")?.unwrap_or(0),
        ignore_eos: reader.flag("ignore_eos")?.unwrap_or(false),
        logit_bias: reader.bias("logit_bias")?,
        allowed_token_ids: reader.tokens("allowed_token_ids")?,
        read: Vec::new(),
    };
    extensions.read = reader.read;
    Ok(extensions)
}

/// The language of the answer among these fields, and which of them says it.
///
/// # Errors
/// A value of the wrong kind, or two languages, by the fields' names.
pub(crate) fn language(fields: &Extra) -> Result<Option<(&'static str, OutputFormat)>, Failure> {
    let mut found = None;
    for name in [
        "structured_outputs",
        "guided_json",
        "guided_regex",
        "guided_choice",
        "guided_grammar",
        "json_schema",
        "grammar",
    ] {
        let Some(value) = fields.get(name).filter(|value| !value.is_null() && *value != "") else { continue };
        let format = match (name, value) {
            ("structured_outputs", Value::Object(inner)) => structured(inner)?,
            ("structured_outputs", _) => return Err(wrong(name, "an object")),
            (name, value) => one(name, name.trim_start_matches("guided_"), value)?,
        };
        let Some(format) = format else { continue };
        if let Some((first, _)) = found {
            return Err(Failure::invalid_field(
                name,
                format_args!("an answer has one form; `{first}` gives it one already"),
            ));
        }
        found = Some((name, format));
    }
    Ok(found)
}

/// vLLM's newer form: one of these fields.
fn structured(inner: &Map<String, Value>) -> Result<Option<OutputFormat>, Failure> {
    let mut found = None;
    for kind in ["json", "regex", "choice", "grammar", "json_object", "structural_tag"] {
        let Some(value) = inner.get(kind).filter(|value| !value.is_null() && *value != false) else {
            continue;
        };
        let name = format!("structured_outputs.{kind}");
        if found.is_some() {
            return Err(Failure::invalid_field(
                &name,
                "an answer has one form; another is given beside this one",
            ));
        }
        found = one(&name, kind, value)?;
    }
    Ok(found)
}

fn one(name: &str, kind: &str, value: &Value) -> Result<Option<OutputFormat>, Failure> {
    let grammar = |grammar| Ok(Some(OutputFormat::Grammar(grammar)));
    match (kind, value) {
        // A schema, or one written out as a string.
        ("json" | "json_schema", Value::Object(_) | Value::Bool(_)) => Ok(Some(schema(value.clone()))),
        ("json" | "json_schema", Value::String(text)) => match serde_json::from_str(text) {
            Ok(value @ Value::Object(_)) => Ok(Some(schema(value))),
            _ => Err(wrong(name, "a JSON schema")),
        },
        ("json_object", Value::Bool(true)) => Ok(Some(OutputFormat::JsonObject)),
        ("regex", Value::String(pattern)) => grammar(Grammar::Regex(pattern.clone())),
        ("grammar", Value::String(definition)) => grammar(Grammar::context_free(definition.clone())),
        ("choice", Value::Array(choices)) if (1..=MAX_CHOICES).contains(&choices.len()) => {
            let texts: Option<Vec<String>> =
                choices.iter().map(|text| text.as_str().map(str::to_owned)).collect();
            grammar(Grammar::Choice(texts.ok_or_else(|| wrong(name, "an array of strings"))?))
        }
        ("choice", _) => Err(wrong(name, "an array of 1 to 1024 strings")),
        ("structural_tag", _) => {
            Err(Failure::invalid_field(name, "structural tags are not supported; send a grammar"))
        }
        ("json" | "json_schema", _) => Err(wrong(name, "a JSON schema")),
        ("json_object", _) => Err(wrong(name, "a boolean")),
        _ => Err(wrong(name, "a string")),
    }
}

fn schema(schema: Value) -> OutputFormat {
    OutputFormat::JsonSchema { name: None, description: None, schema, strict: None }
}

fn wrong(name: &str, expected: &str) -> Failure {
    Failure::invalid_field(name, format_args!("expected {expected}"))
}

struct Reader<'a> {
    fields: &'a Extra,
    within: &'a str,
    read: Vec<String>,
}

impl<'a> Reader<'a> {
    /// What a field says; `null` says nothing.
    fn said(&mut self, name: &str) -> Option<&'a Value> {
        let value = self.fields.get(name).filter(|value| !value.is_null())?;
        self.read.push(name.to_owned());
        Some(value)
    }

    fn wrong(&self, name: &str, expected: &str) -> Failure {
        wrong(&format!("{}{name}", self.within), expected)
    }

    fn of<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        match self.said(name) {
            None => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| self.wrong(name, expected)),
        }
    }

    fn number(&mut self, name: &str) -> Result<Option<f64>, Failure> {
        self.of(name, "a number", Value::as_f64)
    }

    fn count(&mut self, name: &str) -> Result<Option<u64>, Failure> {
        self.of(name, "a whole number, 0 or more", Value::as_u64)
    }

    fn integer(&mut self, name: &str) -> Result<Option<i64>, Failure> {
        self.of(name, "a whole number", Value::as_i64)
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, Failure> {
        self.of(name, "a boolean", Value::as_bool)
    }

    fn texts(&mut self, name: &str, most: usize, bytes: usize) -> Result<Option<Vec<String>>, Failure> {
        let expected = format!("an array of at most {most} strings of {bytes} bytes each");
        self.of(name, &expected, |value| {
            let texts = value.as_array().filter(|texts| texts.len() <= most)?;
            let fits = |text: &'a Value| text.as_str().filter(|text| text.len() <= bytes).map(str::to_owned);
            texts.iter().map(fits).collect()
        })
    }

    fn tokens(&mut self, name: &str) -> Result<Vec<u32>, Failure> {
        let expected = format!("an array of 1 to {MAX_TOKENS} token ids");
        let tokens = self.of(name, &expected, |value| {
            let tokens = value.as_array().filter(|tokens| (1..=MAX_TOKENS).contains(&tokens.len()))?;
            tokens.iter().map(|token| token.as_u64().and_then(|token| u32::try_from(token).ok())).collect()
        })?;
        Ok(tokens.unwrap_or_default())
    }

    /// OpenAI's map of token ids, or llama.cpp's list of pairs.
    fn bias(&mut self, name: &str) -> Result<Vec<(u32, f64)>, Failure> {
        let expected = format!("a map of at most {MAX_TOKENS} token ids to numbers from -100 to 100");
        let bias = self.of(name, &expected, |value| {
            let of_map = |(token, bias): (&String, &Value)| Some((token.parse().ok()?, biased(bias)?));
            let of_pair = |pair: &Value| match pair.as_array()?.as_slice() {
                [token, bias] => Some((u32::try_from(token.as_u64()?).ok()?, biased(bias)?)),
                _ => None,
            };
            match value {
                Value::Object(map) if map.len() <= MAX_TOKENS => map.iter().map(of_map).collect(),
                Value::Array(pairs) if pairs.len() <= MAX_TOKENS => pairs.iter().map(of_pair).collect(),
                _ => None,
            }
        })?;
        Ok(bias.unwrap_or_default())
    }
}

/// `false` is llama.cpp's word for never.
fn biased(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(false) => Some(-100.0),
        value => value.as_f64().filter(|bias| (-100.0..=100.0).contains(bias)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Extra {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_is_read_is_named() {
        let said = fields(json!({
            "dry_multiplier": 0.8, "dry_sequence_breakers": ["\n"], "min_tokens": 3, "ignore_eos": null,
            "logit_bias": { "7": -100, "9": 2.5 }, "other": 1,
        }));
        let read = sampling(&said, "").unwrap();
        assert_eq!(read.dry_multiplier, Some(0.8));
        assert_eq!((read.min_tokens, read.ignore_eos), (3, false));
        assert_eq!(read.logit_bias, [(7, -100.0), (9, 2.5)]);
        assert_eq!(read.read, ["dry_multiplier", "dry_sequence_breakers", "min_tokens", "logit_bias"]);
        let pairs = fields(json!({ "logit_bias": [[3, 1], [4, false]] }));
        assert_eq!(sampling(&pairs, "").unwrap().logit_bias, [(3, 1.0), (4, -100.0)]);
    }

    #[test]
    fn what_is_wrong_is_named_where_it_stands() {
        for (said, name) in [
            (json!({ "typical_p": "much" }), "options.typical_p"),
            (json!({ "min_tokens": -1 }), "options.min_tokens"),
            (json!({ "logit_bias": { "x": 1 } }), "options.logit_bias"),
            (json!({ "logit_bias": { "1": 101 } }), "options.logit_bias"),
            (json!({ "allowed_token_ids": [] }), "options.allowed_token_ids"),
            (json!({ "dry_sequence_breakers": ["x".repeat(65)] }), "options.dry_sequence_breakers"),
        ] {
            assert_eq!(sampling(&fields(said), "options.").unwrap_err().param.as_deref(), Some(name));
        }
    }

    #[test]
    fn each_server_s_word_for_a_language() {
        let read = |value| language(&fields(value)).unwrap().map(|(_, format)| format);
        let grammar = |grammar| Some(OutputFormat::Grammar(grammar));
        assert_eq!(read(json!({ "guided_regex": "a+" })), grammar(Grammar::Regex("a+".into())));
        assert_eq!(
            read(json!({ "structured_outputs": { "regex": "a+" } })),
            grammar(Grammar::Regex("a+".into()))
        );
        assert_eq!(
            read(json!({ "grammar": "root ::= \"a\"" })),
            grammar(Grammar::Gbnf("root ::= \"a\"".into()))
        );
        assert_eq!(
            read(json!({ "guided_grammar": "start: \"a\"" })),
            grammar(Grammar::Lark("start: \"a\"".into()))
        );
        assert_eq!(
            read(json!({ "guided_choice": ["a", "b"] })),
            grammar(Grammar::Choice(vec!["a".into(), "b".into()]))
        );
        for value in
            [json!({ "guided_json": "{\"type\":\"null\"}" }), json!({ "json_schema": { "type": "null" } })]
        {
            assert_eq!(read(value), Some(schema(json!({ "type": "null" }))));
        }
        assert_eq!(
            read(json!({ "structured_outputs": { "json_object": true } })),
            Some(OutputFormat::JsonObject)
        );
        assert_eq!(read(json!({ "guided_json": null, "grammar": "" })), None);
    }

    #[test]
    fn two_languages_are_refused() {
        for (value, name) in [
            (json!({ "guided_regex": "a", "grammar": "start: \"a\"" }), "grammar"),
            (json!({ "structured_outputs": { "regex": "a", "choice": ["a"] } }), "structured_outputs.choice"),
            (json!({ "guided_choice": [] }), "guided_choice"),
            (json!({ "guided_json": 7 }), "guided_json"),
        ] {
            assert_eq!(language(&fields(value)).unwrap_err().param.as_deref(), Some(name));
        }
    }
}
