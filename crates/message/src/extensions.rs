//! Settings that servers of open models take beyond the vendors' own.

use serde::{Deserialize, Serialize};

/// How tokens are chosen, in words that llama.cpp's and vLLM's servers share. What the
/// client said stays in `extra`, too: servers of its dialect get it as it was, and
/// targets that cannot do it tell of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Extensions {
    /// The fields of `extra` that were read into this, for a target that obeys them.
    pub read: Vec<String>,
    /// Keep the locally typical tokens of this mass, 0 to 1.
    pub typical_p: Option<f64>,
    /// Keep tokens so many standard deviations below the likeliest.
    pub top_n_sigma: Option<f64>,
    /// How often the likeliest tokens are left out, 0 to 1.
    pub xtc_probability: Option<f64>,
    /// What counts as likely there, 0 to 1.
    pub xtc_threshold: Option<f64>,
    /// How much a repetition costs at its allowed length; 0 is off.
    pub dry_multiplier: Option<f64>,
    /// How much more each further token costs, as a factor.
    pub dry_base: Option<f64>,
    /// Longest repetition that costs nothing, in tokens.
    pub dry_allowed_length: Option<u64>,
    /// How many tokens are looked back for it; −1: all.
    pub dry_penalty_last_n: Option<i64>,
    /// Texts that no repetition reaches across.
    pub dry_sequence_breakers: Option<Vec<String>>,
    /// 0 is off, 2 the second version.
    pub mirostat: Option<u64>,
    /// The surprise that it aims at, in bits.
    pub mirostat_tau: Option<f64>,
    /// How fast it learns.
    pub mirostat_eta: Option<f64>,
    /// How far the temperature may leave its middle.
    pub dynatemp_range: Option<f64>,
    /// How the model's unsureness moves it.
    pub dynatemp_exponent: Option<f64>,
    /// Tokens before the turn may end.
    pub min_tokens: u64,
    /// The turn ends by its limit only.
    pub ignore_eos: bool,
    /// Added to the logits of tokens, −100 to 100.
    pub logit_bias: Vec<(u32, f64)>,
    /// The only tokens that may be said; empty: all.
    pub allowed_token_ids: Vec<u32>,
}
