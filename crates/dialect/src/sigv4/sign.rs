//! Making a signature: for servers of AWS that we call, and to test what verifies.

use message::Secret;

use super::canonical::{Canonical, string_to_sign};
use super::{ALGORITHM, SigningKey};
use crate::RequestHead;

/// Who signs, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Signer<'a> {
    /// The access key id.
    pub access_key_id: &'a str,
    /// Its secret.
    pub secret: &'a Secret,
    /// The region of the server.
    pub region: &'a str,
    /// The service's signing name: `bedrock`, `s3` …
    pub service: &'a str,
}

impl Signer<'_> {
    /// The `Authorization` header for a request. All its headers are signed, so it must
    /// have `host` and should not yet have those that a proxy may change. `timestamp` is
    /// its `x-amz-date`, which must be among them ([`timestamp`](super::timestamp) makes it).
    pub fn sign(&self, request: &RequestHead<'_>, timestamp: &str, body_sha256: &[u8; 32]) -> String {
        debug_assert!(request.headers.contains_key("host"), "who verifies needs it");
        debug_assert!(request.headers.get("x-amz-date").is_some_and(|date| date == timestamp));
        let mut signed_headers: Vec<String> = request.headers.keys().map(|name| name.to_string()).collect();
        signed_headers.sort_unstable();
        let Self { access_key_id, secret, region, service } = *self;
        let date = timestamp.get(..8).unwrap_or(timestamp);
        let canonical = Canonical {
            request,
            service,
            signed_headers: &signed_headers,
            payload_hash: &hex::encode(body_sha256),
        };
        // The names come from the headers themselves: none is missing.
        let canonical_request = canonical.request().unwrap_or_default();
        let to_sign = string_to_sign(timestamp, &[date, region, service], &canonical_request);
        let signature = SigningKey::for_scope(secret, date, region, service).sign(to_sign.as_bytes());
        format!(
            "{ALGORITHM} Credential={access_key_id}/{date}/{region}/{service}/aws4_request, SignedHeaders={}, Signature={}",
            signed_headers.join(";"),
            hex::encode(signature)
        )
    }
}
