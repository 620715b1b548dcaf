//! How one call's tokens are chosen, read from the request and checked.

use message::{Failure, Sampling};
use serde_json::Number;

use crate::SamplingDefaults;

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
    /// Seed of the draws.
    pub(crate) seed: u64,
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
            seed: 0,
        }
    }
}

impl SamplingParams {
    /// What a request asks for, over the model's defaults.
    pub(crate) fn read(asked: &Sampling, defaults: &SamplingDefaults) -> Result<Self, Failure> {
        let seed = match asked.seed {
            Some(seed) => seed.cast_unsigned(),
            None => getrandom::u64().map_err(|error| Failure::internal(error.to_string()))?,
        };
        Ok(Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn number(float: f64) -> Option<Number> {
        Number::from_f64(float)
    }

    #[test]
    fn unsaid_is_the_default() {
        let defaults = SamplingDefaults::default();
        let params = SamplingParams::read(&Sampling::default(), &defaults).unwrap();
        assert_eq!(params.temperature, defaults.temperature);
        assert_eq!(params.top_k, defaults.top_k);
        assert_eq!(params.repetition_penalty, 1.0);
    }

    #[test]
    fn out_of_range_names_the_field() {
        let asked = Sampling { top_p: number(1.5), ..Sampling::default() };
        let failure = SamplingParams::read(&asked, &SamplingDefaults::default()).unwrap_err();
        assert_eq!(failure.param.as_deref(), Some("top_p"));
        assert_eq!(failure.message, "top_p: must be between 0 and 1, not 1.5");
    }

    #[test]
    fn without_a_seed_every_call_differs() {
        let read = || SamplingParams::read(&Sampling::default(), &SamplingDefaults::default()).unwrap().seed;
        assert_ne!(read(), read());
    }
}
