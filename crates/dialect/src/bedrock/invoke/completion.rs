//! OpenAI's legacy Completions, one of the forms in which imported models are spoken to.
//!
//! Source: Amazon Bedrock user guide, "Invoke your imported model" (`OpenAICompletion`);
//! read 2026-11-22.

use std::time::{SystemTime, UNIX_EPOCH};

use message::{Chat, Failure};
use serde_json::{Value, json};

use super::text::{Ending, Prompt, Words, stop_or_length};

pub(super) fn read(body: &[u8]) -> Result<Chat, Failure> {
    let mut prompt = Prompt::read(body, "prompt")?;
    prompt.body.take("model");
    prompt.chat.sampling.max_tokens = prompt.body.count("max_tokens", 0)?;
    prompt.sampling("top_p", "top_k")?;
    prompt.stop("stop")?;
    let sampling = &mut prompt.chat.sampling;
    sampling.presence_penalty = prompt.body.number("presence_penalty")?;
    sampling.frequency_penalty = prompt.body.number("frequency_penalty")?;
    sampling.seed = prompt.body.number("seed")?.and_then(|seed| seed.as_i64());
    prompt.chat.user = prompt.body.string("user")?;
    Ok(prompt.done())
}

/// The interface's words.
pub(super) struct Completions;

impl Words for Completions {
    fn piece(&self, text: &str) -> Value {
        json!({"object": "text_completion", "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": null}]})
    }

    fn last(&self, ending: &Ending<'_>) -> Value {
        self.whole(String::new(), ending)
    }

    fn whole(&self, text: String, ending: &Ending<'_>) -> Value {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        json!({
            "id": format!("cmpl-{}", ending.id),
            "object": "text_completion",
            "created": created,
            "model": ending.model,
            "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": stop_or_length(ending.reason)}],
            "usage": {
                "prompt_tokens": ending.usage.total_input(),
                "completion_tokens": ending.usage.total_output(),
                "total_tokens": ending.usage.total(),
            },
        })
    }
}
