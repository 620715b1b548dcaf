//! OpenAI Chat Completions: the shape that most model servers speak.

pub mod decode;
pub mod encode;
pub mod inbound;
pub mod outbound;
pub mod reply;
pub mod wire;

use super::{error, names};

#[cfg(test)]
pub(in crate::openai) mod tests;
