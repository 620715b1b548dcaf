//! Tells tool calls from text in an answer that comes in pieces, cut anywhere.

use super::Syntax;
use super::scan::{CallScanner, Found};

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
    Call {
        scanner: CallScanner,
        /// All of it, to be shown as text if it turns out to be none.
        raw: String,
        begun: bool,
    },
    /// After a call: another one, the closing mark, or text.
    Between,
}

/// Reads an answer.
#[derive(Debug)]
pub(crate) struct Parser {
    syntax: Syntax,
    state: State,
    /// Text that may be the beginning of a mark, or blanks that may stand before one.
    held: String,
    /// Bytes of the raw answer taken in.
    taken: usize,
    malformed: bool,
}

impl Parser {
    /// A parser of answers in this notation.
    pub(crate) fn new(syntax: Syntax) -> Self {
        Self { syntax, state: State::Text, held: String::new(), taken: 0, malformed: false }
    }

    /// A call broke off after it had begun.
    pub(crate) fn malformed(&self) -> bool {
        self.malformed
    }

    /// Takes in a piece of the answer.
    pub(crate) fn push(&mut self, text: &str, parts: &mut Vec<Part>) {
        for character in text.chars() {
            self.taken += character.len_utf8();
            self.take(character, parts);
        }
        if let State::Call { scanner, begun, .. } = &mut self.state {
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
            State::Call { raw, .. } => self.show(raw, parts),
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
            State::Call { scanner, raw, begun } => {
                raw.push(character);
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
            match self.held.trim_start().chars().next() {
                None => {}
                Some('{') => self.begin_call(parts),
                Some(_) => self.state = State::TextOnly,
            }
        } else if let Some(text) = self.held.strip_suffix(open) {
            let text = text.trim_end().to_owned();
            self.held.clear();
            self.show_until(text, self.taken - open.len(), parts);
            let raw = open.to_owned();
            self.state = if self.syntax.list {
                State::Between
            } else {
                State::Call { scanner: CallScanner::new(), raw, begun: false }
            };
        }
    }

    fn begin_call(&mut self, parts: &mut Vec<Part>) {
        let raw = std::mem::take(&mut self.held);
        let mut scanner = CallScanner::new();
        let mut found = Vec::new();
        raw.bytes().for_each(|byte| scanner.push(byte, &mut found));
        pass_on(found, parts);
        self.state = State::Call { scanner, raw, begun: false };
    }

    /// After a call: what comes next?
    fn look_for_next(&mut self) {
        let syntax = self.syntax;
        let rest =
            self.held.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '[' | ']'));
        if rest.is_empty() {
            self.held.clear();
        } else if rest == "{" && syntax.close.is_empty() {
            let (mut scanner, mut none) = (CallScanner::new(), Vec::new());
            scanner.push(b'{', &mut none);
            self.held.clear();
            self.state = State::Call { scanner, raw: "{".to_owned(), begun: false };
        } else if rest == syntax.close {
            self.held.clear();
            self.state = State::Text;
        } else if !syntax.close.starts_with(rest) {
            self.held = rest.to_owned();
            self.state = State::Text;
        }
    }

    /// What looked like a call is none.
    fn give_up(&mut self, begun: bool, parts: &mut Vec<Part>) {
        let State::Call { raw, .. } = std::mem::replace(&mut self.state, State::TextOnly) else { return };
        if begun {
            self.malformed = true;
            parts.push(Part::End { whole: false });
        } else {
            self.show(raw, parts);
            self.state = if self.syntax.open.is_empty() { State::TextOnly } else { State::Text };
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
