//! Anthropic Messages: `POST /v1/messages` and `/v1/messages/count_tokens`.
//!
//! Spoken by clients ([`inbound`], [`reply`], [`error`]) and to targets ([`outbound`],
//! [`decode`]). Between the same dialect on both sides nothing is rebuilt: the body is
//! forwarded with its model spliced, the reply event by event as it came ([`home`]).
//!
//! Sources: the API reference at <https://platform.claude.com/docs/en/api/messages> and
//! the types of the Python SDK, `anthropic` 2.12.0; both read 2026-11-22. What Claude
//! Code 2.1.197 sends was observed on the wire on the same day.

mod adapt;
mod blocks;
mod citation;
pub mod decode;
mod encode;
pub mod error;
mod fields;
mod home;
pub mod inbound;
pub mod operation;
pub mod outbound;
pub mod reply;
mod stream;
mod tools;
mod turns;
mod vertex;
pub mod wire;

#[cfg(test)]
mod tests;
