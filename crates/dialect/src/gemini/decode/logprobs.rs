//! `logprobsResult` → the hub's log-probabilities.

use message::{TokenLogprob, TopLogprob};

use crate::gemini::wire;

/// Of the chosen tokens, each with its alternatives.
pub(super) fn read(result: wire::Logprobs) -> Vec<TokenLogprob> {
    let mut tops = result.top_candidates.into_iter().flatten();
    let chosen = result.chosen_candidates.into_iter().flatten();
    chosen
        .map(|token| {
            let top = tops.next().and_then(|top| top.candidates).into_iter().flatten();
            let top = top.map(|one| {
                let (token, logprob) = pair(one);
                TopLogprob { token, logprob }
            });
            let top = top.collect();
            let (token, logprob) = pair(token);
            TokenLogprob { token, logprob, top }
        })
        .collect()
}

fn pair(token: wire::TokenLogprob) -> (Vec<u8>, f32) {
    (token.token.unwrap_or_default().into_bytes(), token.log_probability.unwrap_or(f32::NEG_INFINITY))
}
