//! Chooses the next token from the model's logits.
//!
//! Ours rather than llama.cpp's chain: log-probabilities need the logits here anyway,
//! and one pass that keeps only the tokens still in play is faster than a chain that
//! sorts the vocabulary. The order is vLLM's: penalties, constraint, temperature,
//! `min_p`, `top_k`, `top_p`, draw. Greedy is llama.cpp's: the first of the highest.

mod logprobs;
mod params;
mod penalty;
mod random;

use crate::vocabulary::Token;

pub(crate) use logprobs::logprobs;
pub(crate) use params::SamplingParams;
use penalty::Penalties;
use random::Random;

/// Tokens a draw may still fall on, and their logits.
type Candidate = (Token, f32);

/// Memory that samplers share from step to step.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    logits: Vec<f32>,
    candidates: Vec<Candidate>,
}

/// Which tokens a constraint allows: one bit per token, lowest bit first.
pub(crate) type Mask<'a> = &'a [u32];

/// Chooses the tokens of one call.
#[derive(Debug)]
pub(crate) struct Sampler {
    params: SamplingParams,
    penalties: Penalties,
    random: Random,
}

impl Sampler {
    /// A sampler for a call with this prompt.
    pub(crate) fn new(params: SamplingParams, prompt: &[Token]) -> Self {
        let penalties = Penalties::new(&params, prompt);
        let random = Random::new(params.seed);
        Self { params, penalties, random }
    }

    /// The next token, given the logits and the tokens a constraint allows.
    pub(crate) fn choose(&mut self, logits: &[f32], mask: Option<Mask<'_>>, scratch: &mut Scratch) -> Token {
        let token = if mask.is_none() && !self.penalties.any() {
            self.draw(logits, &mut scratch.candidates)
        } else {
            let adjusted = &mut scratch.logits;
            adjusted.clear();
            adjusted.extend_from_slice(logits);
            self.penalties.apply(adjusted);
            if let Some(mask) = mask {
                forbid(adjusted, mask);
            }
            self.draw(adjusted, &mut scratch.candidates)
        };
        self.penalties.count(token);
        token
    }

    fn draw(&mut self, logits: &[f32], candidates: &mut Vec<Candidate>) -> Token {
        let (likeliest, max) = argmax(logits);
        if self.params.temperature <= 0.0 {
            return likeliest;
        }
        self.keep_likely(logits, max, candidates);
        keep_top_k(candidates, self.params.top_k as usize);
        let scale = 1.0 / self.params.temperature;
        for (_, logit) in candidates.iter_mut() {
            *logit = ((*logit - max) * scale).exp();
        }
        keep_top_p(candidates, self.params.top_p);
        let total: f32 = candidates.iter().map(|(_, weight)| weight).sum();
        let mut left = self.random.next_unit() * total;
        for &(token, weight) in candidates.iter() {
            left -= weight;
            if left < 0.0 {
                return token;
            }
        }
        // Rounding may leave a crumb.
        candidates.last().map_or(likeliest, |&(token, _)| token)
    }

    /// Gathers the tokens that `min_p` keeps, and drops those so unlikely
    /// (below e^−[`NEGLIGIBLE`] of the likeliest) that no draw of an `f32` could find them.
    fn keep_likely(&self, logits: &[f32], max: f32, candidates: &mut Vec<Candidate>) {
        const NEGLIGIBLE: f32 = 24.0;
        let log_min_p = if self.params.min_p > 0.0 { self.params.min_p.ln() } else { -NEGLIGIBLE };
        let floor = max + self.params.temperature * log_min_p.max(-NEGLIGIBLE);
        candidates.clear();
        let likely = (0..).zip(logits).filter(|&(_, &logit)| logit >= floor);
        candidates.extend(likely.map(|(token, &logit)| (token, logit)));
    }
}

/// The first token of the highest logit, and that logit.
fn argmax(logits: &[f32]) -> (Token, f32) {
    // The maximum first: without an index to carry, the loop is vectorised.
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let first = logits.iter().position(|&logit| logit >= max).unwrap_or(0);
    (first as Token, max)
}

fn forbid(logits: &mut [f32], mask: Mask<'_>) {
    for (word, chunk) in mask.iter().zip(logits.chunks_mut(32)) {
        if *word == u32::MAX {
            continue;
        }
        for (bit, logit) in chunk.iter_mut().enumerate() {
            if word & (1 << bit) == 0 {
                *logit = f32::NEG_INFINITY;
            }
        }
    }
    // A mask shorter than the vocabulary allows nothing beyond its end.
    let covered = (mask.len() * 32).min(logits.len());
    logits[covered..].fill(f32::NEG_INFINITY);
}

fn keep_top_k(candidates: &mut Vec<Candidate>, k: usize) {
    if k > 0 && candidates.len() > k {
        candidates.select_nth_unstable_by(k - 1, likelier);
        candidates.truncate(k);
    }
}

/// Keeps the fewest likeliest candidates that hold `top_p` of the mass.
fn keep_top_p(candidates: &mut Vec<Candidate>, top_p: f32) {
    // In a fixed order, so that a draw depends on the seed and the logits alone.
    candidates.sort_unstable_by(likelier);
    if top_p >= 1.0 {
        return;
    }
    let total: f32 = candidates.iter().map(|(_, weight)| weight).sum();
    let mut held = 0.0;
    let enough = candidates.iter().position(|(_, weight)| {
        held += weight;
        held >= top_p * total
    });
    candidates.truncate(enough.map_or(candidates.len(), |last| last + 1));
}

/// Likelier first; of equals, the lower token.
fn likelier(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sampler(params: SamplingParams) -> Sampler {
        Sampler::new(params, &[])
    }

    fn params() -> SamplingParams {
        SamplingParams { temperature: 1.0, seed: 7, ..SamplingParams::default() }
    }

    fn draws(params: SamplingParams, logits: &[f32], times: usize) -> Vec<Token> {
        let (mut sampler, mut scratch) = (sampler(params), Scratch::default());
        (0..times).map(|_| sampler.choose(logits, None, &mut scratch)).collect()
    }

    #[test]
    fn greedy_takes_the_first_of_equals() {
        let params = SamplingParams { temperature: 0.0, ..params() };
        assert_eq!(draws(params, &[1.0, 3.0, 3.0, -1.0], 1), [1]);
    }

    #[test]
    fn draws_follow_the_softmax() {
        // ln 3 against ln 1: three of four.
        let drawn = draws(params(), &[3f32.ln(), 0.0], 20_000);
        let first = drawn.iter().filter(|&&token| token == 0).count() as f64 / 20_000.0;
        assert!((first - 0.75).abs() < 0.01, "{first}");
    }

    #[test]
    fn temperature_flattens() {
        let hot = SamplingParams { temperature: 2.0, ..params() };
        let drawn = draws(hot, &[9f32.ln(), 0.0], 20_000);
        let first = drawn.iter().filter(|&&token| token == 0).count() as f64 / 20_000.0;
        assert!((first - 0.75).abs() < 0.01, "sqrt(9) to 1: {first}");
    }

    #[test]
    fn top_k_top_p_and_min_p_cut() {
        let logits: Vec<f32> = [0.5f32, 0.3, 0.15, 0.05].map(f32::ln).to_vec();
        let only = |params: SamplingParams| {
            let mut seen = draws(params, &logits, 2000);
            seen.sort_unstable();
            seen.dedup();
            seen
        };
        assert_eq!(only(params()), [0, 1, 2, 3]);
        assert_eq!(only(SamplingParams { top_k: 2, ..params() }), [0, 1]);
        assert_eq!(only(SamplingParams { top_p: 0.79, ..params() }), [0, 1]);
        assert_eq!(only(SamplingParams { top_p: 0.81, ..params() }), [0, 1, 2]);
        assert_eq!(only(SamplingParams { min_p: 0.29, ..params() }), [0, 1, 2]);
        assert_eq!(only(SamplingParams { min_p: 0.31, ..params() }), [0, 1]);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let logits: Vec<f32> = (0..1000).map(|i| (i % 17) as f32 / 5.0).collect();
        assert_eq!(draws(params(), &logits, 50), draws(params(), &logits, 50));
        let other = SamplingParams { seed: 8, ..params() };
        assert_ne!(draws(params(), &logits, 50), draws(other, &logits, 50));
    }

    #[test]
    fn a_mask_is_obeyed_also_beyond_its_end() {
        let greedy = SamplingParams { temperature: 0.0, ..params() };
        let logits: Vec<f32> = (0..70).map(|i| i as f32).collect();
        let mut scratch = Scratch::default();
        let token = sampler(greedy).choose(&logits, Some(&[0b110, 0]), &mut scratch);
        assert_eq!(token, 2);
    }

    #[test]
    fn penalties_turn_repetition_away() {
        let greedy = SamplingParams { temperature: 0.0, presence_penalty: 1.5, ..params() };
        assert_eq!(draws(greedy, &[2.0, 1.0, 0.0], 3), [0, 1, 0]);
        let greedy = SamplingParams { temperature: 0.0, frequency_penalty: 0.6, ..params() };
        assert_eq!(draws(greedy, &[2.0, 1.0, 0.0], 4), [0, 0, 1, 0]);
    }

    proptest! {
        #[test]
        fn any_logits_and_any_params_give_a_token(
            logits in prop::collection::vec(prop_oneof![any::<f32>(), -30f32..30.0], 1..200),
            temperature in 0f32..5.0, top_p in 0.01f32..=1.0, top_k in 0u32..50, min_p in 0f32..1.0,
            seed in any::<u64>(),
        ) {
            let params = SamplingParams { temperature, top_p, top_k, min_p, seed, ..params() };
            let token = draws(params, &logits, 1)[0];
            prop_assert!((token as usize) < logits.len());
        }
    }
}
