//! Log-probabilities of the chosen token and of the likeliest ones, from the model's own
//! logits: before penalties, constraints and temperature, as OpenAI's and vLLM's are.

use crate::vocabulary::Token;

/// How likely a chosen token was, and what else could have been.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Logprobs {
    /// Natural logarithm of the chosen token's probability.
    pub(crate) chosen: f32,
    /// The likeliest tokens, likeliest first.
    pub(crate) top: Vec<(Token, f32)>,
}

/// The log-probability of `chosen` and the `count` likeliest tokens.
pub(crate) fn logprobs(logits: &[f32], chosen: Token, count: usize) -> Logprobs {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // In f64: a hundred thousand small terms would not add up in f32.
    let sum: f64 = logits.iter().map(|&logit| f64::from((logit - max).exp())).sum();
    let log_total = max + sum.ln() as f32;
    let of = |token: Token| logits.get(token as usize).map_or(f32::NEG_INFINITY, |logit| logit - log_total);
    let top = likeliest(logits, count).into_iter().map(|token| (token, of(token))).collect();
    Logprobs { chosen: of(chosen), top }
}

/// The `count` tokens of the highest logits, highest first.
fn likeliest(logits: &[f32], count: usize) -> Vec<Token> {
    let mut best: Vec<Token> = Vec::with_capacity(count + 1);
    for (token, &logit) in (0..).zip(logits) {
        let beats = |&other: &Token| logits[other as usize] >= logit;
        if best.len() < count || !best.last().is_none_or(beats) {
            let place = best.partition_point(beats);
            best.insert(place, token);
            best.truncate(count);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one() {
        let logits: Vec<f32> = (0..1000).map(|i| ((i * 37) % 101) as f32 / 10.0).collect();
        let all = logprobs(&logits, 0, logits.len());
        let sum: f64 = all.top.iter().map(|(_, logprob)| f64::from(logprob.exp())).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    }

    #[test]
    fn top_is_sorted_and_of_equals_the_lower_token_first() {
        let found = logprobs(&[1.0, 5.0, 3.0, 5.0], 2, 3);
        assert_eq!(found.top.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [1, 3, 2]);
        assert_eq!(found.chosen, found.top[2].1);
    }

    #[test]
    fn none_asked_none_given() {
        assert!(logprobs(&[1.0, 2.0], 1, 0).top.is_empty());
    }
}
