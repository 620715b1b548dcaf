//! A client's grammar, as llguidance takes it: as it stands, or for its text inside of a
//! JSON string, where some characters are written as escapes.

use llguidance::api::GrammarWithLexer;
use message::{Failure, Grammar};
use serde_json::{Value, json};

use super::{gbnf, quote};

/// Largest grammar taken, in bytes of its source; a choice's texts together.
const MAX_BYTES: usize = 64 * 1024;
/// Deepest nesting of its brackets.
const MAX_DEPTH: usize = 64;
/// Most rules and words: each may lead to the next, and an error at the end of such a
/// chain is told through all of it.
const MAX_RULES: usize = 400;

/// The grammar of a text, to be referred to by `name`.
pub(super) fn text(name: &str, grammar: &Grammar) -> Result<GrammarWithLexer, Failure> {
    check(grammar)?;
    let lark = match grammar {
        Grammar::Regex(pattern) => return Ok(named(name, GrammarWithLexer::from_regex(pattern))),
        Grammar::Lark(source) => source.clone(),
        Grammar::Gbnf(source) => gbnf::to_lark(source)?,
        Grammar::Choice(texts) => {
            format!("start: {}", texts.iter().map(|text| literal(text)).collect::<Vec<_>>().join(" | "))
        }
    };
    Ok(named(name, GrammarWithLexer::from_lark(lark)))
}

/// The grammar of a JSON string, quotes and all, whose value is such a text.
pub(super) fn json_string(name: &str, grammar: &Grammar) -> Result<GrammarWithLexer, Failure> {
    check(grammar)?;
    let lark = match grammar {
        Grammar::Regex(pattern) => {
            let schema = json!({ "type": "string", "pattern": format!("^(?:{pattern})$") });
            return Ok(named(name, GrammarWithLexer::from_json_schema(schema)));
        }
        Grammar::Choice(texts) => {
            return Ok(named(name, GrammarWithLexer::from_json_schema(json!({ "enum": texts }))));
        }
        Grammar::Lark(source) => quote::lark(source)?,
        Grammar::Gbnf(source) => quote::lark(&gbnf::to_lark(source)?)?,
    };
    Ok(named(name, GrammarWithLexer::from_lark(lark)))
}

/// Whether tokens that were taken can be given back: not where a word of the grammar
/// ends by a count of tokens or at a stop that is not part of it.
pub(super) fn can_close(grammar: &Grammar) -> bool {
    match grammar {
        Grammar::Lark(source) => {
            !["max_tokens", "stop", "capture", "%llguidance"].iter().any(|word| source.contains(word))
        }
        _ => true,
    }
}

/// A text as Lark writes it.
pub(super) fn literal(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn named(name: &str, grammar: GrammarWithLexer) -> GrammarWithLexer {
    GrammarWithLexer { name: Some(name.to_owned()), ..grammar }
}

/// Refuses what would take long only to be read.
fn check(grammar: &Grammar) -> Result<(), Failure> {
    let (bytes, depth) = match grammar {
        Grammar::Lark(source) | Grammar::Gbnf(source) if rules(source) > MAX_RULES => {
            return Err(Failure::invalid(format!("a grammar of more than {MAX_RULES} rules is too large")));
        }
        Grammar::Regex(source) => (source.len(), 0),
        Grammar::Lark(source) | Grammar::Gbnf(source) => (source.len(), depth(source)),
        Grammar::Choice(texts) if texts.is_empty() => {
            return Err(Failure::invalid("a choice needs at least one text to choose"));
        }
        Grammar::Choice(texts) => (texts.iter().map(String::len).sum(), 0),
    };
    if bytes > MAX_BYTES {
        return Err(Failure::invalid(format!(
            "a grammar of {bytes} bytes is too large; at most {MAX_BYTES} bytes can be followed"
        )));
    }
    if depth > MAX_DEPTH {
        return Err(Failure::invalid(format!(
            "the grammar's brackets nest deeper than {MAX_DEPTH}; name the inner ones as rules"
        )));
    }
    Ok(())
}

/// Lines that begin a rule, or may.
fn rules(source: &str) -> usize {
    let begins = |line: &&str| {
        let head = line.split(':').next().filter(|head| head.len() < line.len()).unwrap_or("");
        !head.trim().is_empty() && !head.trim_start().starts_with(['|', '#', '/', '"', '('])
    };
    source.lines().filter(begins).count()
}

/// How deep brackets nest at most, in texts and classes, too: a bound, not a reading.
fn depth(source: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
