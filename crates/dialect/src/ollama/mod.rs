//! Ollama's own interface, spoken by clients only ([`inbound`], [`reply`], [`error`],
//! [`models`]); its servers are reached in their OpenAI dialect.
//!
//! Source: `_client.py` and `_types.py` of `ollama` 0.6.3 (Python), read 2026-11-22.

pub mod error;
pub mod inbound;
pub mod models;
pub mod operation;
pub mod reply;

#[cfg(test)]
mod tests;
