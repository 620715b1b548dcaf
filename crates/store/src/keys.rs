//! The table of keys. Rows are added and revoked, never deleted: a usage record may
//! always name the key it belongs to.

use sqlx::{FromRow, SqliteExecutor, SqlitePool};

use crate::StoreError;

/// One key as stored: nothing here lets anybody in.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct KeyRow {
    /// `key_…`, unique.
    pub id: String,
    /// The human name.
    pub name: String,
    /// SHA-256 of the bearer secret, 64 lower-case hex digits.
    pub bearer_sha256: String,
    /// The bearer secret's last four characters, for recognition.
    pub bearer_tail: String,
    /// The AWS access key id, unique.
    pub access_key_id: String,
    /// The AWS secret, sealed for `id`.
    pub sealed_secret: String,
    /// When it was made, unix seconds.
    pub created_s: i64,
    /// When it stops working, unix seconds; `None` never.
    pub expires_s: Option<i64>,
    /// When it was revoked, unix seconds.
    pub revoked_s: Option<i64>,
}

/// The table of keys of one store.
#[derive(Debug, Clone, Copy)]
pub struct KeyTable<'a> {
    pool: &'a SqlitePool,
}

impl<'a> KeyTable<'a> {
    pub(crate) fn new(pool: &'a SqlitePool) -> Self {
        Self { pool }
    }

    /// Adds a key.
    ///
    /// # Errors
    /// [`StoreError::Database`], also when its id or access key id is taken.
    pub async fn insert(&self, row: &KeyRow) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        advance(&mut *transaction).await?;
        insert(&mut *transaction, row).await?;
        Ok(transaction.commit().await?)
    }

    /// Adds a key if there never was one. Two processes at once add one key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn insert_first(&self, row: &KeyRow) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        // Counting up first takes the write lock: nobody adds a key until this commits.
        advance(&mut *transaction).await?;
        if count(&mut *transaction).await? > 0 {
            return Ok(false);
        }
        insert(&mut *transaction, row).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Every key, oldest first, revoked ones too, and the generation they were read at.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn all(&self) -> Result<(i64, Vec<KeyRow>), StoreError> {
        let mut transaction = self.pool.begin().await?;
        let generation = generation(&mut *transaction).await?;
        let rows =
            sqlx::query_as("SELECT * FROM keys ORDER BY created_s, id").fetch_all(&mut *transaction).await?;
        transaction.rollback().await?;
        Ok((generation, rows))
    }

    /// Marks a key revoked at `now_s`. A key revoked before keeps its time. `false`: no such key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn revoke(&self, id: &str, now_s: i64) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        advance(&mut *transaction).await?;
        let found = sqlx::query("UPDATE keys SET revoked_s = COALESCE(revoked_s, $1) WHERE id = $2")
            .bind(now_s)
            .bind(id)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        transaction.commit().await?;
        Ok(found > 0)
    }

    /// A number that differs after every write to the table, by any process: compare it
    /// with what [`KeyTable::all`] returned to learn whether to read again.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn generation(&self) -> Result<i64, StoreError> {
        Ok(generation(self.pool).await?)
    }

    /// Whether there ever was a key.
    pub(crate) async fn any(&self) -> Result<bool, StoreError> {
        Ok(count(self.pool).await? > 0)
    }
}

async fn advance(executor: impl SqliteExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query("UPDATE generations SET generation = generation + 1 WHERE topic = 'keys'")
        .execute(executor)
        .await
        .map(drop)
}

async fn generation(executor: impl SqliteExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT generation FROM generations WHERE topic = 'keys'").fetch_one(executor).await
}

async fn count(executor: impl SqliteExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT COUNT(*) FROM keys").fetch_one(executor).await
}

async fn insert(executor: impl SqliteExecutor<'_>, row: &KeyRow) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO keys (id, name, bearer_sha256, bearer_tail, access_key_id, sealed_secret, \
         created_s, expires_s, revoked_s) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&row.id)
    .bind(&row.name)
    .bind(&row.bearer_sha256)
    .bind(&row.bearer_tail)
    .bind(&row.access_key_id)
    .bind(&row.sealed_secret)
    .bind(row.created_s)
    .bind(row.expires_s)
    .bind(row.revoked_s)
    .execute(executor)
    .await
    .map(drop)
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::Store;

    use super::*;

    pub(crate) fn row(id: &str) -> KeyRow {
        KeyRow {
            id: id.into(),
            name: "test".into(),
            bearer_sha256: "00".repeat(32),
            bearer_tail: "abcd".into(),
            access_key_id: format!("OCAK{id}"),
            sealed_secret: "ff".into(),
            created_s: 1,
            expires_s: Some(9),
            revoked_s: None,
        }
    }

    #[tokio::test]
    async fn keeps_rows_across_a_reopen() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        store.keys().insert(&row("key_a")).await.unwrap();
        store.keys().insert(&row("key_b")).await.unwrap();
        assert!(store.keys().insert(&row("key_a")).await.is_err(), "ids are unique");
        assert!(store.keys().revoke("key_b", 5).await.unwrap());
        assert!(store.keys().revoke("key_b", 6).await.unwrap(), "again is fine");
        assert!(!store.keys().revoke("key_c", 5).await.unwrap(), "unknown");
        store.close().await;

        let (_, rows) = Store::open(directory.path()).await.unwrap().keys().all().await.unwrap();
        assert_eq!(rows, [row("key_a"), KeyRow { revoked_s: Some(5), ..row("key_b") }]);
    }

    #[tokio::test]
    async fn another_connection_sees_the_generation_move() {
        let directory = tempfile::tempdir().unwrap();
        let here = Store::open(directory.path()).await.unwrap();
        let there = Store::open(directory.path()).await.unwrap();
        let (before, _) = here.keys().all().await.unwrap();
        assert_eq!(here.keys().generation().await.unwrap(), before);
        there.keys().insert(&row("key_a")).await.unwrap();
        let after = here.keys().generation().await.unwrap();
        assert_ne!(after, before);
        there.keys().revoke("key_a", 5).await.unwrap();
        assert_ne!(here.keys().generation().await.unwrap(), after);
    }

    #[tokio::test]
    async fn only_one_of_two_first_keys_is_added() {
        let directory = tempfile::tempdir().unwrap();
        let here = Store::open(directory.path()).await.unwrap();
        let there = Store::open(directory.path()).await.unwrap();
        let (first, second) = (row("key_a"), row("key_b"));
        let (table_a, table_b) = (here.keys(), there.keys());
        let added = tokio::join!(table_a.insert_first(&first), table_b.insert_first(&second));
        assert_ne!(added.0.unwrap(), added.1.unwrap());
        assert_eq!(here.keys().all().await.unwrap().1.len(), 1);
        here.keys().revoke("key_a", 1).await.unwrap();
        here.keys().revoke("key_b", 1).await.unwrap();
        assert!(!here.keys().insert_first(&row("key_c")).await.unwrap(), "revoked keys count");
    }
}
