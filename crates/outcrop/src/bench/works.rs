//! What is asked of a model, and how long it takes.

use std::time::{Duration, Instant};

use engine::{Engine, Stats};
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use message::{Event, Failure};
use serde::Serialize;

use super::process::workers_cpu_s;
use crate::exit::Exit;

/// How many calls share a beginning.
const SHARING: usize = 8;
/// Goes on and on: few models find an end to it.
const COUNTING: &str = "One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve,";
/// Words that most vocabularies have as one token each.
const WORDS: [&str; 24] = [
    "river", "stone", "light", "garden", "window", "paper", "market", "winter", "bridge", "silver", "engine",
    "letter", "morning", "forest", "table", "music", "doctor", "island", "summer", "yellow", "planet",
    "circle", "pocket", "hammer",
];

/// A prompt that is read, by itself.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Prefill {
    pub(crate) tokens: u64,
    pub(crate) seconds: f64,
    pub(crate) tokens_per_s: f64,
}

/// Answers at once, their short prompts included.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Decode {
    pub(crate) streams: usize,
    pub(crate) tokens: u64,
    /// From when the last of them has its first token.
    pub(crate) tokens_per_s: f64,
    /// Of all processors.
    pub(crate) tokens_per_cpu_s: Option<f64>,
    /// Between two tokens of one answer.
    pub(crate) p95_gap_s: f64,
}

/// Calls that begin alike, at once.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Shared {
    pub(crate) calls: usize,
    /// Of what they share, about.
    pub(crate) tokens: usize,
    /// Prompt tokens of all of them that were computed, and those that were not.
    pub(crate) computed: u64,
    pub(crate) reused: u64,
    /// When their first tokens came, with nothing in the cache and with the beginning in it.
    pub(crate) cold_p95_s: f64,
    pub(crate) warm_p95_s: f64,
}

/// When the tokens of a call came, since it was sent.
type Times = Vec<Duration>;

/// Everything is mapped and paged in.
pub(super) async fn warm_up(engine: &Engine) -> Result<(), Exit> {
    ask(engine, COUNTING, 4).await.map(drop).map_err(failed)
}

pub(super) async fn prefill(engine: &Engine, tokens: usize) -> Result<Prefill, Exit> {
    let before = engine.stats();
    let began = Instant::now();
    ask(engine, &prose(1, tokens), 1).await.map_err(failed)?;
    let seconds = began.elapsed().as_secs_f64();
    let tokens = engine.stats().prefilled_tokens - before.prefilled_tokens;
    Ok(Prefill { tokens, seconds, tokens_per_s: tokens as f64 / seconds })
}

pub(super) async fn decode(engine: &Engine, streams: usize, tokens: usize) -> Result<Decode, Exit> {
    let (before, cpu, began) = (engine.stats(), workers_cpu_s(), Instant::now());
    let answers = try_join_all((0..streams).map(|_| ask(engine, COUNTING, tokens))).await.map_err(failed)?;
    let after = engine.stats();
    let made = after.decoded_tokens - before.decoded_tokens;
    // Where some are still reading, answers are slower: that is another measurement.
    let all_there = answers.iter().filter_map(|times| times.first()).max().copied().unwrap_or_default();
    let later = answers.iter().flatten().filter(|time| **time > all_there).count();
    let gaps = answers.iter().flat_map(|times| times.windows(2).map(|pair| pair[1] - pair[0])).collect();
    let cpu = cpu.zip(workers_cpu_s()).map(|(before, after)| after - before);
    Ok(Decode {
        streams,
        tokens: made,
        tokens_per_s: later as f64 / (began.elapsed() - all_there).as_secs_f64(),
        tokens_per_cpu_s: cpu.filter(|cpu| *cpu > 0.0).map(|cpu| made as f64 / cpu),
        p95_gap_s: p95(gaps),
    })
}

pub(super) async fn shared(engine: &Engine, tokens: usize) -> Result<Shared, Exit> {
    let beginning = prose(2, tokens);
    let before = engine.stats();
    let cold = first_tokens(engine, &beginning, "cold").await?;
    let after = engine.stats();
    let warm = first_tokens(engine, &beginning, "warm").await?;
    let since = |of: fn(&Stats) -> u64| of(&after) - of(&before);
    Ok(Shared {
        calls: SHARING,
        tokens,
        computed: since(|stats| stats.prefilled_tokens),
        reused: since(|stats| stats.reused_tokens),
        cold_p95_s: p95(cold),
        warm_p95_s: p95(warm),
    })
}

async fn first_tokens(engine: &Engine, beginning: &str, state: &str) -> Result<Times, Exit> {
    let calls = (0..SHARING).map(|call| async move {
        ask(engine, &format!("{beginning}\nQuestion {call} ({state}): why?"), 2).await
    });
    let answers = try_join_all(calls).await.map_err(failed)?;
    Ok(answers.iter().filter_map(|times| times.first().copied()).collect())
}

async fn ask(engine: &Engine, text: &str, tokens: usize) -> Result<Times, Failure> {
    let began = Instant::now();
    let mut events = engine.continue_greedily(text, tokens).await?;
    let mut times = Vec::with_capacity(tokens);
    while let Some(event) = events.next().await {
        if matches!(event?, Event::Delta { .. }) {
            times.push(began.elapsed());
        }
    }
    Ok(times)
}

/// About so many tokens of text, another for each seed.
fn prose(seed: usize, words: usize) -> String {
    let word = |at: usize| WORDS[(at * at / 7 + at * (seed + 2)) % WORDS.len()];
    (0..words).map(word).collect::<Vec<_>>().join(" ")
}

fn p95(mut times: Times) -> f64 {
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) * 95 / 100).map_or(0.0, Duration::as_secs_f64)
}

fn failed(failure: Failure) -> Exit {
    Exit::failed(failure.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_as_long_as_asked_and_differs() {
        assert_eq!(prose(1, 500).split(' ').count(), 500);
        assert_ne!(prose(1, 20), prose(2, 20));
    }

    #[test]
    fn nineteen_of_twenty_are_below() {
        assert_eq!(p95((1..=100).map(Duration::from_secs).collect()), 95.0);
        assert_eq!(p95(Vec::new()), 0.0);
    }
}
