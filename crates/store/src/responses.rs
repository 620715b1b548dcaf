//! The table of responses that clients asked to be kept.

use sqlx::{FromRow, SqlitePool};

use crate::StoreError;

/// Rows deleted per statement when the table is too large: a short write each.
const PRUNED_AT_ONCE: i64 = 64;

/// One response as stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ResponseRow {
    /// Whose it is.
    pub principal: String,
    /// Its id, unique for its principal.
    pub id: String,
    /// The response it goes on from.
    pub previous_id: Option<String>,
    /// The object, as JSON.
    pub response: String,
    /// The request's own items, as a JSON array.
    pub input: String,
    /// When it was made, unix seconds.
    pub created_s: i64,
    /// When it is forgotten, unix seconds.
    pub expires_s: i64,
}

/// The table of responses of one store.
#[derive(Debug, Clone, Copy)]
pub struct ResponseTable<'a> {
    pool: &'a SqlitePool,
}

impl<'a> ResponseTable<'a> {
    pub(crate) fn new(pool: &'a SqlitePool) -> Self {
        Self { pool }
    }

    /// Adds a response, or replaces what was known of it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn put(&self, row: &ResponseRow) -> Result<(), StoreError> {
        let bytes = i64::try_from(row.response.len() + row.input.len()).unwrap_or(i64::MAX);
        sqlx::query(
            "INSERT INTO responses (principal, id, previous_id, response, input, bytes, created_s, expires_s) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (principal, id) DO UPDATE SET response = excluded.response, bytes = excluded.bytes",
        )
        .bind(&row.principal)
        .bind(&row.id)
        .bind(&row.previous_id)
        .bind(&row.response)
        .bind(&row.input)
        .bind(bytes)
        .bind(row.created_s)
        .bind(row.expires_s)
        .execute(self.pool)
        .await?;
        Ok(())
    }

    /// A principal's response, unless its time is over.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn get(
        &self,
        principal: &str,
        id: &str,
        now_s: i64,
    ) -> Result<Option<ResponseRow>, StoreError> {
        let query = "SELECT principal, id, previous_id, response, input, created_s, expires_s FROM responses \
                     WHERE principal = $1 AND id = $2 AND expires_s > $3";
        let row =
            sqlx::query_as(query).bind(principal).bind(id).bind(now_s).fetch_optional(self.pool).await?;
        Ok(row)
    }

    /// Forgets a principal's response. `false`: there was none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn delete(&self, principal: &str, id: &str) -> Result<bool, StoreError> {
        let query = "DELETE FROM responses WHERE principal = $1 AND id = $2";
        let done = sqlx::query(query).bind(principal).bind(id).execute(self.pool).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Forgets what is expired, and the oldest until `bytes_max` bytes are left.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn prune(&self, now_s: i64, bytes_max: i64) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM responses WHERE expires_s <= $1").bind(now_s).execute(self.pool).await?;
        loop {
            let total: Option<i64> = sqlx::query_scalar("SELECT CAST(SUM(bytes) AS BIGINT) FROM responses")
                .fetch_one(self.pool)
                .await?;
            if total.unwrap_or(0) <= bytes_max {
                return Ok(());
            }
            let oldest = "DELETE FROM responses WHERE (principal, id) IN \
                          (SELECT principal, id FROM responses ORDER BY created_s, id LIMIT $1)";
            sqlx::query(oldest).bind(PRUNED_AT_ONCE).execute(self.pool).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Store;

    use super::*;

    fn row(principal: &str, id: &str) -> ResponseRow {
        ResponseRow {
            principal: principal.into(),
            id: id.into(),
            previous_id: Some("resp_0".into()),
            response: "{}".into(),
            input: "[]".into(),
            created_s: 1,
            expires_s: 100,
        }
    }

    #[tokio::test]
    async fn keeps_replaces_and_forgets() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let table = store.responses();
        table.put(&row("key_a", "resp_1")).await.unwrap();
        let later = ResponseRow { response: "{\"status\":\"completed\"}".into(), ..row("key_a", "resp_1") };
        table.put(&later).await.unwrap();
        assert_eq!(table.get("key_a", "resp_1", 99).await.unwrap(), Some(later));
        assert_eq!(table.get("key_a", "resp_1", 100).await.unwrap(), None, "its time is over");
        assert_eq!(table.get("key_b", "resp_1", 1).await.unwrap(), None, "another's");
        assert!(!table.delete("key_b", "resp_1").await.unwrap());
        assert!(table.delete("key_a", "resp_1").await.unwrap());
        assert_eq!(table.get("key_a", "resp_1", 1).await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_oldest_and_the_expired_make_room() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let table = store.responses();
        for n in 0..100 {
            let row = ResponseRow {
                created_s: n,
                expires_s: if n == 99 { 5 } else { 100 },
                ..row("k", &format!("r{n:03}"))
            };
            table.put(&row).await.unwrap();
        }
        table.prune(10, i64::MAX).await.unwrap();
        assert_eq!(table.get("k", "r099", 1).await.unwrap(), None, "expired");
        assert!(table.get("k", "r000", 1).await.unwrap().is_some());
        // Four bytes each.
        table.prune(10, 4 * 40).await.unwrap();
        assert_eq!(table.get("k", "r000", 1).await.unwrap(), None, "the oldest went first");
        assert!(table.get("k", "r098", 1).await.unwrap().is_some());
    }
}
