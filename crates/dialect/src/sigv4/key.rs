//! Secret, day, region and service → the key that signs.

use std::fmt;

use hmac::{Hmac, Mac};
use message::{Secret, SignedRequest};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Signs requests of one access key for one day, region and service. Derived from the
/// secret, and as secret as it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SigningKey([u8; 32]);

impl SigningKey {
    /// Derives the key for the scope of `signed`.
    pub fn derive(secret: &Secret, signed: &SignedRequest) -> Self {
        Self::for_scope(secret, &signed.date, &signed.region, &signed.service)
    }

    /// Derives the key for a scope; `date` is `YYYYMMDD`.
    pub fn for_scope(secret: &Secret, date: &str, region: &str, service: &str) -> Self {
        let mut first = format!("AWS4{}", secret.expose());
        let mut key = hmac_sha256(first.as_bytes(), date.as_bytes());
        first.zeroize();
        for part in [region, service, "aws4_request"] {
            key = hmac_sha256(&key, part.as_bytes());
        }
        Self(key)
    }

    /// The signature of a string to sign.
    pub(super) fn sign(&self, text: &[u8]) -> [u8; 32] {
        hmac_sha256(&self.0, text)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}
