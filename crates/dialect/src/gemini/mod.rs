//! Google Gemini: generateContent and its siblings, on the Gemini API and on Vertex AI.
//!
//! Spoken by clients ([`inbound`], [`reply`], [`error`]) and to targets ([`outbound`],
//! [`decode`]). The model's name stands in the path, so between the same dialect on both
//! sides a body is forwarded as it is. Two things are said in the query where others use
//! headers; [`door`] moves them.
//!
//! Sources: `google-genai` 3.4.0 (types, converters, client) and
//! <https://ai.google.dev/api/generate-content>; both read 2026-11-22.

pub mod decode;
pub mod door;
mod embed;
pub mod encode;
pub mod error;
mod grounding;
pub mod inbound;
pub mod models;
mod names;
pub mod operation;
pub mod outbound;
mod place;
pub mod reply;
mod schema;
mod seal;
pub mod wire;

pub(crate) use self::place::place;

#[cfg(test)]
mod tests;
