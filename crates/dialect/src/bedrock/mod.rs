//! Amazon Bedrock as clients speak it: the runtime's calls and the control plane's models.
//!
//! [`operation`] knows every operation of the services `bedrock-runtime` and `bedrock`, and
//! one of `bedrock-agent-runtime`; [`inbound`] reads the bodies of the built ones (Converse
//! here, a model family's own in `invoke`, `rerank`); [`reply`] writes answers as JSON or as event-stream frames; [`error`] and
//! [`models`] say the rest. [`outbound`] speaks to Bedrock: what comes from another dialect
//! is adapted (`adapt`, `turns`), encoded (`encode`), and its reply decoded (`decode`).
//!
//! Sources: service models of botocore 1.44.5; the wire as boto3 1.44.5 and
//! `@aws-sdk/client-bedrock-runtime` 3.1164.0 read it; both 2026-11-22.

mod adapt;
mod additional;
mod answer;
mod citation;
mod content;
mod converse;
mod decode;
mod encode;
pub mod error;
mod family;
mod home;
pub mod inbound;
mod invoke;
mod media;
pub mod models;
mod names;
pub mod operation;
mod order;
pub mod outbound;
mod parameters;
mod pointer;
pub mod reply;
mod rerank;
mod stream;
mod turns;
mod whole;
mod wire;

#[cfg(test)]
mod tests;
