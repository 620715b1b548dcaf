//! AWS event stream (`application/vnd.amazon.eventstream`): what Bedrock streams.
//!
//! A message is `total length u32 · headers length u32 · CRC-32 of those 8 bytes ·
//! headers · payload · CRC-32 of all before`, big-endian; a header is `name length u8 ·
//! name · type u8 · value`. Format after the AWS "Event Stream" specification as
//! botocore 1.44.5 implements it (`botocore/eventstream.py`), read 2026-11-22; the
//! fixtures under `fixtures/` were judged by that parser.

mod decode;
mod encode;

pub use decode::{DecodeError, Decoder, HEADERS_BYTES_MAX, HeaderValue, MESSAGE_BYTES_MAX, Message};
pub use encode::{write_error, write_event, write_exception, write_message};

/// Media type of a streamed reply in this framing.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Bytes of the two lengths and their checksum.
const PRELUDE_BYTES: usize = 12;
/// Bytes of a checksum.
const CRC_BYTES: usize = 4;

#[cfg(test)]
mod tests;
