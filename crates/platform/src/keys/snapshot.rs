//! All keys in memory, as requests look them up. Built whole, never changed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use message::{Principal, Secret};
use store::{KeyRow, Sealer, Store, StoreError};

/// The keys at one generation of the store.
pub(super) struct Snapshot {
    pub(super) generation: i64,
    /// By the id inside the bearer secret (the key's id without `key_`).
    pub(super) by_bearer_id: HashMap<Box<str>, Arc<Entry>>,
    pub(super) by_access_key: HashMap<Box<str>, Arc<Entry>>,
}

/// One key, revoked or not.
pub(super) struct Entry {
    pub(super) principal: Principal,
    pub(super) bearer_sha256: [u8; 32],
    /// `None` if it did not unseal: the bearer secret still works.
    pub(super) secret_access_key: Option<Secret>,
    pub(super) expires_s: Option<i64>,
    pub(super) revoked: bool,
}

impl Snapshot {
    pub(super) async fn read(store: &Store) -> Result<Self, StoreError> {
        let (generation, rows) = store.keys().all().await?;
        let mut snapshot = Self {
            generation,
            by_bearer_id: HashMap::with_capacity(rows.len()),
            by_access_key: HashMap::with_capacity(rows.len()),
        };
        for row in rows {
            snapshot.add(row, store.sealer());
        }
        Ok(snapshot)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_bearer_id.is_empty()
    }

    fn add(&mut self, row: KeyRow, sealer: &Sealer) {
        let mut bearer_sha256 = [0; 32];
        if hex::decode_to_slice(&row.bearer_sha256, &mut bearer_sha256).is_err() {
            tracing::error!(key_id = row.id, "the stored hash of this key is damaged; the key is ignored");
            return;
        }
        let secret_access_key = sealer.open(&row.id, &row.sealed_secret).map(|secret| Secret::new(&**secret));
        if let Err(error) = &secret_access_key {
            tracing::warn!(key_id = row.id, %error, "this key's AWS access key will not work");
        }
        let bearer_id = row.id.strip_prefix("key_").unwrap_or(&row.id).into();
        let entry = Arc::new(Entry {
            principal: Principal { key_id: row.id.into(), name: row.name.into() },
            bearer_sha256,
            secret_access_key: secret_access_key.ok(),
            expires_s: row.expires_s,
            revoked: row.revoked_s.is_some(),
        });
        self.by_bearer_id.insert(bearer_id, Arc::clone(&entry));
        self.by_access_key.insert(row.access_key_id.into(), entry);
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({} keys)", self.by_bearer_id.len())
    }
}
