//! Who asks. The lookup needs only headers and is done before a byte of the body is
//! read; a signature covers the body and is checked after.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use dialect::RequestHead;
use dialect::sigv4::{self, Received, SigningKey};
use message::{AuthFault, Credential, Failure, Principal, Secret, SignedRequest};

use crate::gateway::Auth;

/// Derived signing keys kept: one per access key, day, region and service in use. A
/// derivation is four HMACs, so a full cache is simply emptied.
const SIGNING_KEYS_MAX: usize = 1024;

/// Looks credentials up and verifies them.
pub(crate) struct Authenticator {
    auth: Auth,
    dev: Principal,
    signing_keys: SigningKeys,
}

/// How far a request is proven.
pub(crate) enum Proof {
    /// Known by what it shows.
    Known(Principal),
    /// Its access key is known; the signature waits for the body.
    Signed(Box<Signed>),
}

/// A signature to be verified.
pub(crate) struct Signed {
    principal: Principal,
    secret: Secret,
    signed: SignedRequest,
}

impl Authenticator {
    pub(crate) fn new(auth: Auth) -> Self {
        let dev = Principal { key_id: "dev".into(), name: "dev".into() };
        Self { auth, dev, signing_keys: SigningKeys::default() }
    }

    /// Who shows this credential; a stranger is an error.
    pub(crate) fn identify(&self, request: &RequestHead<'_>) -> Result<Proof, Failure> {
        let Auth::Keys(keys) = &self.auth else { return Ok(Proof::Known(self.dev.clone())) };
        let now = SystemTime::now();
        match dialect::credential::read(request.headers)? {
            Credential::None => Err(Failure::unauthenticated(
                AuthFault::Missing,
                "no credential: send `authorization: Bearer KEY`, `x-api-key: KEY` or an AWS signature \
                 (`outcrop keys create` makes a key)",
            )),
            Credential::Bearer(secret) => keys.find_bearer(&secret, now).map(Proof::Known),
            Credential::Signed(signed) => {
                let (principal, secret) = keys.find_access_key(&signed.access_key_id, now)?;
                let signed = Signed { principal, secret, signed: *signed };
                if signed.signed.presigned.is_some() {
                    // A short-term key proves itself: it does not cover this request.
                    return self.verify_signed(signed, request, &[]).map(Proof::Known);
                }
                Ok(Proof::Signed(Box::new(signed)))
            }
        }
    }

    /// Finishes the proof, now that the body is here.
    pub(crate) fn verify(
        &self,
        proof: Proof,
        request: &RequestHead<'_>,
        body: &[u8],
    ) -> Result<Principal, Failure> {
        match proof {
            Proof::Known(principal) => Ok(principal),
            Proof::Signed(signed) => self.verify_signed(*signed, request, body),
        }
    }

    fn verify_signed(
        &self,
        signed: Signed,
        request: &RequestHead<'_>,
        body: &[u8],
    ) -> Result<Principal, Failure> {
        let Signed { principal, secret, signed } = signed;
        let scope = scope(&signed);
        let known = self.signing_keys.get(&scope);
        let key = known.clone().unwrap_or_else(|| SigningKey::derive(&secret, &signed));
        let received = Received { request, body_sha256: sigv4::body_sha256(body), now_s: now_s() };
        sigv4::verify_with_key(&signed, &key, &received)?;
        if known.is_none() {
            // Only now: whoever cannot sign must not be able to fill the cache.
            self.signing_keys.keep(scope, key);
        }
        Ok(principal)
    }
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Access key, date, region and service: what a signing key is derived for.
type Scope = [String; 4];

fn scope(signed: &SignedRequest) -> Scope {
    [&signed.access_key_id, &signed.date, &signed.region, &signed.service].map(String::clone)
}

/// Signing keys derived before.
#[derive(Default)]
struct SigningKeys(Mutex<HashMap<Scope, SigningKey>>);

impl SigningKeys {
    fn get(&self, scope: &Scope) -> Option<SigningKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(scope).cloned()
    }

    fn keep(&self, scope: Scope, key: SigningKey) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= SIGNING_KEYS_MAX {
            keys.clear();
        }
        keys.insert(scope, key);
    }
}
