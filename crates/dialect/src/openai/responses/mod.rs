//! OpenAI Responses: a conversation as a flat list of items, the answer as another.
//!
//! Source: the types of `openai` 3.54.0 (`types/responses/`), read 2026-11-22.

pub mod decode;
pub mod encode;
pub mod inbound;
pub mod outbound;
mod place;
pub mod reply;
pub mod resource;
pub mod stored;

pub(crate) use self::place::place;

#[cfg(test)]
mod tests;

/// Stands before Claude's seal where this dialect keeps its own: in `encrypted_content`.
/// (Other vendors' seals travel with a tag of their own; Claude's do not.)
const ANTHROPIC_SEAL: &str = "outcrop.anthropic:";

/// Stands before reasoning that Claude's vendor encrypted whole.
const REDACTED: &str = "outcrop.redacted:";
