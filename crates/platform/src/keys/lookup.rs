//! Credential → principal, on every request: a hash, a map, no lock, no database.

use std::time::SystemTime;

use message::{AuthFault, Failure, Principal, Secret};
use subtle::ConstantTimeEq;

use super::Keys;
use super::issue::{BEARER_PREFIX, digest, id_in, unix_seconds};
use super::snapshot::Entry;

impl Keys {
    /// Who a bearer secret stands for.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`](message::ErrorKind::Unauthenticated): unknown, expired or revoked.
    pub fn find_bearer(&self, bearer: &Secret, now: SystemTime) -> Result<Principal, Failure> {
        let bearer = bearer.expose();
        let Some(id) = id_in(bearer) else {
            return Err(unknown(format!(
                "this API key is not one of this server's (they start with `{BEARER_PREFIX}`); \
                 `outcrop keys create` makes one"
            )));
        };
        // The id is no secret, so finding it may take what time it takes; the rest is
        // compared by hash and in constant time.
        let snapshot = self.snapshot.load();
        let entry = snapshot
            .by_bearer_id
            .get(id)
            .filter(|entry| digest(bearer).ct_eq(&entry.bearer_sha256).into())
            .ok_or_else(|| unknown("this API key is unknown or mistyped; `outcrop keys create` makes one"))?;
        entry.admit(now)?;
        Ok(entry.principal.clone())
    }

    /// Who an AWS access key id claims to be, and the secret to verify the claim with.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`](message::ErrorKind::Unauthenticated): unknown, expired or revoked.
    pub fn find_access_key(
        &self,
        access_key_id: &str,
        now: SystemTime,
    ) -> Result<(Principal, Secret), Failure> {
        let snapshot = self.snapshot.load();
        let entry = snapshot.by_access_key.get(access_key_id).ok_or_else(|| {
            unknown(
                "the AWS access key id in the signature is not one of this server's (they start with `OCAK`); \
                 `outcrop keys create` makes one",
            )
        })?;
        entry.admit(now)?;
        let secret = entry.secret_access_key.clone().ok_or_else(|| {
            unknown(
                "this AWS access key cannot be used: its secret was sealed under another master key; \
                 make a new key with `outcrop keys create`",
            )
        })?;
        Ok((entry.principal.clone(), secret))
    }
}

impl Entry {
    fn admit(&self, now: SystemTime) -> Result<(), Failure> {
        if self.revoked {
            return Err(unknown("this key was revoked; `outcrop keys create` makes a new one"));
        }
        if self.expires_s.is_some_and(|at| at <= unix_seconds(now)) {
            return Err(Failure::unauthenticated(
                AuthFault::Expired,
                "this key has expired; `outcrop keys create` makes a new one",
            ));
        }
        Ok(())
    }
}

fn unknown(message: impl Into<String>) -> Failure {
    Failure::unauthenticated(AuthFault::Unknown, message)
}
