//! Which tokens a draw may fall on: every way to cut the unlikely off, in one place, and
//! one that cuts the likely off (XTC).
//!
//! Sources: nucleus, arXiv:1904.09751; locally typical, arXiv:2202.00666; top-nσ,
//! arXiv:2411.07641; mirostat, arXiv:2007.14966; XTC, oobabooga/text-generation-webui #6335.

use super::params::{Mirostat, Xtc};
use super::random::Random;
use super::{Candidate, likelier};

/// Keeps the `k` likeliest; 0 is off.
pub(super) fn top_k(candidates: &mut Vec<Candidate>, k: usize) {
    if k > 0 && candidates.len() > k {
        candidates.select_nth_unstable_by(k - 1, likelier);
        candidates.truncate(k);
    }
}

/// The lowest logit within `sigmas` standard deviations of the highest.
pub(super) fn sigma_floor(logits: &[f32], max: f32, sigmas: f32) -> f32 {
    // What is forbidden is no part of the distribution.
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for logit in logits.iter().copied().filter(|logit| logit.is_finite()) {
        let below = f64::from(logit - max);
        count += 1.0;
        sum += below;
        squares += below * below;
    }
    let mean = sum / f64::max(count, 1.0);
    let deviation = (squares / f64::max(count, 1.0) - mean * mean).max(0.0).sqrt();
    max - sigmas * deviation as f32
}

/// Keeps those whose surprise is nearest to what is to be expected, until they hold `mass`.
pub(super) fn typical(candidates: &mut Vec<Candidate>, mass: f32) {
    if mass >= 1.0 {
        return;
    }
    let total: f32 = candidates.iter().map(|(_, weight)| weight).sum();
    let surprise = |weight: f32| if weight > 0.0 { -(weight / total).ln() } else { f32::MAX };
    let expected: f32 = candidates
        .iter()
        .filter(|(_, weight)| *weight > 0.0)
        .map(|&(_, weight)| weight / total * surprise(weight))
        .sum();
    let far = |weight: f32| (surprise(weight) - expected).abs();
    candidates.sort_unstable_by(|a, b| far(a.1).total_cmp(&far(b.1)).then(a.0.cmp(&b.0)));
    keep_mass(candidates, mass * total);
}

/// Sorts, and keeps the fewest likeliest that hold `top_p` of the mass.
pub(super) fn top_p(candidates: &mut Vec<Candidate>, top_p: f32) {
    // In a fixed order, so that a draw depends on the seed and the logits alone.
    candidates.sort_unstable_by(likelier);
    if top_p < 1.0 {
        let total: f32 = candidates.iter().map(|(_, weight)| weight).sum();
        keep_mass(candidates, top_p * total);
    }
}

/// Keeps the first candidates until they hold this much, and one at least.
fn keep_mass(candidates: &mut Vec<Candidate>, mass: f32) {
    let mut held = 0.0;
    let enough = candidates.iter().position(|(_, weight)| {
        held += weight;
        held >= mass
    });
    candidates.truncate(enough.map_or(candidates.len(), |last| last + 1));
}

/// Of sorted candidates, drops all that pass the threshold but the least likely of them,
/// as often as asked. Draws once, whatever comes of it.
pub(super) fn xtc(candidates: &mut Vec<Candidate>, xtc: Xtc, random: &mut Random) {
    let drawn = random.next_unit();
    let total: f32 = candidates.iter().map(|(_, weight)| weight).sum();
    let pass = candidates.iter().take_while(|(_, weight)| *weight >= xtc.threshold * total).count();
    if drawn < xtc.probability && pass >= 2 {
        candidates.drain(..pass - 1);
    }
}

/// How surprised mirostat (version 2) lets an answer be.
#[derive(Debug, Clone)]
pub(super) struct Surprise {
    aim: Mirostat,
    /// Most surprise allowed next, in bits.
    most: f32,
}

impl Surprise {
    pub(super) fn new(aim: Mirostat) -> Self {
        Self { aim, most: 2.0 * aim.tau }
    }

    /// Of sorted candidates, keeps those that surprise no more than allowed.
    pub(super) fn cut(&self, candidates: &mut Vec<Candidate>) {
        let total: f32 = candidates.iter().map(|(_, weight)| weight).sum();
        let kept = candidates.iter().take_while(|(_, weight)| -(weight / total).log2() <= self.most).count();
        candidates.truncate(kept.max(1));
    }

    /// Learns from the one drawn, given the mass it was drawn from.
    pub(super) fn learn(&mut self, weight: f32, total: f32) {
        let observed = -(weight / total).log2();
        if observed.is_finite() {
            self.most -= self.aim.eta * (observed - self.aim.tau);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(weights: &[f32]) -> Vec<Candidate> {
        (0..).zip(weights.iter().copied()).collect()
    }

    fn tokens(candidates: &[Candidate]) -> Vec<u32> {
        candidates.iter().map(|(token, _)| *token).collect()
    }

    #[test]
    fn typical_leaves_the_obvious_out() {
        let mut candidates = weights(&[0.5, 0.2, 0.2, 0.1]);
        typical(&mut candidates, 0.3);
        assert_eq!(tokens(&candidates), [1, 2], "nearest to the expected 1.2 nats");
        let mut all = weights(&[0.5, 0.5]);
        typical(&mut all, 1.0);
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn sigmas_are_counted_from_the_highest() {
        // Standard deviation 2 around 2.
        let logits = [4.0, 0.0, 4.0, 0.0, f32::NEG_INFINITY];
        assert!((sigma_floor(&logits, 4.0, 1.0) - 2.0).abs() < 1e-5);
        assert!((sigma_floor(&[1.0], 1.0, 3.0) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn xtc_keeps_the_last_of_the_likely() {
        let cut = |probability, threshold| {
            let mut candidates = weights(&[0.4, 0.3, 0.2, 0.1]);
            xtc(&mut candidates, Xtc { probability, threshold }, &mut Random::new(1));
            tokens(&candidates)
        };
        assert_eq!(cut(1.0, 0.2), [2, 3]);
        assert_eq!(cut(1.0, 0.35), [0, 1, 2, 3], "one alone is not cut");
        assert_eq!(cut(0.0, 0.1), [0, 1, 2, 3]);
    }

    #[test]
    fn mirostat_is_led_to_the_surprise_it_aims_at() {
        let mut surprise = Surprise::new(Mirostat { tau: 2.0, eta: 0.1 });
        let all = weights(&[0.5, 0.25, 0.125, 0.0625, 0.0625]);
        let mut candidates = all.clone();
        surprise.cut(&mut candidates);
        assert_eq!(candidates.len(), 5, "up to 4 bits at first");
        // Nothing but the dullest: it may surprise ever more. Then ever less.
        surprise.learn(1.0, 1.0);
        assert!((surprise.most - 4.2).abs() < 1e-5);
        (0..30).for_each(|_| surprise.learn(1.0, 16.0));
        let mut candidates = all;
        surprise.cut(&mut candidates);
        assert_eq!(candidates.len(), 1);
    }
}
