//! Mistral AI, by a bare prompt. (Its chat is OpenAI's: see `openai`.)
//!
//! Source: Amazon Bedrock user guide, "Mistral AI text completion"; read 2026-11-22.

use message::{Chat, Failure};
use serde_json::{Value, json};

use super::text::{Ending, Prompt, Words, stop_or_length};

pub(super) fn read(body: &[u8]) -> Result<Chat, Failure> {
    let mut prompt = Prompt::read(body, "prompt")?;
    prompt.chat.sampling.max_tokens = prompt.body.count("max_tokens", 0)?;
    prompt.sampling("top_p", "top_k")?;
    prompt.stop("stop")?;
    Ok(prompt.done())
}

/// Mistral's words.
pub(super) struct Mistral;

impl Words for Mistral {
    fn piece(&self, text: &str) -> Value {
        json!({"outputs": [{"text": text, "stop_reason": null}]})
    }

    fn last(&self, ending: &Ending<'_>) -> Value {
        self.whole(String::new(), ending)
    }

    fn whole(&self, text: String, ending: &Ending<'_>) -> Value {
        json!({"outputs": [{"text": text, "stop_reason": stop_or_length(ending.reason)}]})
    }
}
