//! Tokens into events: bytes become characters (`utf8`), tool calls are told from text
//! (`tools/`) and thinking from both (`think`), stop strings end it (`stop`), and what is
//! left is an ordered answer.

mod stop;
mod think;
mod utf8;

use std::collections::VecDeque;

use message::{BlockHead, Delta, Event, TokenLogprob};

use crate::tools::{Part, Reader, Thought, new_call_id};
use stop::{StopMatcher, Watched};
pub(crate) use think::Begins;
use think::{Split, Thinker};
use utf8::Utf8;

/// Writes one answer.
#[derive(Debug)]
pub(crate) struct Writer {
    utf8: Utf8,
    thinker: Option<Thinker>,
    reader: Option<Reader>,
    stops: StopMatcher,
    /// Bytes of raw text so far: what logprobs are laid along.
    raw_length: usize,
    logprobs: VecDeque<Placed>,
    open: Option<Open>,
    /// Index of the open block, or of the next one.
    index: u32,
    tool_calls: u32,
}

/// The block that can still grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
}

/// A token's log-probability, and where its text begins in the raw text.
#[derive(Debug)]
struct Placed {
    start: usize,
    logprob: TokenLogprob,
}

impl Writer {
    /// A writer that stops at `stops` and, given a reader, looks for tool calls.
    pub(crate) fn new(stops: Vec<String>, reader: Option<Reader>) -> Self {
        Self {
            utf8: Utf8::default(),
            thinker: None,
            reader,
            stops: StopMatcher::new(stops),
            raw_length: 0,
            logprobs: VecDeque::new(),
            open: None,
            index: 0,
            tool_calls: 0,
        }
    }

    /// Looks for thinking between these marks, too.
    #[must_use]
    pub(crate) fn with_thinking(mut self, marks: Thought, begins: Begins) -> Self {
        self.thinker = Some(Thinker::new(marks, begins));
        self
    }

    /// What is being written is thinking.
    pub(crate) fn thinking(&self) -> bool {
        self.thinker.as_ref().is_some_and(Thinker::thinking)
            || self.reader.as_ref().is_some_and(Reader::thinking)
    }

    /// Times a mark has announced tool calls, and what was written since the last one.
    pub(crate) fn announced(&self) -> (u32, &str) {
        self.reader.as_ref().map_or((0, ""), |reader| (reader.announced(), reader.since_announced()))
    }

    /// Whole tool calls written so far.
    pub(crate) fn tool_calls(&self) -> u32 {
        self.tool_calls
    }

    /// A tool call began and turned out not to be one.
    pub(crate) fn malformed(&self) -> bool {
        self.reader.as_ref().is_some_and(Reader::malformed)
    }

    /// Takes in a token's bytes. Returns the stop string that it completed, if it did;
    /// the answer is over then.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        logprob: Option<TokenLogprob>,
        events: &mut Vec<Event>,
    ) -> Option<String> {
        let mut text = String::new();
        self.utf8.push(piece, &mut text);
        let start = self.raw_length;
        self.raw_length += text.len();
        if let Some(logprob) = logprob {
            self.logprobs.push_back(Placed { start, logprob });
        }
        self.write(text, events)
    }

    /// The answer is over: writes what was held back and closes what is open.
    /// A stop string that was only held back for an unfinished marker is still found.
    pub(crate) fn finish(&mut self, events: &mut Vec<Event>) -> Option<String> {
        let mut text = String::new();
        self.utf8.finish(&mut text);
        self.raw_length += text.len();
        let mut stopped = self.write(text, events);
        if let Some(split) = self.thinker.as_mut().map(Thinker::finish)
            && stopped.is_none()
        {
            stopped = self.write_split(split, events);
        }
        if stopped.is_none()
            && let Some(reader) = &mut self.reader
        {
            let mut parts = Vec::new();
            reader.finish(&mut parts);
            stopped = self.write_parts(parts, events);
        }
        if stopped.is_none() {
            let rest = self.stops.flush();
            self.show(rest, usize::MAX, events);
        }
        self.close(events);
        stopped
    }

    fn write(&mut self, text: String, events: &mut Vec<Event>) -> Option<String> {
        match &mut self.thinker {
            None => self.write_answer(text, self.raw_length, events),
            Some(thinker) => {
                let split = thinker.push(&text);
                self.write_split(split, events)
            }
        }
    }

    fn write_split(&mut self, split: Split, events: &mut Vec<Event>) -> Option<String> {
        self.write_thinking(split.thinking, events);
        if let Some(reader) = &mut self.reader {
            reader.skip(split.skipped);
        }
        if split.text.is_empty() { None } else { self.write_answer(split.text, self.raw_length, events) }
    }

    /// Writes what is not thinking; its last byte stands at `end` of the raw text.
    fn write_answer(&mut self, text: String, end: usize, events: &mut Vec<Event>) -> Option<String> {
        match &mut self.reader {
            None => self.write_text(text, end, events),
            Some(reader) => {
                let mut parts = Vec::new();
                reader.push(&text, &mut parts);
                self.write_parts(parts, events)
            }
        }
    }

    fn write_thinking(&mut self, thinking: String, events: &mut Vec<Event>) {
        if thinking.is_empty() {
            return;
        }
        self.grow(Open::Thinking, Delta::Thinking(thinking), events);
    }

    /// Adds to the open block, or to a new one of that kind.
    fn grow(&mut self, kind: Open, delta: Delta, events: &mut Vec<Event>) {
        if self.open != Some(kind) {
            self.close(events);
            self.open = Some(kind);
            let block = match kind {
                Open::Text => BlockHead::Text,
                Open::Thinking => BlockHead::Thinking,
            };
            events.push(Event::BlockStart { index: self.index, block });
        }
        events.push(Event::Delta { index: self.index, delta });
    }

    fn write_parts(&mut self, parts: Vec<Part>, events: &mut Vec<Event>) -> Option<String> {
        for part in parts {
            match part {
                Part::Text { text, end } => {
                    let stopped = self.write_text(text, end, events);
                    if stopped.is_some() {
                        return stopped;
                    }
                }
                Part::Thinking(thinking) => self.write_thinking(thinking, events),
                Part::Begin { name } => {
                    // What stands before a tool call can no longer become a stop string.
                    let rest = self.stops.flush();
                    self.show(rest, self.raw_length, events);
                    self.close(events);
                    let block = BlockHead::ToolUse { id: new_call_id(), name };
                    events.push(Event::BlockStart { index: self.index, block });
                }
                Part::Input(input) => {
                    events.push(Event::Delta { index: self.index, delta: Delta::ToolInput(input) });
                }
                Part::End { whole } => {
                    events.push(Event::BlockStop { index: self.index });
                    self.index += 1;
                    self.tool_calls += u32::from(whole);
                }
            }
        }
        None
    }

    /// Writes visible text whose last byte stands at `end` of the raw text.
    fn write_text(&mut self, text: String, end: usize, events: &mut Vec<Event>) -> Option<String> {
        let begin = end - text.len() - self.stops.held();
        // What began before and was not shown was thinking or a mark.
        let hidden = self.logprobs.iter().take_while(|placed| placed.start < begin).count();
        self.logprobs.drain(..hidden);
        match self.stops.push(text) {
            Watched::Text(text) => {
                let shown = begin + text.len();
                self.show(text, shown, events);
                None
            }
            Watched::Stopped { text, stop } => {
                let shown = begin + text.len();
                self.show(text, shown, events);
                Some(stop)
            }
        }
    }

    /// Shows text that ends at `end` of the raw text, with the logprobs of its tokens.
    fn show(&mut self, text: String, end: usize, events: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        // A token that begins in shown text belongs to it, even if the rest is held back.
        let tokens = self.logprobs.iter().take_while(|placed| placed.start < end).count();
        let logprobs = self.logprobs.drain(..tokens).map(|placed| placed.logprob).collect();
        self.grow(Open::Text, Delta::Text { text, logprobs }, events);
    }

    /// Closes what is open.
    pub(crate) fn close(&mut self, events: &mut Vec<Event>) {
        if self.open.take().is_some() {
            events.push(Event::BlockStop { index: self.index });
            self.index += 1;
        }
    }
}

#[cfg(test)]
mod tests;
