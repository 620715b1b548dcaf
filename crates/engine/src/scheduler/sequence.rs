//! One call as the scheduler sees it: its tokens, how far they have been computed, and
//! where its events go.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use message::{Event, Failure, FinishReason, TokenLogprob, TopLogprob, Usage};

use super::Origin;
use super::cache::Lease;
use super::speculate::Speculation;
use crate::grammar::{Constraint, Rules};
use crate::outlet::Outlet;
use crate::output::Writer;
use crate::sampler::{Sampler, Scratch, logprobs};
use crate::vision::Picture;
use crate::vocabulary::{Token, Vocabulary};

/// A call that is ready to be scheduled.
#[derive(Debug)]
pub(crate) struct NewSequence {
    /// Where it comes from.
    pub(crate) origin: Origin,
    /// The prompt, then what was generated.
    pub(crate) tokens: Vec<Token>,
    /// The images among these tokens, held so that their rows are there to be computed.
    #[expect(dead_code, reason = "to hold them is all")]
    pub(crate) pictures: Vec<Arc<Picture>>,
    /// Most tokens to generate.
    pub(crate) max_tokens: usize,
    /// What it means that `max_tokens` were generated.
    pub(crate) at_max: FinishReason,
    /// How many alternatives to report per token, if logprobs are wanted.
    pub(crate) logprobs: Option<usize>,
    /// Stop strings of the prompt's own form, which end the turn and are not reported.
    pub(crate) turn_stops: Vec<String>,
    /// At most one tool call.
    pub(crate) one_tool_call: bool,
    /// Chooses its tokens.
    pub(crate) sampler: Sampler,
    /// What it may say.
    pub(crate) rules: Rules,
    /// How long it may think.
    pub(crate) thinking: Option<ThinkingLimit>,
    /// Writes its answer.
    pub(crate) writer: Writer,
    /// Where its events go.
    pub(crate) events: Outlet,
}

/// A bound on thinking.
#[derive(Debug)]
pub(crate) struct ThinkingLimit {
    /// Most tokens of it.
    pub(crate) tokens: u64,
    /// The tokens that end it.
    pub(crate) close: Vec<Token>,
}

/// A call being answered.
#[derive(Debug)]
pub(super) struct Sequence {
    new: NewSequence,
    prompt_length: usize,
    /// Its number in the order of arrival.
    pub(super) arrival: u64,
    /// Its sequence in the cache, while it has one.
    pub(super) lease: Option<Lease>,
    /// Tokens of its prompt that were in the cache when it was first let in.
    reused: Option<usize>,
    /// The last step it had part in.
    pub(super) last_step: u64,
    /// Since when its reader has not kept up.
    pub(super) stalled_since: Option<Instant>,
    started: bool,
    over: bool,
    failed: bool,
    /// The constraint that holds now.
    constraint: Option<Constraint>,
    /// Announced tool calls that were seen to.
    announced: u32,
    /// Tokens spent on thinking.
    thought: u64,
    /// Tokens that come next, whatever the model would say.
    forced: VecDeque<Token>,
    /// What it may say next.
    pub(super) speculation: Speculation,
}

impl Sequence {
    pub(super) fn new(mut new: NewSequence, arrival: u64) -> Self {
        let constraint = match std::mem::take(&mut new.rules) {
            Rules::Whole(constraint) => Some(constraint),
            rules => {
                new.rules = rules;
                None
            }
        };
        Self {
            prompt_length: new.tokens.len(),
            new,
            arrival,
            lease: None,
            reused: None,
            last_step: 0,
            stalled_since: None,
            started: false,
            over: false,
            failed: false,
            constraint,
            announced: 0,
            thought: 0,
            forced: VecDeque::new(),
            speculation: Speculation::default(),
        }
    }

    /// All its tokens.
    pub(super) fn tokens(&self) -> &[Token] {
        &self.new.tokens
    }

    /// Where it comes from.
    pub(super) fn origin(&self) -> &Origin {
        &self.new.origin
    }

    /// It is let in, with what is known of its tokens.
    pub(super) fn let_in(&mut self, lease: Lease) {
        self.reused.get_or_insert(lease.computed);
        self.lease = Some(lease);
    }

    /// Its place in the cache, and what belongs there.
    pub(super) fn lease_and_tokens(&mut self) -> Option<(&mut Lease, &[Token])> {
        Some((self.lease.as_mut()?, &self.new.tokens))
    }

    /// Tokens that are in the cache.
    pub(super) fn computed(&self) -> usize {
        self.lease.as_ref().map_or(0, |lease| lease.computed)
    }

    /// Tokens not yet computed: one while it decodes, more while its prompt is processed.
    pub(super) fn remaining(&self) -> usize {
        self.new.tokens.len() - self.computed()
    }

    /// Nobody listens any more.
    pub(super) fn abandoned(&self) -> bool {
        self.new.events.abandoned()
    }

    /// It has ended.
    pub(super) fn over(&self) -> bool {
        self.over
    }

    /// It has ended with a failure.
    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    /// Its reader keeps up.
    pub(super) fn has_room(&self) -> bool {
        self.new.events.has_room()
    }

    /// Ends it with a failure.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.over = true;
        self.failed = true;
        // Room is kept for this.
        self.new.events.send(Err(failure));
    }

    /// Guesses what comes next, for the next step: no more than so many tokens, each at this
    /// price.
    pub(super) fn guess(&mut self, price: f64, most: usize) -> &[Token] {
        let left = self.new.max_tokens.saturating_sub(self.generated() + 1);
        self.speculation.guess(&self.new.tokens, price, most.min(left))
    }

    /// Its last token was computed, and maybe a guess after it: chooses the next one, and more
    /// as long as the guess is right, and sends what they reveal. `rows` are the logits after
    /// each. Returns how many tokens it said.
    pub(super) fn advance<'l>(
        &mut self,
        rows: impl Iterator<Item = &'l [f32]>,
        vocabulary: &Vocabulary,
        scratch: &mut Scratch,
    ) -> usize {
        let (mut said, mut events, mut failed) = (0, Vec::new(), None);
        for logits in rows {
            let token = match self.choose(logits, scratch) {
                Ok(token) => token,
                Err(failure) => {
                    failed = Some(failure);
                    break;
                }
            };
            self.new.tokens.push(token);
            said += 1;
            if !self.started {
                self.started = true;
                events.push(Event::Start { id: None });
                events.push(Event::Usage(self.usage()));
            }
            if let Some((reason, stop_sequence)) = self.write(token, logits, vocabulary, &mut events) {
                self.over = true;
                events.push(Event::Usage(self.usage()));
                events.push(Event::Finish { reason, stop_sequence });
                break;
            }
            if !self.speculation.said(said - 1, token) {
                break;
            }
        }
        if !events.is_empty() {
            self.new.events.send(Ok(events));
        }
        if let Some(failure) = failed {
            self.fail(failure);
        }
        said
    }

    fn choose(&mut self, logits: &[f32], scratch: &mut Scratch) -> Result<Token, Failure> {
        let forced = self.forced.pop_front();
        let left = self.new.max_tokens.saturating_sub(self.generated() + 1);
        let thinking = self.new.writer.thinking();
        let Some(constraint) = &mut self.constraint else {
            return Ok(forced.unwrap_or_else(|| self.new.sampler.choose(logits, None, scratch)));
        };
        if let Some(token) = forced {
            constraint.accept(token)?;
            return Ok(token);
        }
        let mask = constraint.mask()?;
        let token = self.new.sampler.choose(logits, Some(mask.as_slice()), scratch);
        if thinking {
            constraint.accept(token)?;
            constraint.not_yet();
            return Ok(token);
        }
        constraint.accept_within(token, left)
    }

    /// Keeps what was just written within its rules: a tool call that begins is followed
    /// to its end, and thinking does not outlast its limit. Returns whether all has been said.
    fn keep_rules(&mut self) -> bool {
        let satisfied = self.constraint.as_mut().is_some_and(Constraint::satisfied);
        if let Rules::Calls { call, last } = &self.new.rules {
            if satisfied {
                self.constraint = None;
                if *last {
                    return true;
                }
            }
            let (announced, since) = self.new.writer.announced();
            if self.constraint.is_none() && announced > self.announced {
                self.announced = announced;
                let mut call = call.fresh();
                // What cannot become a call any more is left to be told as text.
                let possible = since.is_empty() || call.accept_text(since);
                self.constraint = possible.then_some(call);
            }
        } else if satisfied {
            return true;
        }
        if let Some(limit) = &mut self.new.thinking
            && self.thought >= limit.tokens
            && self.new.writer.thinking()
        {
            self.forced.extend(limit.close.drain(..));
        }
        false
    }

    /// Writes a token's text. Returns why the answer is over, if it is.
    fn write(
        &mut self,
        token: Token,
        logits: &[f32],
        vocabulary: &Vocabulary,
        events: &mut Vec<Event>,
    ) -> Option<(FinishReason, Option<String>)> {
        let thought = self.new.writer.thinking();
        if vocabulary.ends_turn(token) {
            let stopped = self.new.writer.finish(events);
            return Some(self.ended(stopped));
        }
        let logprob = self.new.logprobs.map(|count| describe(logits, token, count, vocabulary));
        let stopped = self.new.writer.push(vocabulary.piece(token), logprob, events);
        // The marks around it are part of it.
        self.thought += u64::from(thought || self.new.writer.thinking());
        if stopped.is_some() {
            self.new.writer.close(events);
            return Some(self.ended(stopped));
        }
        let satisfied = self.keep_rules() || (self.new.one_tool_call && self.new.writer.tool_calls() > 0);
        if satisfied {
            let stopped = self.new.writer.finish(events);
            return Some(self.ended(stopped));
        }
        if self.generated() >= self.new.max_tokens {
            let stopped = self.new.writer.finish(events);
            return Some(match stopped {
                Some(_) => self.ended(stopped),
                None => (self.new.at_max.clone(), None),
            });
        }
        None
    }

    /// Why an answer that did not hit its limit is over.
    fn ended(&self, stopped: Option<String>) -> (FinishReason, Option<String>) {
        match stopped {
            Some(stop) if !self.new.turn_stops.contains(&stop) => (FinishReason::StopSequence, Some(stop)),
            _ if self.new.writer.malformed() => (FinishReason::MalformedToolUse, None),
            _ if self.new.writer.tool_calls() > 0 => (FinishReason::ToolUse, None),
            _ => (FinishReason::EndTurn, None),
        }
    }

    fn generated(&self) -> usize {
        self.new.tokens.len() - self.prompt_length
    }

    fn usage(&self) -> Usage {
        let reused = self.reused.unwrap_or(0);
        Usage {
            input_tokens: (self.prompt_length - reused) as u64,
            cache_read_tokens: reused as u64,
            output_tokens: (self.generated() as u64).saturating_sub(self.thought),
            reasoning_tokens: self.thought,
            ..Usage::default()
        }
    }
}

fn describe(logits: &[f32], token: Token, count: usize, vocabulary: &Vocabulary) -> TokenLogprob {
    let found = logprobs(logits, token, count);
    let written = |token| vocabulary.written(token).to_vec();
    let top = found.top.iter().map(|&(token, logprob)| TopLogprob { token: written(token), logprob });
    TokenLogprob { token: written(token), logprob: found.chosen, top: top.collect() }
}

#[cfg(test)]
mod tests;
