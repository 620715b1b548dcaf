//! Opening the database: private files, one migration at a time, durable writes.
//!
//! SQLite in WAL mode with `synchronous = FULL`: a commit that returned survives
//! `kill -9` and a power cut. Each migration runs in its own transaction, so a failed
//! one leaves the schema as it was.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::directory::{create, ensure_private_file, lock};
use crate::{KeyTable, ResponseTable, Sealer, StoreError};

/// How long a statement waits for another process's write, in seconds. Writes here are
/// single rows; five seconds is a disk in trouble.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Most connections open at once. SQLite has one writer; a few readers beside it suffice.
const CONNECTIONS_MAX: u32 = 4;
/// The database's name in the data directory.
const FILE: &str = "outcrop.db";

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// An open data directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: SqlitePool,
    sealer: Sealer,
    path: PathBuf,
}

impl Store {
    /// Opens the data directory, making it, its database and its master key if they are
    /// not there. Safe when several processes do so at once.
    ///
    /// # Errors
    /// [`StoreError`] when the directory cannot be used, or was written by a newer version.
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        create(directory)?;
        let _lock = lock(directory)?;
        let path = directory.join(FILE);
        ensure_private_file(&path)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options).await?;
        migrate(&pool, &MIGRATIONS, &path).await?;
        let fresh = !KeyTable::new(&pool).any().await?;
        let sealer = Sealer::load(directory, fresh)?;
        Ok(Self(Arc::new(Inner { pool, sealer, path })))
    }

    /// The table of keys.
    pub fn keys(&self) -> KeyTable<'_> {
        KeyTable::new(&self.0.pool)
    }

    /// The table of kept responses.
    pub fn responses(&self) -> ResponseTable<'_> {
        ResponseTable::new(&self.0.pool)
    }

    /// Seals what must be readable again.
    pub fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Finishes what is under way and closes the database.
    pub async fn close(&self) {
        self.0.pool.close().await;
    }
}

async fn migrate(pool: &SqlitePool, migrations: &Migrator, path: &Path) -> Result<(), StoreError> {
    migrations.run(pool).await.map_err(|source| match source {
        MigrateError::VersionMissing(found) => StoreError::NewerSchema {
            path: path.to_owned(),
            found,
            known: migrations.iter().map(|migration| migration.version).max().unwrap_or(0),
        },
        source => StoreError::Migrate { path: path.to_owned(), source },
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use sqlx::migrate::{Migration, MigrationType};
    use sqlx::{AssertSqlSafe, SqlSafeStr};

    use super::*;

    fn migration(version: i64, sql: &str) -> Migration {
        let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
        Migration::new(version, "test".into(), MigrationType::Simple, sql, false)
    }

    #[tokio::test]
    async fn makes_a_private_directory_with_private_files() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("data");
        let store = Store::open(&directory).await.unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
        store.close().await;
    }

    #[tokio::test]
    async fn refuses_a_newer_schema_clearly() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let mut newer: Vec<_> = MIGRATIONS.iter().cloned().collect();
        newer.push(migration(9999, "CREATE TABLE later (id TEXT PRIMARY KEY)"));
        migrate(&store.0.pool, &Migrator::with_migrations(newer), store.path()).await.unwrap();
        store.close().await;

        let refused = Store::open(directory.path()).await.unwrap_err();
        assert!(matches!(refused, StoreError::NewerSchema { found: 9999, .. }), "{refused}");
        assert!(refused.to_string().contains("newer Outcrop"), "{refused}");
    }

    #[tokio::test]
    async fn a_failed_migration_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        let mut broken: Vec<_> = MIGRATIONS.iter().cloned().collect();
        broken.push(migration(9999, "CREATE TABLE half (id TEXT); INSERT INTO nowhere VALUES (1)"));
        let failed = migrate(&store.0.pool, &Migrator::with_migrations(broken), store.path()).await;
        assert!(matches!(failed, Err(StoreError::Migrate { .. })));
        let halves: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master WHERE name = 'half'")
            .fetch_one(&store.0.pool)
            .await
            .unwrap();
        assert_eq!(halves, 0);
        store.close().await;
        Store::open(directory.path()).await.expect("still opens");
    }

    #[tokio::test]
    async fn a_lost_master_key_is_not_replaced_under_sealed_secrets() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        store.keys().insert(&crate::keys::tests::row("key_a")).await.unwrap();
        store.close().await;
        std::fs::remove_file(directory.path().join("master.key")).unwrap();
        let refused = Store::open(directory.path()).await.unwrap_err();
        assert!(matches!(refused, StoreError::MasterKeyLost { .. }), "{refused}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_first_opens_at_once_agree() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let opens: Vec<_> = (0..4)
            .map(|_| {
                let path = path.clone();
                tokio::spawn(async move { Store::open(&path).await.unwrap() })
            })
            .collect();
        let mut sealed: Option<String> = None;
        for open in opens {
            let store = open.await.unwrap();
            let sealed = sealed.get_or_insert_with(|| store.sealer().seal("o", "s").unwrap());
            assert_eq!(store.sealer().open("o", sealed).unwrap().as_str(), "s");
        }
    }
}
