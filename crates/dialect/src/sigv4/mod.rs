//! AWS Signature Version 4: reading, verifying and making signatures.
//!
//! `Authorization` header → [`SignedRequest`](message::SignedRequest) ([`parse`]) → the
//! key's secret is looked up by somebody else → [`verify`] over the request exactly as it
//! came in. Rules: AWS "Signature Version 4 signing process", and what clients really do
//! (botocore 1.44.5, AWS SDK for JavaScript 3.1164.0, anthropic 2.12.0, openai 3.54.0,
//! observed 2026-11-22):
//!
//! * the canonical path is the raw path percent-encoded once more (`%3A` → `%253A`, a raw
//!   `:` → `%3A`), except for the service `s3`, whose path is taken as it is;
//! * the JavaScript SDK signs `:authority` instead of `host` over HTTP/2;
//! * the body counts by its hash; a literal `UNSIGNED-PAYLOAD` is refused, since a
//!   captured head could carry any other body for five minutes (no Bedrock client sends it);
//! * clocks may differ by [`SKEW_MAX_S`] either way.
//!
//! Deriving the [`SigningKey`] costs four HMACs; it is the same for a whole day of one
//! key, region and service, so callers may keep it.

mod canonical;
mod key;
mod parse;
mod presigned;
mod sign;
mod timestamp;
mod verify;

pub use key::SigningKey;
pub use parse::parse;
pub use presigned::{EXPIRES_MAX_S, PREFIX as SHORT_TERM_PREFIX, parse as parse_short_term_key};
pub use sign::Signer;
pub use timestamp::format as timestamp;
pub use verify::{Received, SKEW_MAX_S, verify, verify_with_key};

use message::{AuthFault, Failure};
use sha2::{Digest, Sha256};

/// The only algorithm: HMAC with SHA-256 (not the asymmetric `AWS4-ECDSA-P256-SHA256`).
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The hash of a body, for [`Received`] and [`Signer`].
pub fn body_sha256(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// The hash of a body in pieces.
pub fn pieces_sha256<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    pieces.into_iter().fold(Sha256::new(), |hash, piece| hash.chain_update(piece)).finalize().into()
}

fn malformed(message: impl Into<String>) -> Failure {
    Failure::unauthenticated(AuthFault::Malformed, message)
}

#[cfg(test)]
mod tests;
