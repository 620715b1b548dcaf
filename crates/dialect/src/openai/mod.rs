//! OpenAI's interface, as clients send it and as servers answer it.
//!
//! One folder per request shape: [`chat`] (Chat Completions), [`responses`],
//! [`completions`] (the older interface), [`embeddings`]; and what they share: paths,
//! errors, names that fit, custom tools, annotations, counted tokens, the way bodies are taken
//! apart and forwarded.
//!
//! Source: the service's published types as generated into `openai` 3.54.0 (Python) and
//! read there 2026-11-22; what other servers of this dialect add (`reasoning_content`,
//! `top_k`, `stop_reason` …) as vLLM, llama.cpp, DeepSeek and OpenRouter document it.

mod annotation;
pub mod chat;
pub mod completions;
mod counted;
mod custom;
pub mod embeddings;
pub mod error;
mod fields;
mod forward;
mod names;
pub mod operation;
pub mod responses;
mod siblings;
mod spelling;
