//! How one server of a dialect differs from the vendor's own: a closed list, chosen in a
//! provider's table, read by the outbound side of the dialects.

/// In which field a server of this dialect takes the cap on output tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenLimit {
    /// `max_completion_tokens`: OpenAI since o1, vLLM, llama.cpp.
    #[default]
    MaxCompletionTokens,
    /// `max_tokens`: Mistral, DeepSeek, Ollama and servers older than the newer word.
    MaxTokens,
}

/// How a server differs from OpenAI's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quirks {
    /// The field for the cap on output tokens.
    pub token_limit: TokenLimit,
    /// It takes `top_k`, `min_p` and `repetition_penalty` (vLLM, SGLang, llama.cpp).
    pub sampling_extensions: bool,
}
