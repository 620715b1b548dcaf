//! Writes `chat.completion.chunk` events. One is written per token, so everything but the
//! delta is laid out once per stream and copied.

use message::{TokenLogprob, Usage};

use super::{Identity, SYSTEM_FINGERPRINT, logprobs};
use crate::json;
use crate::openai::counted::Counted;

/// The unchanging parts of a stream's chunks.
pub(super) struct Chunks {
    /// Up to and including `"choices":`.
    prefix: Vec<u8>,
    /// From there to the delta: whose it is.
    choice: Vec<u8>,
    /// From behind the choices to the end of the event.
    suffix: &'static [u8],
}

impl Chunks {
    /// The chunks of the answer `index`.
    pub(super) fn new(identity: &Identity<'_>, include_usage: bool, index: u32) -> Self {
        let mut prefix = b"data: {\"id\":".to_vec();
        json::write(&mut prefix, &identity.id);
        prefix.extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        json::write(&mut prefix, &identity.created_s);
        prefix.extend_from_slice(b",\"model\":");
        json::write(&mut prefix, identity.model);
        if let Some(tier) = identity.tier {
            prefix.extend_from_slice(b",\"service_tier\":");
            json::write(&mut prefix, tier);
        }
        prefix.extend_from_slice(b",\"system_fingerprint\":");
        json::write(&mut prefix, SYSTEM_FINGERPRINT);
        prefix.extend_from_slice(b",\"choices\":");
        // With usage asked for, every chunk but the last says that it has none.
        let suffix: &[u8] = if include_usage { b",\"usage\":null}\n\n" } else { b"}\n\n" };
        let choice = format!("[{{\"index\":{index},\"delta\":").into_bytes();
        Self { prefix, choice, suffix }
    }

    /// One chunk; `delta` writes the object.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        delta: impl FnOnce(&mut Vec<u8>),
        tokens: &[TokenLogprob],
        finish: Option<&str>,
    ) {
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(&self.choice);
        delta(out);
        out.extend_from_slice(b",\"logprobs\":");
        if tokens.is_empty() {
            out.extend_from_slice(b"null");
        } else {
            json::write(out, &logprobs(tokens));
        }
        out.extend_from_slice(b",\"finish_reason\":");
        json::write(out, &finish);
        out.extend_from_slice(b"}]");
        out.extend_from_slice(self.suffix);
    }

    /// The chunk that only counts.
    pub(super) fn write_usage(&self, out: &mut Vec<u8>, usage: &Usage) {
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(b"[],\"usage\":");
        json::write(out, &Counted::of(usage));
        out.extend_from_slice(b"}\n\n");
    }
}
