//! Tokens into events: bytes become characters (`utf8`), tool calls are told from text
//! (`tools/`), stop strings end it (`stop`), and what is left is an ordered answer.

mod stop;
mod utf8;

use std::collections::VecDeque;

use message::{BlockHead, Delta, Event, TokenLogprob};

use crate::tools::{Parser, Part, new_call_id};
use stop::{StopMatcher, Watched};
use utf8::Utf8;

/// Writes one answer.
#[derive(Debug)]
pub(crate) struct Writer {
    utf8: Utf8,
    parser: Option<Parser>,
    stops: StopMatcher,
    /// Bytes of raw text so far: what logprobs are laid along.
    raw_length: usize,
    logprobs: VecDeque<Placed>,
    text_is_open: bool,
    /// Index of the open block, or of the next one.
    index: u32,
    tool_calls: u32,
}

/// A token's log-probability, and where its text begins in the raw text.
#[derive(Debug)]
struct Placed {
    start: usize,
    logprob: TokenLogprob,
}

impl Writer {
    /// A writer that stops at `stops` and, given a parser, looks for tool calls.
    pub(crate) fn new(stops: Vec<String>, parser: Option<Parser>) -> Self {
        Self {
            utf8: Utf8::default(),
            parser,
            stops: StopMatcher::new(stops),
            raw_length: 0,
            logprobs: VecDeque::new(),
            text_is_open: false,
            index: 0,
            tool_calls: 0,
        }
    }

    /// Whole tool calls written so far.
    pub(crate) fn tool_calls(&self) -> u32 {
        self.tool_calls
    }

    /// A tool call began and turned out not to be one.
    pub(crate) fn malformed(&self) -> bool {
        self.parser.as_ref().is_some_and(Parser::malformed)
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
        if stopped.is_none()
            && let Some(parser) = &mut self.parser
        {
            let mut parts = Vec::new();
            parser.finish(&mut parts);
            stopped = self.write_parts(parts, events);
        }
        if stopped.is_none() {
            let rest = self.stops.flush();
            self.show(rest, usize::MAX, events);
        }
        self.close_text(events);
        stopped
    }

    fn write(&mut self, text: String, events: &mut Vec<Event>) -> Option<String> {
        match &mut self.parser {
            None => self.write_text(text, self.raw_length, events),
            Some(parser) => {
                let mut parts = Vec::new();
                parser.push(&text, &mut parts);
                self.write_parts(parts, events)
            }
        }
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
                Part::Begin { name } => {
                    // What stands before a tool call can no longer become a stop string.
                    let rest = self.stops.flush();
                    self.show(rest, self.raw_length, events);
                    self.close_text(events);
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
        if !self.text_is_open {
            self.text_is_open = true;
            events.push(Event::BlockStart { index: self.index, block: BlockHead::Text });
        }
        // A token that begins in shown text belongs to it, even if the rest is held back.
        let tokens = self.logprobs.iter().take_while(|placed| placed.start < end).count();
        let logprobs = self.logprobs.drain(..tokens).map(|placed| placed.logprob).collect();
        events.push(Event::Delta { index: self.index, delta: Delta::Text { text, logprobs } });
    }

    /// Closes what is open, after a stop string.
    pub(crate) fn close(&mut self, events: &mut Vec<Event>) {
        self.close_text(events);
    }

    fn close_text(&mut self, events: &mut Vec<Event>) {
        if std::mem::take(&mut self.text_is_open) {
            events.push(Event::BlockStop { index: self.index });
            self.index += 1;
        }
    }
}

#[cfg(test)]
mod tests;
