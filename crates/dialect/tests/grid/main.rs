//! The grid: every client dialect × every server dialect × all that they can say.
//!
//! A cell takes a request as a client of one dialect writes it to what a server of another
//! dialect is sent, or a server's reply to what the client gets. Each is judged twice:
//!
//! * **by meaning**: what was written is read back by the dialect's other half (the
//!   server's request by our own inbound side, the client's reply by our own decoder, both
//!   held to the vendors' SDKs by tests of their own), and must mean what it meant before,
//!   but for what the cell declares as lost;
//! * **by bytes**: golden tables under `snapshots/`, one per case.
//!
//! `requests/` and `replies/` hold one file per case: the same thing said in each dialect.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests")]

mod failures;
mod features;
mod fidelity;
mod finish;
mod meaning;
mod replies;
mod requests;
mod wire;

use features::CLIENTS;
use message::Dialect;

/// Every dialect that servers speak. Bedrock's servers are one: what reaches them by
/// Converse and what by InvokeModel is the outbound side's to choose.
const DIALECTS: [Dialect; 5] = [
    Dialect::BedrockConverse,
    Dialect::Anthropic,
    Dialect::OpenAiChat,
    Dialect::OpenAiResponses,
    Dialect::Gemini,
];
