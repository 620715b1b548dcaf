//! Cohere's version 2: chat, embed and rerank.
//!
//! Spoken by clients ([`inbound`], [`reply`], [`error`]) and to targets ([`outbound`],
//! [`decode`]); between the same dialect on both sides nothing is rebuilt.
//!
//! Source: the v2 client and types of `cohere` 7.3.1, read 2026-11-22.

pub mod decode;
mod embed;
pub mod encode;
pub mod error;
pub mod inbound;
pub mod operation;
pub mod outbound;
pub mod reply;
mod rerank;
pub mod wire;

#[cfg(test)]
mod tests;
