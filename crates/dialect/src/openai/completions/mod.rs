//! OpenAI's legacy Completions: a bare prompt, continued. Still what base models, code
//! completion in editors and evaluation harnesses speak.
//!
//! Source: `CompletionCreateParams`, `Completion` of `openai` 3.54.0, read 2026-11-22.

pub mod decode;
pub mod encode;
pub mod inbound;
pub mod outbound;
pub mod reply;

#[cfg(test)]
mod tests;
