//! Chooses the next token from the model's logits.
//!
//! Ours rather than llama.cpp's chain: log-probabilities need the logits here anyway,
//! and one pass that keeps only the tokens still in play is faster than a chain that
//! sorts the vocabulary. The order is vLLM's, and llama.cpp's for what vLLM has not:
//! penalties, bias, DRY, bans (`min_tokens`, `ignore_eos`, `allowed_token_ids`),
//! constraint; top-nσ, (dynamic) temperature, `min_p`, `top_k`, typical, `top_p`, XTC,
//! draw. Mirostat takes the place of everything between temperature and draw. Greedy is
//! llama.cpp's: the first of the highest.

mod dry;
mod logprobs;
mod params;
mod penalty;
mod random;
mod truncate;

use crate::vocabulary::Token;

use dry::Repetition;
pub(crate) use logprobs::logprobs;
pub(crate) use params::SamplingParams;
use penalty::Penalties;
use random::Random;
use truncate::Surprise;

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
    repetition: Option<Repetition>,
    surprise: Option<Surprise>,
    /// Tokens chosen so far.
    said: u64,
    random: Random,
}

impl Sampler {
    /// A sampler for a call with this prompt.
    pub(crate) fn new(params: SamplingParams, prompt: &[Token]) -> Self {
        let penalties = Penalties::new(&params, prompt);
        let repetition = params.dry.clone().map(|dry| Repetition::new(dry, prompt));
        let surprise = params.mirostat.map(Surprise::new);
        let random = Random::new(params.seed);
        Self { params, penalties, repetition, surprise, said: 0, random }
    }

    /// The next token, given the logits and the tokens a constraint allows.
    pub(crate) fn choose(&mut self, logits: &[f32], mask: Option<Mask<'_>>, scratch: &mut Scratch) -> Token {
        let token = if mask.is_none() && self.leaves_logits_alone() {
            self.draw(logits, &mut scratch.candidates)
        } else {
            let adjusted = &mut scratch.logits;
            adjusted.clear();
            adjusted.extend_from_slice(logits);
            self.adjust(adjusted, mask);
            self.draw(adjusted, &mut scratch.candidates)
        };
        self.penalties.count(token);
        if let Some(repetition) = &mut self.repetition {
            repetition.count(token);
        }
        self.said += 1;
        token
    }

    fn may_not_end(&self) -> bool {
        self.said < self.params.min_tokens
    }

    fn leaves_logits_alone(&self) -> bool {
        let params = &self.params;
        !self.penalties.any()
            && self.repetition.is_none()
            && params.bias.is_empty()
            && params.only.is_empty()
            && !self.may_not_end()
    }

    fn adjust(&self, logits: &mut [f32], mask: Option<Mask<'_>>) {
        self.penalties.apply(logits);
        for &(token, bias) in &self.params.bias {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit += bias;
            }
        }
        if let Some(repetition) = &self.repetition {
            repetition.apply(logits);
        }
        if !self.params.only.is_empty() {
            keep_only(logits, &self.params.only);
        }
        if let Some(mask) = mask {
            forbid(logits, mask);
        }
        if self.may_not_end() {
            let ends = &self.params.ends;
            let others =
                (0..).zip(&*logits).any(|(token, logit)| logit.is_finite() && !ends.contains(&token));
            // Where only the end is allowed, it is.
            for &end in ends.iter().filter(|_| others) {
                if let Some(logit) = logits.get_mut(end as usize) {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
    }

    fn draw(&mut self, logits: &[f32], candidates: &mut Vec<Candidate>) -> Token {
        let (likeliest, max) = argmax(logits);
        let temperature = self.temperature(logits, max);
        if temperature <= 0.0 {
            return likeliest;
        }
        self.keep_likely(logits, max, temperature, candidates);
        if self.surprise.is_none() {
            truncate::top_k(candidates, self.params.top_k as usize);
        }
        let scale = 1.0 / temperature;
        for (_, logit) in candidates.iter_mut() {
            *logit = ((*logit - max) * scale).exp();
        }
        if let Some(surprise) = &self.surprise {
            truncate::top_p(candidates, 1.0);
            surprise.cut(candidates);
        } else {
            truncate::typical(candidates, self.params.typical_p);
            truncate::top_p(candidates, self.params.top_p);
            if let Some(xtc) = self.params.xtc {
                truncate::xtc(candidates, xtc, &mut self.random);
            }
        }
        let total: f32 = candidates.iter().map(|(_, weight)| weight).sum();
        let mut left = self.random.next_unit() * total;
        let found = candidates.iter().find(|(_, weight)| {
            left -= weight;
            left < 0.0
        });
        // Rounding may leave a crumb.
        let Some(&(token, weight)) = found.or(candidates.last()) else { return likeliest };
        if let Some(surprise) = &mut self.surprise {
            surprise.learn(weight, total);
        }
        token
    }

    /// The temperature: within its range, the higher the less sure the model is.
    fn temperature(&self, logits: &[f32], max: f32) -> f32 {
        let (middle, range) = (self.params.temperature, self.params.dynatemp_range);
        if range <= 0.0 || middle <= 0.0 {
            return middle;
        }
        let (least, most) = ((middle - range).max(0.0), middle + range);
        let (mut count, mut total, mut weighted) = (0u32, 0f64, 0f64);
        for logit in logits.iter().copied().filter(|logit| logit.is_finite()) {
            let below = f64::from(logit - max);
            count += 1;
            total += below.exp();
            weighted += below.exp() * below;
        }
        // ln Σe^x − Σxe^x/Σe^x, as a part of the most it could be.
        let entropy = total.ln() - weighted / total;
        let unsure = if count > 1 { (entropy / f64::from(count).ln()) as f32 } else { 0.0 };
        least + (most - least) * unsure.clamp(0.0, 1.0).powf(self.params.dynatemp_exponent)
    }

    /// Gathers the tokens that `min_p` and top-nσ keep, and drops those so unlikely
    /// (below e^−[`NEGLIGIBLE`] of the likeliest) that no draw of an `f32` could find them.
    fn keep_likely(&self, logits: &[f32], max: f32, temperature: f32, candidates: &mut Vec<Candidate>) {
        const NEGLIGIBLE: f32 = 24.0;
        let min_p = if self.surprise.is_none() { self.params.min_p } else { 0.0 };
        let log_min_p = if min_p > 0.0 { min_p.ln() } else { -NEGLIGIBLE };
        let mut floor = max + temperature * log_min_p.max(-NEGLIGIBLE);
        if self.params.top_n_sigma > 0.0 && self.surprise.is_none() {
            floor = floor.max(truncate::sigma_floor(logits, max, self.params.top_n_sigma));
        }
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

/// Forbids all but these.
fn keep_only(logits: &mut [f32], only: &[Token]) {
    let kept: Vec<(Token, f32)> =
        only.iter().filter_map(|&token| Some((token, *logits.get(token as usize)?))).collect();
    logits.fill(f32::NEG_INFINITY);
    for (token, logit) in kept {
        logits[token as usize] = logit;
    }
}

/// Likelier first; of equals, the lower token.
fn likelier(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::params::{Mirostat, Xtc};
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

    /// Whatever is chosen in between for other calls, out of the same memory.
    #[test]
    fn a_seed_s_draws_are_its_own() {
        let logits: Vec<f32> = (0..1000).map(|i| (i * 37 % 101) as f32 / 9.0).collect();
        let others: Vec<f32> = (0..700).map(|i| (i % 13) as f32).collect();
        let alone = draws(params(), &logits, 50);
        let (mut one, mut scratch) = (sampler(params()), Scratch::default());
        let mut other = sampler(SamplingParams { seed: 99, top_k: 3, presence_penalty: 1.0, ..params() });
        let together: Vec<Token> = (0..50)
            .map(|at| {
                for _ in 0..at % 3 {
                    other.choose(&others, Some(&[u32::MAX; 22]), &mut scratch);
                }
                one.choose(&logits, None, &mut scratch)
            })
            .collect();
        assert_eq!(together, alone);
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

    #[test]
    fn a_bias_is_added_and_bans_or_forces_at_its_ends() {
        let greedy = |bias| SamplingParams { temperature: 0.0, bias, ..params() };
        assert_eq!(draws(greedy(vec![(1, 1.5)]), &[2.0, 1.0], 1), [1]);
        assert_eq!(draws(greedy(vec![(0, -100.0)]), &[2.0, 1.0], 1), [1]);
        assert_eq!(draws(greedy(vec![(7, 100.0)]), &[2.0, 1.0], 1), [0], "a token that is not there");
    }

    #[test]
    fn the_turn_does_not_end_too_early_unless_nothing_else_may_be_said() {
        let params = SamplingParams { temperature: 0.0, min_tokens: 2, ends: vec![0], ..params() };
        assert_eq!(draws(params.clone(), &[2.0, 1.0], 4), [1, 1, 0, 0]);
        let mut scratch = Scratch::default();
        assert_eq!(sampler(params).choose(&[2.0, 1.0], Some(&[1]), &mut scratch), 0, "the constraint wins");
    }

    #[test]
    fn only_the_allowed_are_said() {
        let params = SamplingParams { temperature: 0.0, only: vec![2, 9], ..params() };
        assert_eq!(draws(params, &[2.0, 1.0, 0.0], 1), [2]);
    }

    #[test]
    fn each_cut_is_made_where_it_stands() {
        let logits: Vec<f32> = [0.5f32, 0.3, 0.15, 0.05].map(f32::ln).to_vec();
        let only = |params: SamplingParams| {
            let mut seen = draws(params, &logits, 2000);
            seen.sort_unstable();
            seen.dedup();
            seen
        };
        assert_eq!(only(SamplingParams { top_n_sigma: 1.0, ..params() }), [0, 1]);
        let xtc = Some(Xtc { probability: 1.0, threshold: 0.1 });
        assert_eq!(only(SamplingParams { xtc, ..params() }), [2, 3]);
        assert_eq!(only(SamplingParams { xtc, top_k: 2, ..params() }), [1], "after the others cut");
        assert_eq!(only(SamplingParams { typical_p: 0.29, ..params() }), [1]);
        let mirostat = Some(Mirostat { tau: 0.6, eta: 0.0 });
        assert_eq!(only(SamplingParams { mirostat, top_k: 1, ..params() }), [0], "1.2 bits at most");
        let mirostat = Some(Mirostat { tau: 2.5, eta: 0.0 });
        assert_eq!(only(SamplingParams { mirostat, top_k: 1, ..params() }), [0, 1, 2, 3], "and no other cut");
    }

    #[test]
    fn what_is_repeated_is_turned_away_from() {
        let dry = params::Dry {
            multiplier: 5.0,
            base: 2.0,
            allowed_length: 1,
            last_tokens: None,
            breakers: [].into(),
        };
        let params = SamplingParams { temperature: 0.0, dry: Some(dry), ..params() };
        let mut sampler = Sampler::new(params, &[0, 1, 0]);
        assert_eq!(sampler.choose(&[0.0, 2.0, 1.0], None, &mut Scratch::default()), 2);
    }

    #[test]
    fn a_sure_model_is_cooled_and_an_unsure_one_heated() {
        let dynamic = SamplingParams { dynatemp_range: 0.9, ..params() };
        let sampler = sampler(dynamic);
        let sure = sampler.temperature(&[20.0, 0.0, 0.0], 20.0);
        let unsure = sampler.temperature(&[1.0, 1.0, 1.0], 1.0);
        assert!((sure - 0.1).abs() < 1e-3 && (unsure - 1.9).abs() < 1e-3, "{sure} {unsure}");
    }

    proptest! {
        #[test]
        fn any_logits_and_any_params_give_a_token(
            logits in prop::collection::vec(prop_oneof![any::<f32>(), -30f32..30.0], 1..200),
            temperature in 0f32..5.0, top_p in 0.01f32..=1.0, top_k in 0u32..50, min_p in 0f32..1.0,
            seed in any::<u64>(), typical_p in 0f32..=1.0, top_n_sigma in 0f32..4.0, range in 0f32..2.0,
            odd in any::<[bool; 3]>(),
        ) {
            let params = SamplingParams {
                temperature, top_p, top_k, min_p, seed, typical_p, top_n_sigma,
                dynatemp_range: range,
                xtc: odd[0].then_some(Xtc { probability: 0.5, threshold: 0.1 }),
                mirostat: odd[1].then_some(Mirostat { tau: 3.0, eta: 0.2 }),
                bias: if odd[2] { vec![(0, -100.0), (3, 5.0)] } else { Vec::new() },
                ..params()
            };
            for token in draws(params, &logits, 3) {
                prop_assert!((token as usize) < logits.len());
            }
        }
    }
}
