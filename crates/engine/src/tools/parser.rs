//! Tells tool calls from text in an answer that comes in pieces, cut anywhere.

use super::named::NamedScanner;
use super::scan::{CallScanner, Found};
use super::xml::XmlScanner;
use super::{Body, Syntax, TextParameters};

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Text for the reader.
    Text {
        /// The text.
        text: String,
        /// Where it ends in the raw answer, in bytes.
        end: usize,
    },
    /// Thinking.
    Thinking(String),
    /// A tool call begins.
    Begin {
        /// The tool's name.
        name: String,
    },
    /// A piece of its arguments: JSON text.
    Input(String),
    /// The call is over.
    End {
        /// It could be read to its end.
        whole: bool,
    },
}

#[derive(Debug)]
enum State {
    /// In text that may hold a mark.
    Text,
    /// In text that can hold no call any more.
    TextOnly,
    /// In a call.
    Call { scanner: Scanner, begun: bool },
    /// After a call: another one, the closing mark, or text.
    Between,
}

/// Reads one call, in the form of the notation.
#[derive(Debug)]
enum Scanner {
    Object(CallScanner),
    Named(NamedScanner),
    Xml(XmlScanner),
}

impl Scanner {
    fn push(&mut self, byte: u8, found: &mut Vec<Found>) {
        match self {
            Self::Object(scanner) => scanner.push(byte, found),
            Self::Named(scanner) => scanner.push(byte, found),
            Self::Xml(scanner) => scanner.push(byte, found),
        }
    }

    fn flush(&mut self, found: &mut Vec<Found>) {
        match self {
            Self::Object(scanner) => scanner.flush(found),
            Self::Named(scanner) => scanner.flush(found),
            Self::Xml(scanner) => scanner.flush(found),
        }
    }
}

/// Stands before a lone call of Llama 3's in some answers, and means nothing.
const PYTHON_TAG: &str = "<|python_tag|>";
/// What may stand between a call's arguments and its closing mark.
const TAILS: [&str; 2] = ["```", "<｜tool▁call▁end｜>"];
/// Begins the next call within the same marks.
const NEXT: &str = "<｜tool▁call▁begin｜>";
/// How a whole answer begins that is a call: before it is that long, it may be any JSON.
const LONE_CALL: &str = "{\"name\"";

/// Reads an answer.
#[derive(Debug)]
pub(crate) struct Parser {
    syntax: Syntax,
    texts: TextParameters,
    state: State,
    /// Text that may be the beginning of a mark, or blanks that may stand before one.
    held: String,
    /// The open call with its mark, to be shown as text if it turns out to be none.
    raw: String,
    /// Bytes of the raw answer taken in.
    taken: usize,
    announced: u32,
    malformed: bool,
}

impl Parser {
    /// A parser of answers in this notation.
    pub(crate) fn new(syntax: Syntax, texts: TextParameters) -> Self {
        let (held, raw) = (String::new(), String::new());
        let state = State::Text;
        Self { syntax, texts, state, held, raw, taken: 0, announced: 0, malformed: false }
    }

    /// A call broke off after it had begun.
    pub(crate) fn malformed(&self) -> bool {
        self.malformed
    }

    /// Times a mark has announced calls.
    pub(crate) fn announced(&self) -> u32 {
        self.announced
    }

    /// What was written since the last such mark.
    pub(crate) fn since_announced(&self) -> &str {
        self.raw.get(self.syntax.open.len()..).unwrap_or_default()
    }

    /// Passes over bytes that are not for this parser.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.taken += bytes;
    }

    /// Takes in a piece of the answer.
    pub(crate) fn push(&mut self, text: &str, parts: &mut Vec<Part>) {
        for character in text.chars() {
            self.taken += character.len_utf8();
            self.take(character, parts);
        }
        if let State::Call { scanner, begun } = &mut self.state {
            let mut found = Vec::new();
            scanner.flush(&mut found);
            debug_assert!(*begun || found.is_empty(), "arguments wait for the name");
            pass_on(found, parts);
        }
        self.release(parts);
    }

    /// The answer is over.
    pub(crate) fn finish(&mut self, parts: &mut Vec<Part>) {
        match std::mem::replace(&mut self.state, State::TextOnly) {
            State::Call { begun: true, .. } => {
                self.malformed = true;
                parts.push(Part::End { whole: false });
            }
            State::Call { .. } => {
                let raw = std::mem::take(&mut self.raw);
                self.show(raw, parts);
            }
            State::Between => self.held.clear(),
            State::Text | State::TextOnly => {}
        }
        let held = std::mem::take(&mut self.held);
        self.show(held, parts);
    }

    fn take(&mut self, character: char, parts: &mut Vec<Part>) {
        match &mut self.state {
            State::TextOnly => self.held.push(character),
            State::Text => {
                self.held.push(character);
                self.look_for_call(parts);
            }
            State::Call { scanner, begun } => {
                if !*begun {
                    self.raw.push(character);
                }
                let mut found = Vec::new();
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    scanner.push(byte, &mut found);
                }
                *begun |= found.iter().any(|found| matches!(found, Found::Name(_)));
                let begun = *begun;
                let over = found.iter().any(|found| matches!(found, Found::End));
                let broken = found.iter().any(|found| matches!(found, Found::Broken));
                pass_on(found, parts);
                if broken {
                    self.give_up(begun, parts);
                } else if over {
                    self.state = State::Between;
                } else if self.syntax.open.is_empty() && !begun && self.raw == LONE_CALL {
                    self.announced += 1;
                }
            }
            State::Between => {
                self.held.push(character);
                self.look_for_next();
            }
        }
    }

    /// In text: does a call begin?
    fn look_for_call(&mut self, parts: &mut Vec<Part>) {
        let open = self.syntax.open;
        if open.is_empty() {
            // The call is the whole answer, or there is none.
            let answer = self.held.trim_start();
            let answer = answer.strip_prefix(PYTHON_TAG).unwrap_or(answer).trim_start();
            match answer.chars().next() {
                Some('{') => {
                    self.held.clear();
                    self.begin_call("");
                    self.take('{', parts);
                }
                Some(_) if !PYTHON_TAG.starts_with(answer) => self.state = State::TextOnly,
                _ => {}
            }
        } else if let Some(text) = self.held.strip_suffix(open) {
            let text = text.trim_end().to_owned();
            self.held.clear();
            self.show_until(text, self.taken - open.len(), parts);
            self.announced += 1;
            self.begin_call(open);
        }
    }

    /// A call begins after `mark`.
    fn begin_call(&mut self, mark: &str) {
        mark.clone_into(&mut self.raw);
        let scanner = match self.syntax.body {
            Body::Object { .. } => Scanner::Object(CallScanner::new()),
            Body::Named(_) => Scanner::Named(NamedScanner::default()),
            Body::Xml | Body::Harmony => Scanner::Xml(XmlScanner::new(self.texts.clone())),
        };
        self.state = State::Call { scanner, begun: false };
    }

    /// After a call: what comes next?
    fn look_for_next(&mut self) {
        let Syntax { open, close, body } = self.syntax;
        let object = matches!(body, Body::Object { .. });
        let list = matches!(body, Body::Object { list: true, .. });
        let blank = |c: char| c.is_whitespace() || (object && matches!(c, ',' | ';' | '[' | ']'));
        let mut rest = self.held.trim_start_matches(blank);
        while let Some(after) = TAILS.iter().find_map(|tail| rest.strip_prefix(tail)) {
            rest = after.trim_start_matches(blank);
        }
        let is_partly = |mark: &str| !mark.is_empty() && mark.starts_with(rest);
        let several = matches!(body, Body::Named(named) if named.several);
        if rest.is_empty() {
            self.held.clear();
        } else if rest == "{" && (list || (object && close.is_empty())) {
            self.held.clear();
            self.begin_call("");
            self.take('{', &mut Vec::new());
        } else if rest == NEXT && several {
            self.held.clear();
            self.begin_call(NEXT);
        } else if rest == close {
            self.held.clear();
            self.state = State::Text;
        } else if rest == open && close.is_empty() {
            self.held.clear();
            self.announced += 1;
            self.begin_call(open);
        } else if !(is_partly(close)
            || (close.is_empty() && is_partly(open))
            || (several && is_partly(NEXT))
            || TAILS.iter().any(|tail| is_partly(tail)))
        {
            self.held = rest.to_owned();
            self.state = State::Text;
        }
    }

    /// What looked like a call is none.
    fn give_up(&mut self, begun: bool, parts: &mut Vec<Part>) {
        self.state = State::TextOnly;
        if begun {
            self.malformed = true;
            parts.push(Part::End { whole: false });
        } else {
            let raw = std::mem::take(&mut self.raw);
            self.show(raw, parts);
            if !self.syntax.open.is_empty() {
                self.state = State::Text;
            }
        }
    }

    /// Shows the held text that can no longer be the beginning of a mark.
    fn release(&mut self, parts: &mut Vec<Part>) {
        let safe = match self.state {
            State::TextOnly => self.held.len(),
            State::Text if self.syntax.open.is_empty() => 0,
            State::Text => safe_length(&self.held, self.syntax.open),
            State::Call { .. } | State::Between => 0,
        };
        let rest = self.held.split_off(safe);
        let text = std::mem::replace(&mut self.held, rest);
        self.show(text, parts);
    }

    fn show(&self, text: String, parts: &mut Vec<Part>) {
        self.show_until(text, self.taken - self.held.len(), parts);
    }

    fn show_until(&self, text: String, end: usize, parts: &mut Vec<Part>) {
        if !text.is_empty() {
            parts.push(Part::Text { text, end });
        }
    }
}

fn pass_on(found: Vec<Found>, parts: &mut Vec<Part>) {
    parts.extend(found.into_iter().filter_map(|found| match found {
        Found::Name(name) => Some(Part::Begin { name }),
        Found::Arguments(input) => Some(Part::Input(input)),
        Found::End => Some(Part::End { whole: true }),
        Found::Broken => None,
    }));
}

/// How much of `text` cannot belong to `mark`, or to the blanks before it.
fn safe_length(text: &str, mark: &str) -> usize {
    let longest = mark.len().min(text.len());
    let starts = (0..=longest).rev().map(|length| text.len() - length);
    let partial = starts
        .filter(|&at| text.is_char_boundary(at))
        .find(|&at| mark.starts_with(&text[at..]))
        .unwrap_or(text.len());
    text[..partial].trim_end().len()
}

#[cfg(test)]
mod tests;
