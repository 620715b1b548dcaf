//! Amazon Bedrock: runtime and control plane.
pub mod error;
pub mod inbound;
pub mod models;
pub mod operation;
pub mod reply;
pub mod wire;
