//! Meta Llama, and `BedrockCompletion`, in which imported models are spoken to: a bare
//! prompt, its template written out by the client.
//!
//! Sources: Amazon Bedrock user guide, "Meta Llama models" and "Invoke your imported
//! model"; read 2026-11-22.

use message::{Chat, Failure};
use serde_json::{Value, json};

use super::text::{Ending, Prompt, Words, stop_or_length};

pub(super) fn read(body: &[u8]) -> Result<Chat, Failure> {
    let mut prompt = Prompt::read(body, "prompt")?;
    prompt.chat.sampling.max_tokens = match prompt.body.count("max_gen_len", 0)? {
        Some(most) => Some(most),
        None => prompt.body.count("max_tokens", 0)?,
    };
    prompt.sampling("top_p", "top_k")?;
    prompt.stop("stop")?;
    Ok(prompt.done())
}

/// Llama's words.
pub(super) struct Llama;

impl Words for Llama {
    fn piece(&self, text: &str) -> Value {
        json!({"generation": text, "prompt_token_count": null, "generation_token_count": null, "stop_reason": null})
    }

    fn last(&self, ending: &Ending<'_>) -> Value {
        self.whole(String::new(), ending)
    }

    fn whole(&self, text: String, ending: &Ending<'_>) -> Value {
        json!({
            "generation": text,
            "prompt_token_count": ending.usage.total_input(),
            "generation_token_count": ending.usage.total_output(),
            "stop_reason": stop_or_length(ending.reason),
        })
    }
}
