//! llama.cpp's grammars (GBNF), written as Lark, character by character: GBNF knows no
//! words, so every character is one, and exactly its texts are allowed.
//!
//! Source: llama.cpp's grammars/README.md, read 2026-11-23.

use std::collections::HashMap;
use std::fmt::Write;

use message::Failure;

/// The same grammar in Lark.
///
/// # Errors
/// What is wrong with it, and in which line.
pub(super) fn to_lark(source: &str) -> Result<String, Failure> {
    let mut reader = Reader { source, at: 0, names: HashMap::new(), lark: String::new() };
    reader.blanks(true);
    while reader.at < source.len() {
        reader.rule()?;
        reader.blanks(true);
    }
    if !reader.names.contains_key("root") {
        return Err(Failure::invalid("grammar: GBNF begins at the rule `root`, and there is none"));
    }
    Ok(reader.lark)
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
    /// Names as Lark takes them.
    names: HashMap<&'a str, String>,
    lark: String,
}

impl<'a> Reader<'a> {
    fn rule(&mut self) -> Result<(), Failure> {
        let name = self.name().ok_or_else(|| self.wrong("the name of a rule"))?;
        self.blanks(false);
        if !self.take("::=") {
            return Err(self.wrong("`::=`"));
        }
        let _ = write!(self.lark, "{name}:");
        // What stands between here and the next rule's name.
        let mut open: usize = 0;
        // Something that can be repeated stands before.
        let mut repeatable = false;
        loop {
            let line_ends = self.blanks(open > 0);
            let rest = &self.source[self.at..];
            let Some(next) = rest.chars().next() else { break };
            if line_ends && next != '|' && open == 0 {
                break;
            }
            self.lark.push(' ');
            match next {
                '|' => {
                    self.step('|');
                    self.blanks(true);
                    repeatable = false;
                    continue;
                }
                '(' => {
                    self.step('(');
                    open += 1;
                    repeatable = false;
                    continue;
                }
                ')' if open > 0 => {
                    self.step(')');
                    open -= 1;
                }
                '*' | '+' | '?' if repeatable => self.step(next),
                '{' if repeatable => self.range()?,
                '"' => self.literal()?,
                '[' => self.class()?,
                '.' => {
                    self.at += 1;
                    self.lark.push_str("/(?s:.)/");
                }
                _ => {
                    let name = self.name().ok_or_else(|| self.wrong("a rule, a text or a class"))?;
                    self.lark.push_str(&name);
                }
            }
            repeatable = true;
        }
        if open > 0 {
            return Err(self.wrong("`)`"));
        }
        self.lark.push('\n');
        Ok(())
    }

    /// Copies one character of structure.
    fn step(&mut self, next: char) {
        self.at += next.len_utf8();
        self.lark.push(next);
    }

    fn name(&mut self) -> Option<String> {
        let rest = &self.source[self.at..];
        let length =
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').unwrap_or(rest.len());
        let name = &rest[..length];
        if name.is_empty() {
            return None;
        }
        self.at += length;
        let number = self.names.len();
        let lark = || if name == "root" { "start".to_owned() } else { format!("rule_{number}") };
        Some(self.names.entry(name).or_insert_with(lark).clone())
    }

    /// `{2}`, `{2,}`, `{,5}` or `{2,5}`.
    fn range(&mut self) -> Result<(), Failure> {
        let rest = &self.source[self.at + 1..];
        let inner = rest.split_once('}').map(|(inner, _)| inner).ok_or_else(|| self.wrong("`}`"))?;
        let (least, most) = inner.split_once(',').unwrap_or((inner, inner));
        let number = |text: &str| match text.trim() {
            "" => Some(None),
            digits => digits.parse::<u32>().ok().map(Some),
        };
        let (Some(least), Some(most)) = (number(least), number(most)) else {
            return Err(self.wrong("numbers of repetitions"));
        };
        self.at += inner.len() + 2;
        let most = most.map_or(String::new(), |most| most.to_string());
        let _ = write!(self.lark, "{{{},{most}}}", least.unwrap_or(0));
        Ok(())
    }

    fn literal(&mut self) -> Result<(), Failure> {
        self.at += 1;
        let mut texts = Vec::new();
        loop {
            match self.character()? {
                ('"', false) => break,
                (c, _) => texts.push(super::language::literal(&c.to_string())),
            }
        }
        let _ = if texts.is_empty() {
            write!(self.lark, "\"\"")
        } else {
            write!(self.lark, "({})", texts.join(" "))
        };
        Ok(())
    }

    fn class(&mut self) -> Result<(), Failure> {
        self.at += 1;
        let mut class = String::from("[");
        if self.take("^") {
            class.push('^');
        }
        loop {
            match self.character()? {
                (']', false) => break,
                // Between two it says a range, elsewhere itself.
                ('-', false)
                    if class.len() > 1
                        && !class.ends_with('^')
                        && !self.source[self.at..].starts_with(']') =>
                {
                    class.push('-');
                }
                (c, _) => {
                    let _ = write!(class, "\\u{{{:x}}}", u32::from(c));
                }
            }
        }
        class.push(']');
        let _ = match class.as_str() {
            // None of nothing is any; one of nothing is none.
            "[^]" => write!(self.lark, "/(?s:.)/"),
            _ => write!(self.lark, "/{class}/"),
        };
        Ok(())
    }

    /// The next character of a text or class, and whether it was escaped.
    fn character(&mut self) -> Result<(char, bool), Failure> {
        let mut chars = self.source[self.at..].chars();
        let first =
            chars.next().filter(|&c| c != '\n').ok_or_else(|| self.wrong("the end of a text or class"))?;
        self.at += first.len_utf8();
        if first != '\\' {
            return Ok((first, false));
        }
        let escape = chars.next().ok_or_else(|| self.wrong("what is escaped"))?;
        self.at += escape.len_utf8();
        let digits = match escape {
            'n' => return Ok(('\n', true)),
            'r' => return Ok(('\r', true)),
            't' => return Ok(('\t', true)),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            other => return Ok((other, true)),
        };
        let hex = self.source[self.at..].get(..digits);
        let code = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
        let code = code.ok_or_else(|| self.wrong("a character's number in hexadecimal digits"))?;
        self.at += digits;
        Ok((code, true))
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.source[self.at..].starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    /// Passes blanks and comments, also line breaks. Tells whether a line ended; where
    /// `lines` is false, blanks before a line that goes on are passed all the same.
    fn blanks(&mut self, lines: bool) -> bool {
        let mut ended = false;
        loop {
            let rest = &self.source[self.at..];
            match rest.chars().next() {
                Some('\n') => ended = true,
                Some(' ' | '\t' | '\r') => {}
                Some('#') => self.at += rest.find('\n').unwrap_or(rest.len()).saturating_sub(1),
                _ => return ended && !lines,
            }
            self.at += 1;
        }
    }

    fn wrong(&self, expected: &str) -> Failure {
        let line = self.source[..self.at.min(self.source.len())].matches('\n').count() + 1;
        Failure::invalid(format!("grammar: line {line} of the GBNF: expected {expected}"))
    }
}
