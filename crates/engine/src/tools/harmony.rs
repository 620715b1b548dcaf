//! Reads OpenAI's harmony format (gpt-oss): an answer is a list of messages, each with a
//! channel. `analysis` is thinking, `final` is for the reader, and a message `to` a
//! function is a call:
//! `<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{…}<|call|>`.
//! Source: OpenAI's harmony response format guide, read 2026-11-22. The prompt ends with
//! `<|start|>assistant`, so an answer begins within a message's head.

use super::object::{ObjectScanner, Reached};
use super::parser::Part;

const MESSAGE: &str = "<|message|>";
const RECIPIENT: &str = "to=functions.";
/// What ends a message, or begins the next.
const ENDS: [&str; 5] = ["<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|channel|>"];
/// Longest head of a message, in bytes: beyond it, it is none.
const MAX_HEAD_BYTES: usize = 1024;

#[derive(Debug)]
enum At {
    /// In a message's head.
    Head,
    /// In thinking.
    Analysis,
    /// In words for the reader.
    Final,
    /// In a call's arguments.
    Call { scanner: ObjectScanner, over: bool },
}

/// Reads an answer.
#[derive(Debug)]
pub(crate) struct Harmony {
    at: At,
    /// The head so far, or what may be the beginning of a mark.
    held: String,
    taken: usize,
    announced: u32,
    /// The head from the recipient's name on.
    since: String,
    malformed: bool,
}

impl Harmony {
    pub(crate) fn new() -> Self {
        let (held, since) = (String::new(), String::new());
        Self { at: At::Head, held, taken: 0, announced: 0, since, malformed: false }
    }

    pub(crate) fn malformed(&self) -> bool {
        self.malformed
    }

    pub(crate) fn announced(&self) -> u32 {
        self.announced
    }

    pub(crate) fn since_announced(&self) -> &str {
        &self.since
    }

    /// In thinking, or before anything was said.
    pub(crate) fn thinking(&self) -> bool {
        match self.at {
            At::Analysis => true,
            At::Head => self.held.starts_with("<|channel|>analysis"),
            At::Final | At::Call { .. } => false,
        }
    }

    pub(crate) fn push(&mut self, text: &str, parts: &mut Vec<Part>) {
        for character in text.chars() {
            self.taken += character.len_utf8();
            self.held.push(character);
            match self.at {
                At::Head => self.head(parts),
                _ => self.body(parts),
            }
        }
        if !matches!(self.at, At::Head) {
            let safe = self.held.len() - partial(&self.held);
            let text = self.held.drain(..safe).collect();
            self.say(text, parts);
        }
        if let At::Call { scanner, .. } = &mut self.at {
            parts.extend(scanner.take().map(Part::Input));
        }
    }

    pub(crate) fn finish(&mut self, parts: &mut Vec<Part>) {
        let held = std::mem::take(&mut self.held);
        match self.at {
            // A model that does not keep to the format speaks in its head.
            At::Head if !held.contains("<|") => {
                self.at = At::Final;
                self.say(held, parts);
            }
            At::Head => {}
            _ => {
                self.say(held, parts);
                self.end(parts);
            }
        }
    }

    fn head(&mut self, parts: &mut Vec<Part>) {
        if self.held.ends_with(RECIPIENT) {
            self.announced += 1;
            self.since.clear();
        } else if let Some(at) = self.held.rfind(RECIPIENT) {
            self.held[at + RECIPIENT.len()..].clone_into(&mut self.since);
        }
        if let Some(head) = self.held.strip_suffix(MESSAGE) {
            let head = head.to_owned();
            self.held.clear();
            self.at = self.opened(&head, parts);
        } else if self.held.len() > MAX_HEAD_BYTES {
            self.at = At::Final;
        }
    }

    /// What a message with this head holds.
    fn opened(&self, head: &str, parts: &mut Vec<Part>) -> At {
        if let Some(at) = head.rfind(RECIPIENT) {
            let rest = &head[at + RECIPIENT.len()..];
            let name = rest.split(|c: char| c.is_whitespace() || c == '<').next().unwrap_or_default();
            if !name.is_empty() {
                parts.push(Part::Begin { name: name.to_owned() });
                return At::Call { scanner: ObjectScanner::default(), over: false };
            }
        }
        let channel = head.rsplit("<|channel|>").next().unwrap_or_default();
        if channel.trim_start().starts_with("analysis") { At::Analysis } else { At::Final }
    }

    fn body(&mut self, parts: &mut Vec<Part>) {
        if !self.held.ends_with('>') {
            return;
        }
        let Some(mark) = ENDS.iter().find(|mark| self.held.ends_with(**mark)) else { return };
        let text = self.held[..self.held.len() - mark.len()].to_owned();
        self.held.clear();
        self.say(text, parts);
        self.end(parts);
        if *mark == "<|channel|>" {
            self.held.push_str(mark);
        }
    }

    fn end(&mut self, parts: &mut Vec<Part>) {
        if let At::Call { scanner, over } = &mut self.at {
            parts.extend(scanner.take().map(Part::Input));
            self.malformed |= !*over;
            parts.push(Part::End { whole: *over });
        }
        self.at = At::Head;
    }

    fn say(&mut self, text: String, parts: &mut Vec<Part>) {
        if text.is_empty() {
            return;
        }
        match &mut self.at {
            At::Head => {}
            At::Analysis => parts.push(Part::Thinking(text)),
            At::Final => parts.push(Part::Text { text, end: self.taken - self.held.len() }),
            At::Call { scanner, over } => {
                for byte in text.bytes() {
                    // Only blanks stand around the object.
                    if *over || (byte.is_ascii_whitespace() && scanner.is_new()) {
                        continue;
                    }
                    match scanner.push(byte) {
                        Reached::More => {}
                        Reached::End => *over = true,
                        Reached::TooDeep => self.malformed = true,
                    }
                }
            }
        }
    }
}

/// How many bytes at the end of `text` may be the beginning of a mark.
fn partial(text: &str) -> usize {
    let Some(at) = text.rfind('<') else { return 0 };
    let rest = &text[at..];
    if ENDS.iter().any(|mark| mark.starts_with(rest)) { rest.len() } else { 0 }
}
