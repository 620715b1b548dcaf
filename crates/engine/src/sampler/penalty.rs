//! Penalties on tokens already said: presence and frequency on the answer alone (as
//! OpenAI defines them), repetition on prompt and answer (as its paper does,
//! arXiv:1909.05858).

use std::collections::{HashMap, HashSet};

use super::SamplingParams;
use crate::vocabulary::Token;

/// What has been said, and what saying it again costs.
#[derive(Debug)]
pub(super) struct Penalties {
    presence: f32,
    frequency: f32,
    repetition: f32,
    said: HashMap<Token, u32>,
    prompt: HashSet<Token>,
}

impl Penalties {
    /// For a call with this prompt.
    pub(super) fn new(params: &SamplingParams, prompt: &[Token]) -> Self {
        let repetition = params.repetition_penalty;
        let prompt = if repetition == 1.0 { HashSet::new() } else { prompt.iter().copied().collect() };
        Self {
            presence: params.presence_penalty,
            frequency: params.frequency_penalty,
            repetition,
            said: HashMap::new(),
            prompt,
        }
    }

    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        self.presence != 0.0 || self.frequency != 0.0 || self.repetition != 1.0
    }

    /// Takes note of a token said.
    pub(super) fn count(&mut self, token: Token) {
        if self.any() {
            *self.said.entry(token).or_default() += 1;
        }
    }

    /// Lowers (or, if negative, raises) the logits of what was said.
    pub(super) fn apply(&self, logits: &mut [f32]) {
        if self.repetition != 1.0 {
            let only_in_prompt = self.prompt.iter().filter(|token| !self.said.contains_key(token));
            for &token in self.said.keys().chain(only_in_prompt) {
                if let Some(logit) = logits.get_mut(token as usize) {
                    // Towards less likely on either side of zero.
                    *logit = if *logit > 0.0 { *logit / self.repetition } else { *logit * self.repetition };
                }
            }
        }
        for (&token, &times) in &self.said {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit -= self.presence + self.frequency * times as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetition_counts_the_prompt_the_others_do_not() {
        let params = SamplingParams { repetition_penalty: 2.0, presence_penalty: 1.0, ..Default::default() };
        let mut penalties = Penalties::new(&params, &[0, 1]);
        penalties.count(1);
        let mut logits = [4.0, -4.0, 4.0];
        penalties.apply(&mut logits);
        assert_eq!(logits, [2.0, -9.0, 4.0]);
    }
}
