//! How much of a prompt a step may take: as much as leaves those who decode their pace.
//!
//! A step's cost is measured and taken to be a fixed part and a part per token; both are
//! learned by a regression that forgets. On one core of a CPU nearly all is per token, and
//! a long prompt goes in small bites; on a GPU nearly all is fixed, and it goes in large ones.

use std::time::Duration;

/// What is kept of the past at each step: half of it is forgotten in about 35 steps.
const MEMORY: f64 = 0.98;
/// How little the tokens per step may vary before their cost is not learned from them, in
/// tokens squared.
const STIFFNESS: f64 = 1.0;
/// A step that took so many times what was expected was held up by something else.
const OUTLIER: f64 = 4.0;
/// Without a target, a step may take this many times what it takes without a prompt.
const WITHOUT_TARGET: f64 = 1.9;

/// What a step costs here, in seconds.
#[derive(Debug)]
pub(super) struct Pace {
    target: Option<Duration>,
    longest: Duration,
    per_token: f64,
    weight: f64,
    mean_tokens: f64,
    mean_cost: f64,
    variance: f64,
    covariance: f64,
}

impl Pace {
    /// `target`: the time between two tokens of a call, if it was set; `longest`: the most
    /// time a step may take when nobody decodes.
    pub(super) fn new(target: Option<Duration>, longest: Duration) -> Self {
        Self {
            target,
            longest,
            per_token: 0.0,
            weight: 0.0,
            mean_tokens: 0.0,
            mean_cost: 0.0,
            variance: 0.0,
            covariance: 0.0,
        }
    }

    /// A step of so many tokens took so long.
    pub(super) fn observe(&mut self, tokens: usize, took: Duration) {
        let (tokens, mut cost) = (tokens as f64, took.as_secs_f64());
        if self.weight > 8.0 {
            cost = cost.min(self.cost(tokens) * OUTLIER);
        }
        self.weight = self.weight * MEMORY + 1.0;
        let share = 1.0 / self.weight;
        let off = tokens - self.mean_tokens;
        self.mean_tokens += off * share;
        self.mean_cost += (cost - self.mean_cost) * share;
        let spread = off * (tokens - self.mean_tokens);
        self.variance += (spread - self.variance) * share;
        let together = off * (cost - self.mean_cost);
        self.covariance += (together - self.covariance) * share;
        // As long as all steps are alike, nothing new is learned of the cost per token.
        let known = if self.per_token > 0.0 { self.per_token } else { cost / tokens };
        self.per_token = (self.covariance + STIFFNESS * known) / (self.variance + STIFFNESS);
        self.per_token = self.per_token.clamp(1e-9, self.mean_cost / self.mean_tokens);
    }

    /// Tokens of prompts that fit into a step beside so many calls that decode.
    pub(super) fn beside(&self, decoding: usize) -> usize {
        if self.weight == 0.0 {
            return 1;
        }
        let without = self.cost(decoding as f64);
        let target = self.target.map_or(without * WITHOUT_TARGET, |target| target.as_secs_f64());
        (((target - without) / self.per_token) as usize).max(1)
    }

    /// Tokens of prompts that fit into a step of their own.
    pub(super) fn alone(&self) -> usize {
        if self.weight == 0.0 {
            return usize::MAX;
        }
        (((self.longest.as_secs_f64() - self.fixed()) / self.per_token) as usize).max(1)
    }

    fn cost(&self, tokens: f64) -> f64 {
        self.fixed() + self.per_token * tokens
    }

    fn fixed(&self) -> f64 {
        (self.mean_cost - self.per_token * self.mean_tokens).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// A machine on which a step costs `fixed` and `per_token`, seen at various steps.
    fn learned(fixed: f64, per_token: f64, target: Option<Duration>) -> Pace {
        let mut pace = Pace::new(target, seconds(0.5));
        for step in 0..200 {
            let tokens = [1, 8, 9, 40, 64, 3][step % 6];
            pace.observe(tokens, seconds(fixed + per_token * tokens as f64));
        }
        pace
    }

    #[test]
    fn on_a_cpu_prompts_go_in_small_bites() {
        let pace = learned(0.004, 0.0105, None);
        assert!((6..=9).contains(&pace.beside(8)), "{}", pace.beside(8));
        assert!((45..=48).contains(&pace.alone()), "{}", pace.alone());
    }

    #[test]
    fn where_tokens_cost_next_to_nothing_they_go_in_large_ones() {
        let pace = learned(0.010, 0.000_01, None);
        assert!(pace.beside(8) > 800, "{}", pace.beside(8));
    }

    #[test]
    fn a_target_is_kept() {
        let pace = learned(0.004, 0.010, Some(seconds(0.3)));
        let step = 0.004 + 0.010 * (8 + pace.beside(8)) as f64;
        assert!((0.25..=0.3).contains(&step), "{step}");
        let late = learned(0.004, 0.010, Some(seconds(0.001)));
        assert_eq!(late.beside(8), 1, "a prompt always gets on");
    }

    #[test]
    fn steps_that_are_all_alike_teach_no_nonsense() {
        let mut pace = learned(0.004, 0.010, None);
        let before = pace.beside(8);
        for _ in 0..1000 {
            pace.observe(8, seconds(0.084));
        }
        assert!(pace.beside(8).abs_diff(before) <= 2, "{} was {before}", pace.beside(8));
    }

    #[test]
    fn one_hiccup_changes_little() {
        let mut pace = learned(0.004, 0.010, None);
        let before = pace.beside(8);
        pace.observe(40, seconds(60.0));
        assert!(pace.beside(8).abs_diff(before) <= 8, "{} was {before}", pace.beside(8));
    }

    #[test]
    fn the_first_step_tries_something() {
        let pace = Pace::new(None, seconds(0.5));
        assert_eq!((pace.beside(4), pace.alone()), (1, usize::MAX));
    }
}
