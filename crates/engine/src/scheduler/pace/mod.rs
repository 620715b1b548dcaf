//! How much of a prompt a step may take: as much as leaves those who decode their pace.
//!
//! What steps cost is measured, and three lines are learned from it (`line`): a step without
//! prompts by the calls in it; a token of a prompt by its place, since attention looks back
//! at all before it, once for short stretches and once for long ones, which are computed in
//! another way ([`LONG_STRETCH`]). On one core of a CPU nearly all is per token, and a long
//! prompt goes in small bites; on a GPU nearly all is fixed, and it goes in large ones.

mod line;

use std::time::Duration;

use crate::backend::LONG_STRETCH;
use line::Line;

/// Without a target, a step may take this many times what it takes without a prompt: two,
/// less what it takes to choose tokens and what varies from step to step.
const WITHOUT_TARGET: f64 = 1.75;
/// Without a target, a step may always take this long: thirty tokens a second are more than
/// anybody reads, and to wait for a prompt that goes in smaller bites is noticed.
const UNNOTICED_S: f64 = 0.030;
/// How many times longer than it should a step may be that nobody waits for, if it takes
/// that for a stretch to be a long one.
const LENIENCE: f64 = 2.0;
/// What a long stretch may cost of what it costs in short ones, to be worth such a step.
const CLEARLY: f64 = 0.8;
/// Tokens of the very first prompt, before anything is known.
const FIRST: usize = 16;
/// After so many steps with prompts in them there is one without, to see what that costs.
const QUIET_EVERY: u32 = 16;
/// After so many steps one takes a guess in that may not pay, or what rows cost would never
/// be known where calls come one by one.
const TRY_EVERY: u32 = 32;
/// The price of such a guess, and its tokens.
const TRIAL_PRICE: f64 = 0.5;
const TRIAL_ROWS: usize = 2;
/// What prompts cost of a step at least, should nothing seem to be left for them.
const LEAST_SHARE: f64 = 0.02;

/// A stretch of a prompt in a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    /// Where it begins.
    pub(super) position: usize,
    /// How long it is.
    pub(super) tokens: usize,
}

/// What steps cost here.
#[derive(Debug)]
pub(super) struct Pace {
    target: Option<Duration>,
    longest: Duration,
    /// A step without prompts, by the calls that decode in it.
    decode: Line,
    /// A token of a prompt in a short stretch, by its place.
    short: Line,
    /// The same in a long one.
    long: Line,
    /// Steps since there was one without a prompt.
    loud: u32,
    /// Steps since more was guessed than seems to pay, to see what that costs.
    sober: u32,
}

/// What there is for guesses in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Guesses {
    /// What a row more costs, of what a row of this step costs on average: 1 where nothing
    /// is gained by computing several at once.
    pub(super) price: f64,
    /// Most tokens of all guesses.
    pub(super) rows: usize,
}

/// What is left of a step.
#[derive(Debug)]
pub(super) struct Budget<'p> {
    pace: &'p Pace,
    seconds: f64,
    /// Tokens of prompts.
    tokens: usize,
    /// Nobody waits for a next token.
    alone: bool,
    /// A prompt has got something.
    begun: bool,
}

impl Pace {
    /// `target`: the time between two tokens of a call, if it was set; `longest`: the most
    /// time a step may take when nobody decodes.
    pub(super) fn new(target: Option<Duration>, longest: Duration) -> Self {
        Self {
            target,
            longest,
            decode: Line::through_zero(1.0),
            short: Line::level(128.0),
            long: Line::level(256.0),
            loud: 0,
            sober: 0,
        }
    }

    /// A step in which so many calls decoded and these prompts got on took so long.
    pub(super) fn observe(&mut self, decoding: usize, prompts: &[Stretch], took: Duration) {
        let took = took.as_secs_f64();
        if prompts.is_empty() {
            // It stands for those before it, too: meanwhile answers have become longer.
            let unseen = std::mem::take(&mut self.loud);
            self.decode.forget(unseen);
            self.decode.observe(decoding as f64, took, f64::from(unseen / 2).max(1.0));
            return;
        }
        self.loud += u32::from(decoding > 0);
        let tokens: usize = prompts.iter().map(|stretch| stretch.tokens).sum();
        let others = match self.decode.known() {
            true => self.decode.at(decoding as f64),
            false => took * decoding as f64 / (decoding + tokens) as f64,
        };
        let spent = (took - others).max(took * LEAST_SHARE);
        // Each is taken to have cost as much more than expected as all together have.
        let expected: Vec<f64> = prompts.iter().map(|stretch| self.expected(stretch)).collect();
        let sum: f64 = expected.iter().sum();
        for (stretch, expected) in prompts.iter().zip(expected) {
            let share = if sum > 0.0 { expected / sum } else { stretch.tokens as f64 / tokens as f64 };
            let (from, count) = (stretch.position as f64, stretch.tokens as f64);
            let line = if stretch.tokens < LONG_STRETCH { &mut self.short } else { &mut self.long };
            line.observe(from + count / 2.0, spent * share / count, count);
        }
    }

    /// What there is for a step in which so many calls decode, and at most so many tokens
    /// of prompts.
    pub(super) fn budget(&self, decoding: usize, most: usize) -> Budget<'_> {
        let alone = decoding == 0;
        let (seconds, tokens) = match self.decode.known() {
            _ if alone => (self.longest.as_secs_f64() - self.decode.at(0.0), most),
            false => (f64::INFINITY, 0),
            true => {
                let without = self.decode.at(decoding as f64);
                let or_else = (without * WITHOUT_TARGET).max(UNNOTICED_S);
                let target = self.target.map_or(or_else, |target| target.as_secs_f64());
                // Those who decode do, whatever was asked.
                let seconds = target.max(without) - self.decode.at(0.0);
                (seconds, if self.loud < QUIET_EVERY { most } else { 0 })
            }
        };
        Budget { pace: self, seconds, tokens, alone, begun: false }
    }

    /// What there is for guesses in a step in which so many calls decode and nothing else is
    /// computed: so many tokens at most.
    pub(super) fn guesses(&mut self, decoding: usize, rows: usize) -> Guesses {
        self.sober += 1;
        if self.sober >= TRY_EVERY {
            self.sober = 0;
            return Guesses { price: TRIAL_PRICE, rows: rows.min(TRIAL_ROWS) };
        }
        let (step, row) = (self.decode.at(decoding as f64), self.decode.slope());
        let price = if step > 0.0 { row * decoding as f64 / step } else { 1.0 };
        let time = self.target.map_or(f64::INFINITY, |target| target.as_secs_f64() - step);
        // A target that is missed leaves no time; a row that costs nothing has no bound.
        let fit = (time.max(0.0) / row.max(1e-12)) as usize;
        Guesses { price, rows: rows.min(fit) }
    }

    /// Tokens of a prompt from a place on, at most so many, that these seconds are enough for.
    fn fit(&self, position: usize, most: usize, seconds: f64) -> usize {
        if !self.knows() {
            // A token of a prompt costs no more than one of an answer.
            let like_answers = (seconds / self.decode.slope().max(1e-12)) as usize;
            let known = if self.decode.known() { like_answers } else { FIRST };
            return known.min(FIRST).min(most);
        }
        let from = position as f64;
        let at_once = (self.long_line().reach(from, seconds) as usize).min(most);
        if at_once >= LONG_STRETCH {
            return at_once;
        }
        (self.short_line().reach(from, seconds) as usize).min(LONG_STRETCH - 1).min(most)
    }

    /// Whether a prompt was seen.
    const fn knows(&self) -> bool {
        self.short.known() || self.long.known()
    }

    fn expected(&self, stretch: &Stretch) -> f64 {
        let line = if stretch.tokens < LONG_STRETCH { self.short_line() } else { self.long_line() };
        line.cost(stretch.position as f64, stretch.tokens as f64)
    }

    /// Whether a long stretch costs clearly less than its tokens in short ones.
    fn pays(&self, long: &Stretch) -> bool {
        let (from, tokens) = (long.position as f64, long.tokens as f64);
        self.knows() && self.expected(long) < CLEARLY * self.short_line().cost(from, tokens)
    }

    /// As long as one of the two is not known, the other stands in.
    fn short_line(&self) -> &Line {
        if self.short.known() { &self.short } else { &self.long }
    }

    fn long_line(&self) -> &Line {
        if self.long.known() { &self.long } else { &self.short }
    }
}

impl Budget<'_> {
    /// A call's next token. Tells whether there is time for it.
    pub(super) fn decode(&mut self) -> bool {
        let takes = self.pace.decode.slope();
        let time = self.seconds >= takes * 0.99;
        if time {
            self.seconds -= takes;
        }
        time
    }

    /// How much of a prompt, of which so many tokens remain from this place on. The first
    /// one that asks always gets on.
    pub(super) fn prompt(&mut self, position: usize, remaining: usize) -> usize {
        let most = remaining.min(self.tokens);
        let mut tokens = self.pace.fit(position, most, self.seconds);
        if !self.begun {
            tokens = tokens.max(most.min(1));
            let long = Stretch { position, tokens: LONG_STRETCH };
            let could = self.alone && (tokens..=most).contains(&LONG_STRETCH);
            if could && self.pace.pays(&long) && self.pace.expected(&long) <= self.seconds * LENIENCE {
                tokens = LONG_STRETCH;
            }
        }
        self.begun |= tokens > 0;
        self.tokens -= tokens;
        self.seconds -= self.pace.expected(&Stretch { position, tokens });
        tokens
    }
}

#[cfg(test)]
mod tests;
