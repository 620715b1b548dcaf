//! What a request shows to prove who sends it, before anybody has checked it.

use std::fmt;

/// Text that must not be printed. Compare it only in constant time.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself: for hashing, signing and sending, never for logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A credential as it arrived.
#[derive(Debug, Clone)]
pub enum Credential {
    /// None at all.
    None,
    /// A bearer token: `Authorization: Bearer` or `x-api-key`.
    Bearer(Secret),
    /// An AWS Signature Version 4 over this request, or over a short-term Bedrock key.
    Signed(Box<SignedRequest>),
}

/// The parts of a Signature Version 4: enough to look up the key and recompute it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// The access key id: what to look up.
    pub access_key_id: String,
    /// The date of the credential scope, `YYYYMMDD`.
    pub date: String,
    /// The region of the scope; any is accepted.
    pub region: String,
    /// The service of the scope: `bedrock`, `s3` …
    pub service: String,
    /// When it was signed, `YYYYMMDDTHHMMSSZ`.
    pub timestamp: String,
    /// The names of the signed headers, in the order signed.
    pub signed_headers: Vec<String>,
    /// The signature: 64 lower-case hex digits.
    pub signature: String,
    /// For a short-term key (`bedrock-api-key-…`): the canonical query that was
    /// presigned and how long it is valid. `None`: the signature covers this request.
    pub presigned: Option<Presigned>,
}

impl fmt::Debug for SignedRequest {
    /// Without the signature and the presigned query: together they are a short-term key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("access_key_id", &self.access_key_id)
            .field("date", &self.date)
            .field("region", &self.region)
            .field("service", &self.service)
            .field("timestamp", &self.timestamp)
            .field("signed_headers", &self.signed_headers)
            .field("presigned", &self.presigned.is_some())
            .finish_non_exhaustive()
    }
}

/// A presigned query: what a short-term Bedrock key is made of.
#[derive(Clone, PartialEq, Eq)]
pub struct Presigned {
    /// Host it was signed for.
    pub host: String,
    /// The canonical query string, without the signature.
    pub canonical_query: String,
    /// Validity from `timestamp`, in seconds.
    pub expires_s: u64,
}
