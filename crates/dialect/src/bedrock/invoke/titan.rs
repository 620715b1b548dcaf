//! Amazon Titan Text: a bare prompt under `inputText`.
//!
//! Source: Amazon Bedrock user guide, "Amazon Titan Text models"; read 2026-11-22.

use message::{Chat, Failure, FinishReason};
use serde_json::{Value, json};

use super::text::{Ending, Prompt, Words};
use crate::bedrock::wire::{At, Object, leave, strings};

pub(super) fn read(body: &[u8]) -> Result<Chat, Failure> {
    let mut prompt = Prompt::read(body, "inputText")?;
    if let Some(config) = prompt.body.take("textGenerationConfig") {
        let at = At::Body.key("textGenerationConfig");
        let mut config = Object::new(config, at)?;
        let sampling = &mut prompt.chat.sampling;
        sampling.max_tokens = config.count("maxTokenCount", 0)?;
        sampling.temperature = config.number("temperature")?;
        sampling.top_p = config.number("topP")?;
        if let Some(stop) = config.take("stopSequences") {
            sampling.stop = strings(stop, at.key("stopSequences"))?;
        }
        let left = config.left();
        let mut chat = prompt.done();
        leave(&mut chat.extra, &["textGenerationConfig"], left);
        return Ok(chat);
    }
    Ok(prompt.done())
}

/// Titan's words.
pub(super) struct Titan;

impl Words for Titan {
    fn piece(&self, text: &str) -> Value {
        json!({
            "outputText": text,
            "index": 0,
            "totalOutputTextTokenCount": null,
            "completionReason": null,
            "inputTextTokenCount": null,
        })
    }

    fn last(&self, ending: &Ending<'_>) -> Value {
        json!({
            "outputText": "",
            "index": 0,
            "totalOutputTextTokenCount": ending.usage.total_output(),
            "completionReason": completion_reason(ending.reason),
            "inputTextTokenCount": ending.usage.total_input(),
        })
    }

    fn whole(&self, text: String, ending: &Ending<'_>) -> Value {
        json!({
            "inputTextTokenCount": ending.usage.total_input(),
            "results": [{
                "tokenCount": ending.usage.total_output(),
                "outputText": text,
                "completionReason": completion_reason(ending.reason),
            }],
        })
    }
}

fn completion_reason(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::MaxTokens | FinishReason::ContextWindow => "LENGTH",
        FinishReason::StopSequence => "STOP_CRITERIA_MET",
        FinishReason::ContentFilter | FinishReason::Refusal | FinishReason::Guardrail => "CONTENT_FILTERED",
        _ => "FINISH",
    }
}
