//! What must survive a restart: rows in SQLite, secrets sealed.
