//! OpenAI Chat Completions.
pub mod decode;
pub mod error;
pub mod inbound;
pub mod operation;
pub mod outbound;
pub mod reply;
pub mod wire;
