//! OpenAI Chat Completions, as a client sends it and as a server answers it.
//!
//! Source: the service's published types as generated into `openai` 3.54.0 (Python) and
//! read there 2026-11-22; what other servers of this dialect add (`reasoning_content`,
//! `top_k`, `stop_reason` …) as vLLM, llama.cpp, DeepSeek and OpenRouter document it.

pub mod decode;
pub mod encode;
pub mod error;
pub mod inbound;
mod names;
pub mod operation;
pub mod outbound;
pub mod reply;
mod spelling;
pub mod wire;

#[cfg(test)]
mod tests;
