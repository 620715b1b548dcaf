//! OpenAI Embeddings: the operation [`Embed`](message::Operation::Embed) of the same servers
//! that speak Chat Completions.
//!
//! Source: `EmbeddingCreateParams`, `CreateEmbeddingResponse` of `openai` 3.54.0, whose
//! client asks for base64 unless told otherwise; read 2026-11-22.

pub mod decode;
pub mod encode;
pub mod inbound;
pub mod reply;

#[cfg(test)]
mod tests;
