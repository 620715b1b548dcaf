//! DRY, "don't repeat yourself": a token that would go on with a repetition is made less
//! likely, the more the longer the repetition is already.
//!
//! Source: oobabooga/text-generation-webui #5677 and llama.cpp's version of it.

use super::params::Dry;
use crate::vocabulary::Token;

/// Most taken off a logit: no token comes back from it.
const MAX_PENALTY: f32 = 1e6;

/// What was written, and what repeating it costs.
#[derive(Debug)]
pub(super) struct Repetition {
    dry: Dry,
    tokens: Vec<Token>,
}

impl Repetition {
    /// After this prompt.
    pub(super) fn new(dry: Dry, prompt: &[Token]) -> Self {
        Self { dry, tokens: prompt.to_vec() }
    }

    /// Takes note of a token said.
    pub(super) fn count(&mut self, token: Token) {
        self.tokens.push(token);
    }

    /// Lowers the logits of what would repeat.
    pub(super) fn apply(&self, logits: &mut [f32]) {
        let window = self.dry.last_tokens.map_or(self.tokens.len(), |last| last.min(self.tokens.len()));
        let recent = &self.tokens[self.tokens.len() - window..];
        // What ends here may have begun behind the last breaker.
        let longest = recent.iter().rev().take_while(|token| !self.dry.breakers.contains(token)).count();
        if longest < self.dry.allowed_length.max(1) {
            return;
        }
        let mut penalties = std::collections::BTreeMap::<Token, usize>::new();
        for (end, length) in common_ends(recent) {
            let length = length.min(longest);
            if length >= self.dry.allowed_length {
                let known = penalties.entry(recent[end + 1]).or_default();
                *known = length.max(*known);
            }
        }
        for (token, length) in penalties {
            if let Some(logit) = logits.get_mut(token as usize) {
                let penalty =
                    self.dry.multiplier * self.dry.base.powf((length - self.dry.allowed_length) as f32);
                *logit -= penalty.min(MAX_PENALTY);
            }
        }
    }
}

/// For each earlier place: how many tokens before it (it included) equal the last ones.
/// Linear in time: the Z-function of the tokens read backwards.
fn common_ends(tokens: &[Token]) -> impl Iterator<Item = (usize, usize)> {
    let count = tokens.len();
    let at = |index: usize| tokens[count - 1 - index];
    let mut lengths = vec![0; count];
    let (mut left, mut right) = (0, 0);
    for index in 1..count {
        let mut length = if index < right { lengths[index - left].min(right - index) } else { 0 };
        while index + length < count && at(length) == at(index + length) {
            length += 1;
        }
        lengths[index] = length;
        if index + length > right {
            (left, right) = (index, index + length);
        }
    }
    (1..count).map(move |index| (count - 1 - index, lengths[index])).filter(|(_, length)| *length > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dry(breakers: &[Token], last_tokens: Option<usize>) -> Dry {
        Dry {
            multiplier: 1.0,
            base: 2.0,
            allowed_length: 2,
            last_tokens,
            breakers: breakers.iter().copied().collect(),
        }
    }

    fn lowered(dry: Dry, tokens: &[Token]) -> Vec<f32> {
        let mut logits = vec![0.0; 6];
        Repetition::new(dry, tokens).apply(&mut logits);
        logits
    }

    #[test]
    fn what_would_repeat_costs_more_the_longer_it_is() {
        assert_eq!(lowered(dry(&[], None), &[1, 2, 3, 1, 2]), [0.0, 0.0, 0.0, -1.0, 0.0, 0.0]);
        assert_eq!(lowered(dry(&[], None), &[4, 1, 2, 3, 4, 1, 2]), [0.0, 0.0, 0.0, -2.0, 0.0, 0.0]);
        assert_eq!(lowered(dry(&[], None), &[1, 2, 3, 2]), [0.0; 6], "one token is no repetition");
    }

    #[test]
    fn breakers_and_the_window_bound_it() {
        assert_eq!(
            lowered(dry(&[4], None), &[4, 1, 2, 3, 4, 1, 2])[3],
            -1.0,
            "as if it began behind the breaker"
        );
        assert_eq!(lowered(dry(&[2], None), &[1, 2, 3, 1, 2]), [0.0; 6]);
        assert_eq!(lowered(dry(&[], Some(3)), &[1, 2, 3, 1, 2]), [0.0; 6], "out of sight");
    }

    proptest! {
        #[test]
        fn ends_are_those_of_the_plain_definition(tokens in prop::collection::vec(0u32..3, 0..40)) {
            let mut found: Vec<(usize, usize)> = common_ends(&tokens).collect();
            found.sort_unstable();
            let plain = (0..tokens.len().saturating_sub(1)).filter_map(|end| {
                let pairs = tokens[..=end].iter().rev().zip(tokens.iter().rev());
                let length = pairs.take_while(|(a, b)| a == b).count();
                (length > 0).then_some((end, length))
            });
            prop_assert_eq!(found, plain.collect::<Vec<_>>());
        }
    }
}
