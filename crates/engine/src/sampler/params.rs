//! How one call's tokens are chosen, read from the request and checked.

use std::collections::HashSet;

use message::{Extensions, Failure, Sampling};
use serde_json::Number;

use crate::SamplingDefaults;
use crate::vocabulary::{Token, Vocabulary};

/// How one call's tokens are chosen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SamplingParams {
    /// Softmax temperature; 0 is greedy.
    pub(crate) temperature: f32,
    /// Nucleus mass, above 0 to 1; 1 is off.
    pub(crate) top_p: f32,
    /// Keep the k likeliest; 0 is off.
    pub(crate) top_k: u32,
    /// Keep tokens at least this fraction as likely as the likeliest; 0 is off.
    pub(crate) min_p: f32,
    /// Taken off the logit of every token already in the answer.
    pub(crate) presence_penalty: f32,
    /// Taken off, for each time it is in the answer.
    pub(crate) frequency_penalty: f32,
    /// Divides the logit of every token in prompt or answer; 1 is off.
    pub(crate) repetition_penalty: f32,
    /// Keep the locally typical tokens of this mass, above 0 to 1; 1 is off.
    pub(crate) typical_p: f32,
    /// Keep tokens so many standard deviations below the likeliest; 0 is off.
    pub(crate) top_n_sigma: f32,
    /// How far the temperature may be from its middle, by how sure the model is; 0 is off.
    pub(crate) dynatemp_range: f32,
    /// How its unsureness counts.
    pub(crate) dynatemp_exponent: f32,
    /// Now and then, leave the likeliest out.
    pub(crate) xtc: Option<Xtc>,
    /// Penalise what goes on with a repetition.
    pub(crate) dry: Option<Dry>,
    /// Aim at a surprise instead of cutting at a rank or mass.
    pub(crate) mirostat: Option<Mirostat>,
    /// Added to logits.
    pub(crate) bias: Vec<(Token, f32)>,
    /// All that may be said; empty: everything.
    pub(crate) only: Vec<Token>,
    /// Tokens said before the turn may end.
    pub(crate) min_tokens: u64,
    /// The tokens that end the turn, if that is delayed.
    pub(crate) ends: Vec<Token>,
    /// Seed of the draws.
    pub(crate) seed: u64,
}

/// See <https://github.com/oobabooga/text-generation-webui/pull/6335>.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Xtc {
    /// How often, 0 to 1.
    pub(crate) probability: f32,
    /// What counts as likely, above 0 to 0.5.
    pub(crate) threshold: f32,
}

/// Version 2 of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mirostat {
    /// The surprise aimed at, in bits.
    pub(crate) tau: f32,
    /// How fast it is learnt.
    pub(crate) eta: f32,
}

/// See `dry`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dry {
    pub(crate) multiplier: f32,
    pub(crate) base: f32,
    /// Longest repetition that costs nothing.
    pub(crate) allowed_length: usize,
    /// How far back is looked; `None`: to the beginning.
    pub(crate) last_tokens: Option<usize>,
    /// Tokens that no repetition reaches across.
    pub(crate) breakers: HashSet<Token>,
}

impl Default for SamplingParams {
    /// No cuts, no penalties, greedy.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            repetition_penalty: 1.0,
            typical_p: 1.0,
            top_n_sigma: 0.0,
            dynatemp_range: 0.0,
            dynatemp_exponent: 1.0,
            xtc: None,
            dry: None,
            mirostat: None,
            bias: Vec::new(),
            only: Vec::new(),
            min_tokens: 0,
            ends: Vec::new(),
            seed: 0,
        }
    }
}

impl SamplingParams {
    /// What a request asks for, over the model's defaults.
    pub(crate) fn read(
        asked: &Sampling,
        defaults: &SamplingDefaults,
        vocabulary: &Vocabulary,
    ) -> Result<Self, Failure> {
        let seed = match asked.seed {
            Some(seed) => seed.cast_unsigned(),
            None => getrandom::u64().map_err(|error| Failure::internal(error.to_string()))?,
        };
        let more = &asked.extensions;
        let delayed = more.ignore_eos || more.min_tokens > 0;
        Ok(Self {
            typical_p: ratio("typical_p", more.typical_p, 0.0..=1.0)?.unwrap_or(1.0),
            // Below 0 is llama.cpp's word for off.
            top_n_sigma: ratio("top_n_sigma", more.top_n_sigma, -1.0..=100.0)?.unwrap_or(0.0).max(0.0),
            dynatemp_range: ratio("dynatemp_range", more.dynatemp_range, 0.0..=100.0)?.unwrap_or(0.0),
            dynatemp_exponent: ratio("dynatemp_exponent", more.dynatemp_exponent, 0.0..=100.0)?
                .unwrap_or(1.0),
            xtc: xtc(more)?,
            dry: dry(more, vocabulary)?,
            mirostat: mirostat(more)?,
            bias: bias(more, vocabulary)?,
            only: only(more, vocabulary)?,
            min_tokens: if more.ignore_eos { u64::MAX } else { more.min_tokens },
            ends: if delayed { vocabulary.turn_ends().collect() } else { Vec::new() },
            temperature: within("temperature", asked.temperature.as_ref(), 0.0..=100.0)?
                .unwrap_or(defaults.temperature),
            // 0 would keep nothing; the vendors take it to mean the likeliest token alone.
            top_p: within("top_p", asked.top_p.as_ref(), 0.0..=1.0)?.unwrap_or(defaults.top_p).max(1e-6),
            top_k: asked.top_k.map_or(defaults.top_k, |k| u32::try_from(k).unwrap_or(u32::MAX)),
            min_p: within("min_p", asked.min_p.as_ref(), 0.0..=1.0)?.unwrap_or(defaults.min_p),
            presence_penalty: within("presence_penalty", asked.presence_penalty.as_ref(), -2.0..=2.0)?
                .unwrap_or(0.0),
            frequency_penalty: within("frequency_penalty", asked.frequency_penalty.as_ref(), -2.0..=2.0)?
                .unwrap_or(0.0),
            repetition_penalty: within("repetition_penalty", asked.repetition_penalty.as_ref(), 0.01..=10.0)?
                .unwrap_or(1.0),
            seed,
        })
    }
}

fn within(
    name: &str,
    value: Option<&Number>,
    range: std::ops::RangeInclusive<f64>,
) -> Result<Option<f32>, Failure> {
    let Some(value) = value else { return Ok(None) };
    match value.as_f64() {
        Some(float) if range.contains(&float) => Ok(Some(float as f32)),
        _ => Err(Failure::invalid_field(
            name,
            format_args!("must be between {} and {}, not {value}", range.start(), range.end()),
        )),
    }
}

fn ratio(
    name: &str,
    value: Option<f64>,
    range: std::ops::RangeInclusive<f64>,
) -> Result<Option<f32>, Failure> {
    match value {
        Some(float) if !range.contains(&float) => Err(Failure::invalid_field(
            name,
            format_args!("must be between {} and {}, not {float}", range.start(), range.end()),
        )),
        value => Ok(value.map(|float| float as f32)),
    }
}

fn xtc(more: &Extensions) -> Result<Option<Xtc>, Failure> {
    let probability = ratio("xtc_probability", more.xtc_probability, 0.0..=1.0)?.unwrap_or(0.0);
    let threshold = ratio("xtc_threshold", more.xtc_threshold, 0.0..=1.0)?.unwrap_or(0.1);
    // No two tokens are both likelier than a half, and nothing is likelier than nothing.
    let works = probability > 0.0 && threshold > 0.0 && threshold <= 0.5;
    Ok(works.then_some(Xtc { probability, threshold }))
}

fn mirostat(more: &Extensions) -> Result<Option<Mirostat>, Failure> {
    let tau = ratio("mirostat_tau", more.mirostat_tau, 0.0..=100.0)?.unwrap_or(5.0);
    let eta = ratio("mirostat_eta", more.mirostat_eta, 0.0..=1.0)?.unwrap_or(0.1);
    match more.mirostat {
        None | Some(0) => Ok(None),
        Some(2) => Ok(Some(Mirostat { tau, eta })),
        Some(_) => Err(Failure::invalid_field("mirostat", "must be 0 (off) or 2 (version 2)")),
    }
}

fn dry(more: &Extensions, vocabulary: &Vocabulary) -> Result<Option<Dry>, Failure> {
    let multiplier = ratio("dry_multiplier", more.dry_multiplier, 0.0..=100.0)?.unwrap_or(0.0);
    let base = ratio("dry_base", more.dry_base, 1.0..=100.0)?.unwrap_or(1.75);
    if multiplier == 0.0 {
        return Ok(None);
    }
    let usual = || ["\n", ":", "\"", "*"].map(str::to_owned).to_vec();
    let breakers = more.dry_sequence_breakers.clone().unwrap_or_else(usual);
    let breaks = |token: &Token| {
        let text = String::from_utf8_lossy(vocabulary.written(*token)).into_owned();
        breakers.iter().any(|breaker| !breaker.is_empty() && text.contains(breaker.as_str()))
    };
    Ok(Some(Dry {
        multiplier,
        base,
        allowed_length: more
            .dry_allowed_length
            .map_or(2, |length| usize::try_from(length).unwrap_or(usize::MAX)),
        last_tokens: more.dry_penalty_last_n.and_then(|last| usize::try_from(last).ok()),
        breakers: (0..vocabulary.len() as Token).filter(breaks).collect(),
    }))
}

fn bias(more: &Extensions, vocabulary: &Vocabulary) -> Result<Vec<(Token, f32)>, Failure> {
    let bias = more.logit_bias.iter().map(|&(token, bias)| {
        known("logit_bias", token, vocabulary)?;
        Ok((token, ratio("logit_bias", Some(bias), -100.0..=100.0)?.unwrap_or(0.0)))
    });
    bias.collect()
}

fn only(more: &Extensions, vocabulary: &Vocabulary) -> Result<Vec<Token>, Failure> {
    more.allowed_token_ids
        .iter()
        .map(|&token| known("allowed_token_ids", token, vocabulary).map(|()| token))
        .collect()
}

fn known(field: &str, token: Token, vocabulary: &Vocabulary) -> Result<(), Failure> {
    if (token as usize) < vocabulary.len() {
        return Ok(());
    }
    let count = vocabulary.len();
    Err(Failure::invalid_field(field, format_args!("token {token} is none of this model's {count}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(float: f64) -> Option<Number> {
        Number::from_f64(float)
    }

    fn read(asked: &Sampling) -> Result<SamplingParams, Failure> {
        SamplingParams::read(asked, &SamplingDefaults::default(), &vocabulary())
    }

    fn vocabulary() -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        for (piece, ends) in [("a", false), (".\n", false), ("", true)] {
            vocabulary.push(piece.as_bytes(), ends);
        }
        vocabulary
    }

    fn extended(extensions: Extensions) -> Result<SamplingParams, Failure> {
        read(&Sampling { extensions, ..Sampling::default() })
    }

    #[test]
    fn tokens_are_looked_up_in_the_vocabulary() {
        let dry = extended(Extensions { dry_multiplier: Some(0.8), ..Extensions::default() }).unwrap().dry;
        assert_eq!(dry.unwrap().breakers, HashSet::from([1]));
        let params = extended(Extensions { min_tokens: 3, ..Extensions::default() }).unwrap();
        assert_eq!((params.min_tokens, params.ends), (3, vec![2]));
        let failure =
            extended(Extensions { logit_bias: vec![(3, 1.0)], ..Extensions::default() }).unwrap_err();
        assert_eq!(failure.message, "logit_bias: token 3 is none of this model's 3");
    }

    #[test]
    fn what_cannot_work_is_off_or_refused_by_name() {
        let lone =
            Extensions { xtc_probability: Some(0.5), xtc_threshold: Some(0.6), ..Extensions::default() };
        assert_eq!(extended(lone).unwrap().xtc, None);
        for (extensions, field) in [
            (Extensions { typical_p: Some(1.1), ..Extensions::default() }, "typical_p"),
            (Extensions { mirostat: Some(1), ..Extensions::default() }, "mirostat"),
            (Extensions { dry_base: Some(0.5), ..Extensions::default() }, "dry_base"),
            (Extensions { logit_bias: vec![(0, 101.0)], ..Extensions::default() }, "logit_bias"),
        ] {
            assert_eq!(extended(extensions).unwrap_err().param.as_deref(), Some(field));
        }
    }

    #[test]
    fn unsaid_is_the_default() {
        let defaults = SamplingDefaults::default();
        let params = SamplingParams::read(&Sampling::default(), &defaults, &Vocabulary::default()).unwrap();
        assert_eq!(params.temperature, defaults.temperature);
        assert_eq!(params.top_k, defaults.top_k);
        assert_eq!(params.repetition_penalty, 1.0);
    }

    #[test]
    fn out_of_range_names_the_field() {
        let asked = Sampling { top_p: number(1.5), ..Sampling::default() };
        let failure = read(&asked).unwrap_err();
        assert_eq!(failure.param.as_deref(), Some("top_p"));
        assert_eq!(failure.message, "top_p: must be between 0 and 1, not 1.5");
    }

    #[test]
    fn without_a_seed_every_call_differs() {
        let seed = || read(&Sampling::default()).unwrap().seed;
        assert_ne!(seed(), seed());
    }
}
