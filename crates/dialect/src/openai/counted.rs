//! `usage`, as Chat Completions and the older Completions write it.

use message::Usage;
use serde::Serialize;

/// Tokens counted. The dialect counts cached ones into the prompt, and reasoning into the
/// completion.
#[derive(Debug, Serialize)]
pub(super) struct Counted {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: Prompt,
    completion_tokens_details: Completion,
}

#[derive(Debug, Serialize)]
struct Prompt {
    cached_tokens: u64,
    cache_write_tokens: u64,
    audio_tokens: u64,
}

#[derive(Debug, Serialize)]
struct Completion {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

impl Counted {
    pub(super) fn of(usage: &Usage) -> Self {
        Self {
            prompt_tokens: usage.total_input(),
            completion_tokens: usage.total_output(),
            total_tokens: usage.total(),
            prompt_tokens_details: Prompt {
                cached_tokens: usage.cache_read_tokens,
                cache_write_tokens: usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
                audio_tokens: 0,
            },
            completion_tokens_details: Completion {
                reasoning_tokens: usage.reasoning_tokens,
                audio_tokens: 0,
                accepted_prediction_tokens: 0,
                rejected_prediction_tokens: 0,
            },
        }
    }
}
