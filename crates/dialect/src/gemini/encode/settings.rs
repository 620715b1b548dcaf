//! Sampling, output format and reasoning → `generationConfig`.

use ::message::{Chat, Dialect, Effort, Extra, OutputFormat, Reasoning, Sampling};
use serde_json::{Map, Number, Value, json};

use super::{Encoder, inner};
use crate::gemini::inbound::{read_format, read_thinking};
use crate::gemini::schema;
use crate::json::fields::{At, note};

/// Most stop sequences the service takes.
const STOPS_MAX: usize = 5;

/// The highest temperature.
const TEMPERATURE_MAX: f64 = 2.0;

/// The generation that counts thinking in levels, and cannot be kept from it.
const LEVELS_SINCE: u32 = 3;

impl Encoder {
    /// Writes every setting.
    pub(super) fn settings(&mut self, chat: &Chat, body: &mut Map<String, Value>) {
        let nothing = Extra::new();
        let notes = inner(&chat.extra, "generationConfig").unwrap_or(&nothing);
        let mut config = Map::new();
        self.sampling(&chat.sampling, notes, &mut config);
        for name in ["candidateCount", "responseModalities"] {
            config.extend(note(notes, name).map(|value| (name.to_owned(), value.clone())));
        }
        self.format(&chat.output, notes, &mut config);
        if let Some(reasoning) = &chat.reasoning {
            let notes = inner(notes, "thinkingConfig").unwrap_or(&nothing);
            let thinking = self.thinking(reasoning, notes);
            if !thinking.is_empty() || self.home {
                config.insert("thinkingConfig".to_owned(), thinking.into());
            }
        }
        if !config.is_empty() {
            body.insert("generationConfig".to_owned(), config.into());
        }
        if chat.user.as_ref().is_some_and(|user| !self.home && !user.is_empty()) {
            let name = if chat.home == Dialect::Anthropic { "metadata.user_id" } else { "user" };
            self.drop(name, "Gemini is not told who asks");
        }
    }

    fn sampling(&mut self, sampling: &Sampling, notes: &Extra, config: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Option<Value>| {
            config.extend(value.map(|value| (name.to_owned(), value)));
        };
        put(
            "maxOutputTokens",
            sampling.max_tokens.map(|count| counted(count, note(notes, "maxOutputTokens"))),
        );
        let temperature = sampling.temperature.clone().map(|temperature| self.temperature(temperature));
        put("temperature", temperature.map(Value::Number));
        put("topP", sampling.top_p.clone().map(Value::Number));
        put("topK", sampling.top_k.map(|count| counted(count, note(notes, "topK"))));
        put("presencePenalty", sampling.presence_penalty.clone().map(Value::Number));
        put("frequencyPenalty", sampling.frequency_penalty.clone().map(Value::Number));
        for (name, given) in [
            ("min_p", sampling.min_p.is_some()),
            ("repetition_penalty", penalises(sampling.repetition_penalty.as_ref())),
        ] {
            if given {
                self.drop(name, "not known to Gemini");
            }
        }
        match sampling.seed {
            Some(seed) if self.home || i32::try_from(seed).is_ok() => put("seed", Some(seed.into())),
            Some(_) => self.drop("seed", "Gemini takes 32 bits"),
            None => {}
        }
        let mut stop = sampling.stop.clone();
        if !self.home && stop.len() > STOPS_MAX {
            stop.truncate(STOPS_MAX);
            self.drop("stop", "Gemini takes five; the first five were sent");
        }
        put("stopSequences", (!stop.is_empty()).then(|| stop.into()));
        match sampling.logprobs {
            Some(top) => {
                put("responseLogprobs", Some(true.into()));
                let noted = note(notes, "logprobs").is_some();
                put("logprobs", (top > 0 || noted).then(|| top.into()));
            }
            None => put("responseLogprobs", note(notes, "responseLogprobs").cloned()),
        }
    }

    fn temperature(&mut self, temperature: Number) -> Number {
        if !self.home && temperature.as_f64().is_some_and(|value| value > TEMPERATURE_MAX) {
            self.drop("temperature", "2 was sent, Gemini's highest");
            return Number::from(2);
        }
        temperature
    }

    fn format(&mut self, output: &OutputFormat, notes: &Extra, config: &mut Map<String, Value>) {
        if let Some(Value::Object(said)) = note(notes, "format")
            && read_format(At::Root, said).is_ok_and(|read| read.as_ref() == Some(output))
        {
            config.extend(said.iter().map(|(name, value)| (name.clone(), value.clone())));
            return;
        }
        match output {
            OutputFormat::Text | OutputFormat::Grammar(_) => {}
            OutputFormat::JsonObject => {
                config.insert("responseMimeType".to_owned(), "application/json".into());
            }
            // Name and strictness are labels here: Gemini always holds to the schema.
            OutputFormat::JsonSchema { schema, description, .. } => {
                if description.is_some() {
                    self.drop("response_format.description", "not known to Gemini");
                }
                config.insert("responseMimeType".to_owned(), "application/json".into());
                config.insert("responseJsonSchema".to_owned(), schema::adapt(schema));
            }
        }
    }

    fn thinking(&mut self, reasoning: &Reasoning, notes: &Extra) -> Map<String, Value> {
        if let Some(Value::Object(said)) = note(notes, "said")
            && read_thinking(At::Root, said).is_ok_and(|read| read == *reasoning)
        {
            return said.clone();
        }
        let &Reasoning { enabled, effort, budget_tokens, shown } = reasoning;
        // Unasked, Gemini keeps its thoughts to itself.
        let (said, shown) = (shown.is_some(), shown.unwrap_or(true));
        let off = enabled == Some(false) || effort == Some(Effort::None);
        let wanted = match (off, effort, budget_tokens) {
            (true, ..) if self.generation >= LEVELS_SINCE => {
                self.drop("thinking", "this model cannot be kept from thinking; it is asked to think least");
                json!({"thinkingLevel": "MINIMAL"})
            }
            (true, ..) => json!({"thinkingBudget": 0}),
            (_, _, Some(budget)) => json!({"includeThoughts": shown, "thinkingBudget": budget}),
            (_, Some(effort), None) if self.generation >= LEVELS_SINCE => {
                if effort > Effort::High {
                    self.drop("reasoning.effort", "high was sent, the most every Gemini model takes");
                }
                json!({"includeThoughts": shown, "thinkingLevel": level(effort)})
            }
            (_, Some(effort), None) => json!({"includeThoughts": shown, "thinkingBudget": budget(effort)}),
            (_, None, None) if enabled == Some(true) || said => json!({"includeThoughts": shown}),
            (_, None, None) => Value::Null,
        };
        match wanted {
            Value::Object(wanted) => wanted,
            _ => Map::new(),
        }
    }
}

/// A whole number, with the fraction the client gave it.
fn counted(count: u64, noted: Option<&Value>) -> Value {
    match noted {
        Some(noted) if noted.as_f64() == Some(count as f64) => noted.clone(),
        _ => count.into(),
    }
}

/// Whether a multiplicative penalty is not its neutral value.
fn penalises(penalty: Option<&Number>) -> bool {
    penalty.is_some_and(|penalty| penalty.as_f64() != Some(1.0))
}

const fn level(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High | Effort::XHigh | Effort::Max => "HIGH",
    }
}

/// Tokens for an effort, as Google's own OpenAI-compatible door translates it.
const fn budget(effort: Effort) -> u64 {
    match effort {
        Effort::None => 0,
        Effort::Minimal | Effort::Low => 1_024,
        Effort::Medium => 8_192,
        Effort::High | Effort::XHigh | Effort::Max => 24_576,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_keeps_its_fraction() {
        assert_eq!(counted(40, Some(&json!(40.0))), json!(40.0));
        assert_eq!(counted(41, Some(&json!(40.0))), json!(41));
    }
}
