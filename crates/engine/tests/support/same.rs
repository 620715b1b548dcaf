//! Answers that should be the same, compared token by token.

#![allow(clippy::print_stderr, reason = "a test's report")]

use engine::Engine;
use message::{Chat, Delta, Event, TokenLogprob};

use super::{chat, events};

/// Log-probabilities closer than this have been seen to change places for nothing but
/// another order of the same sums (SmolLM2 Q4_1; up to 0.32).
const ROUNDING: f32 = 0.5;

fn asked(prompt: &str, tokens: u64) -> Chat {
    let mut asked = chat(prompt, tokens);
    asked.raw = true;
    asked.sampling.logprobs = Some(2);
    asked
}

/// The tokens of a greedy continuation, each with the two likeliest.
pub async fn answer(engine: &Engine, prompt: &str, tokens: u64) -> Vec<TokenLogprob> {
    let mut said = Vec::new();
    for event in events(engine, asked(prompt, tokens)).await.unwrap() {
        if let Event::Delta { delta: Delta::Text { logprobs, .. }, .. } = event {
            said.extend(logprobs);
        }
    }
    said
}

/// How many answers are the same to the last token; the others must have an excuse.
pub fn compare(what: &str, exact: bool, expected: &[Vec<TokenLogprob>], found: &[Vec<TokenLogprob>]) {
    let mut same = 0;
    for (number, (expected, found)) in expected.iter().zip(found).enumerate() {
        let differs = expected.iter().zip(found).position(|(a, b)| a.token != b.token);
        let Some(at) = differs else {
            assert_eq!(expected.len(), found.len(), "{what}: prompt {number} ends elsewhere");
            same += 1;
            continue;
        };
        let gap = expected[at].top[0].logprob - expected[at].top[1].logprob;
        eprintln!("{what}: prompt {number} differs at token {at}; the two likeliest were {gap} apart");
        assert!(
            !exact && gap < ROUNDING,
            "{what}: prompt {number}, token {at}: {:?} / {:?}",
            expected[at],
            found[at]
        );
    }
    eprintln!("{what}: {same} of {} answers are the same", expected.len());
}
