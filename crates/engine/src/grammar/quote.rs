//! A grammar of texts → the grammar of the same texts inside of a JSON string, where a
//! quote, a backslash and the control characters are written as escapes.
//!
//! Character by character: a word that may go on with an escape could not be told from one
//! that ends before an escape. So words become rules, and any text that the rules allow is
//! taken, however a lexer would cut it.

use std::collections::BTreeSet;

use message::Failure;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};

use super::language::literal;

/// The words that Lark's `common` names, as far as grammars use them.
const COMMON: [(&str, &str); 17] = [
    ("DIGIT", "[0-9]"),
    ("HEXDIGIT", "[a-fA-F0-9]"),
    ("INT", "[0-9]+"),
    ("SIGNED_INT", "[+-]?[0-9]+"),
    ("DECIMAL", "[0-9]+\\.[0-9]*|\\.[0-9]+"),
    ("FLOAT", "([0-9]+\\.[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+"),
    ("NUMBER", "([0-9]+|[0-9]+\\.[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?"),
    ("SIGNED_NUMBER", "[+-]?([0-9]+|[0-9]+\\.[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?"),
    ("ESCAPED_STRING", "\"([^\"\\\\]|\\\\.)*\""),
    ("LETTER", "[A-Za-z]"),
    ("WORD", "[A-Za-z]+"),
    ("CNAME", "[_A-Za-z][_A-Za-z0-9]*"),
    ("WS_INLINE", "[ \\t]+"),
    ("WS", "[ \\t\\f\\r\\n]+"),
    ("CR", "\\r"),
    ("LF", "\\n"),
    ("NEWLINE", "(\\r?\\n)+"),
];

/// The grammar of the JSON string, its quotes included, whose value is a text of `source`.
///
/// # Errors
/// What stands in it that has no counterpart, by name.
pub(super) fn lark(source: &str) -> Result<String, Failure> {
    let mut writer = Writer { rest: source, lark: String::new(), imported: BTreeSet::new() };
    writer.write()?;
    let body = writer.lark;
    Ok(format!("start: \"\\\"\" quoted_text \"\\\"\"\n{body}"))
}

struct Writer<'a> {
    rest: &'a str,
    lark: String,
    imported: BTreeSet<&'a str>,
}

impl<'a> Writer<'a> {
    fn write(&mut self) -> Result<(), Failure> {
        while let Some(next) = self.rest.chars().next() {
            match next {
                '#' => self.comment(),
                '/' if self.rest.starts_with("//") => self.comment(),
                '/' => {
                    let (pattern, flags) = self.enclosed('/')?;
                    self.words(&pattern, flags)?;
                }
                '"' => self.text()?,
                '%' => self.directive()?,
                '<' | '@' => return Err(wrong(&format!("`{next}`, which names what is no text"))),
                '&' => return Err(wrong("`&` between words")),
                '~' if !self.rest[1..].trim_start().starts_with(|c: char| c.is_ascii_digit()) => {
                    return Err(wrong("`~` before a word"));
                }
                'a'..='z' | 'A'..='Z' | '_' | '!' => self.name(),
                _ => {
                    self.lark.push(next);
                    self.rest = &self.rest[next.len_utf8()..];
                }
            }
        }
        self.lark.push('\n');
        Ok(())
    }

    fn comment(&mut self) {
        self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..];
    }

    /// Rules keep their names, but for the first; words become rules.
    fn name(&mut self) {
        let word = |c: char| c.is_ascii_alphanumeric() || "_-!?".contains(c);
        let length = self.rest.find(|c| !word(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        match name {
            "start" => self.lark.push_str("quoted_text"),
            name if name.contains(|c: char| c.is_ascii_uppercase()) => {
                self.lark.push_str(&rule_of(name));
                // Which word wins is a lexer's question.
                if let Some(rest) =
                    rest.strip_prefix('.').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                {
                    self.rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
                }
            }
            name => self.lark.push_str(name),
        }
    }

    /// What stands between two marks, as it is written, and the flags behind.
    fn enclosed(&mut self, mark: char) -> Result<(String, &'a str), Failure> {
        let body = &self.rest[1..];
        let (mut escaped, mut end) = (false, None);
        for (at, c) in body.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == mark => {
                    end = Some(at);
                    break;
                }
                '\n' => break,
                _ => {}
            }
        }
        let end = end.ok_or_else(|| wrong(&format!("a `{mark}` without its partner")))?;
        let after = &body[end + 1..];
        let flags = after.find(|c: char| !"imslux".contains(c)).unwrap_or(after.len());
        self.rest = &after[flags..];
        Ok((body[..end].to_owned(), &after[..flags]))
    }

    /// A text, a text in either case, or a range of characters.
    fn text(&mut self) -> Result<(), Failure> {
        let (written, flags) = self.enclosed('"')?;
        let said = unescaped(&written)?;
        if let Some(rest) = self.rest.strip_prefix("..").filter(|rest| rest.starts_with('"')) {
            self.rest = rest;
            let (written, _) = self.enclosed('"')?;
            let last = unescaped(&written)?;
            return self
                .words(&format!("[{}-{}]", regex_syntax::escape(&said), regex_syntax::escape(&last)), "");
        }
        if flags.contains('i') {
            return self.words(&regex_syntax::escape(&said), "i");
        }
        self.lark.push_str(&characters(&said));
        Ok(())
    }

    /// A regular expression.
    fn words(&mut self, pattern: &str, flags: &str) -> Result<(), Failure> {
        let pattern = pattern.replace("\\/", "/");
        let pattern = if flags.is_empty() { pattern } else { format!("(?{flags}){pattern}") };
        let parsed = regex_syntax::parse(&pattern);
        let parsed = parsed
            .map_err(|error| wrong(&format!("`/{pattern}/`: {}", super::in_short(&error.to_string()))))?;
        self.lark.push_str(&rule(&parsed)?);
        Ok(())
    }

    fn directive(&mut self) -> Result<(), Failure> {
        let (line, rest) = self.rest.split_at(self.rest.find('\n').unwrap_or(self.rest.len()));
        let unknown = || wrong(&format!("`{}`", line.split_whitespace().next().unwrap_or(line)));
        let path = line.strip_prefix("%import").ok_or_else(unknown)?;
        let path = path.split("//").next().unwrap_or(path).trim();
        let names =
            path.strip_prefix("common").ok_or_else(|| wrong(&format!("`%import {path}`")))?.trim_start();
        let (names, alias) = match names.strip_prefix('.') {
            Some(one) => {
                let (one, alias) =
                    one.split_once("->").map_or((one, None), |(one, alias)| (one, Some(alias.trim())));
                (vec![one.trim()], alias)
            }
            None => (names.trim_matches(['(', ')']).split(',').map(str::trim).collect(), None),
        };
        self.rest = rest;
        for name in names {
            let known = COMMON.iter().find(|(known, _)| *known == name);
            let (_, pattern) = known.ok_or_else(|| wrong(&format!("`common.{name}`")))?;
            let name = alias.unwrap_or(name);
            if self.imported.insert(name) {
                self.lark.push_str(&rule_of(name));
                self.lark.push_str(": ");
                self.words(pattern, "")?;
                self.lark.push('\n');
            }
        }
        Ok(())
    }
}

/// The rule that stands for a word.
fn rule_of(word: &str) -> String {
    // No client's rule has a dash in its name: Lark has none.
    format!("word-{}", word.to_ascii_lowercase())
}

/// A regular expression as a rule over the text that JSON writes.
fn rule(hir: &Hir) -> Result<String, Failure> {
    let all = |parts: &[Hir], between: &str| {
        let parts: Result<Vec<String>, Failure> = parts.iter().map(rule).collect();
        Ok(format!("({})", parts?.join(between)))
    };
    match hir.kind() {
        HirKind::Empty => Ok("\"\"".to_owned()),
        HirKind::Literal(text) => {
            let text = std::str::from_utf8(&text.0).map_err(|_| wrong("bytes that are no text"))?;
            Ok(characters(text))
        }
        HirKind::Class(Class::Unicode(class)) => Ok(of_class(class)),
        HirKind::Class(Class::Bytes(class)) => match class.to_unicode_class() {
            Some(class) => Ok(of_class(&class)),
            None => Err(wrong("bytes that are no text")),
        },
        HirKind::Look(_) => Err(wrong("an anchor or word boundary")),
        HirKind::Repetition(repetition) => {
            let (sub, least) = (rule(&repetition.sub)?, repetition.min);
            Ok(match (least, repetition.max) {
                (0, None) => format!("({sub})*"),
                (1, None) => format!("({sub})+"),
                (0, Some(1)) => format!("({sub})?"),
                (least, None) => format!("(({sub}){{{least},{least}}} ({sub})*)"),
                (least, Some(most)) => format!("({sub}){{{least},{most}}}"),
            })
        }
        HirKind::Capture(capture) => rule(&capture.sub),
        HirKind::Concat(parts) => all(parts, " "),
        HirKind::Alternation(parts) => all(parts, " | "),
    }
}

/// A text, each of its characters for itself.
fn characters(text: &str) -> String {
    match text.chars().map(|c| literal(&escape(c))).collect::<Vec<_>>() {
        none if none.is_empty() => "\"\"".to_owned(),
        characters => format!("({})", characters.join(" ")),
    }
}

/// The characters of a class that stand for themselves, and the escapes of the others.
fn of_class(class: &ClassUnicode) -> String {
    let special = [('\0', '\x1f'), ('"', '"'), ('\\', '\\')].map(|(a, b)| ClassUnicodeRange::new(a, b));
    let special = ClassUnicode::new(special);
    let (mut plain, mut escaped) = (class.clone(), class.clone());
    plain.difference(&special);
    escaped.intersect(&special);
    let escapes = escaped.iter().flat_map(|range| range.start()..=range.end());
    let escapes = escapes.map(|c| Hir::literal(escape(c).into_bytes()));
    let plain = (!plain.ranges().is_empty()).then(|| Hir::class(Class::Unicode(plain)));
    let one = Hir::alternation(plain.into_iter().chain(escapes).collect());
    format!("/{}/", one.to_string().replace('/', "\\/"))
}

/// A character as JSON writes it in a string.
fn escape(c: char) -> String {
    let quoted = serde_json::Value::from(c.to_string()).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// A text as Lark writes it: JSON's escapes, and `\xHH`.
fn unescaped(written: &str) -> Result<String, Failure> {
    let mut json = String::from("\"");
    let mut chars = written.chars();
    while let Some(c) = chars.next() {
        json.push(c);
        if c == '\\' {
            match chars.next() {
                Some('x') => json.push_str("u00"),
                other => json.extend(other),
            }
        }
    }
    json.push('"');
    serde_json::from_str(&json).map_err(|_| wrong(&format!("the text \"{written}\"")))
}

fn wrong(what: &str) -> Failure {
    Failure::invalid(format!(
        "the grammar of a tool's input cannot be followed inside of JSON: it has {what}"
    ))
}
