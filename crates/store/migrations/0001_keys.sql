-- Keys and who may show them. Text and BIGINT only: the subset SQLite and Postgres share.
-- Binary values are lower-case hex; times are unix seconds.
CREATE TABLE keys (
    id            TEXT   PRIMARY KEY,      -- key_…
    name          TEXT   NOT NULL,
    bearer_sha256 TEXT   NOT NULL,         -- of the whole bearer secret
    bearer_tail   TEXT   NOT NULL,         -- its last four characters, for recognition
    access_key_id TEXT   NOT NULL UNIQUE,  -- OCAK…
    sealed_secret TEXT   NOT NULL,         -- the SigV4 secret, sealed under the master key
    created_s     BIGINT NOT NULL,
    expires_s     BIGINT,                  -- NULL: never
    revoked_s     BIGINT                   -- NULL: not revoked. Rows are never deleted.
);

-- One row per topic, counted up in the transaction of every write to it, so that another
-- process learns of the write by reading one number.
CREATE TABLE generations (
    topic      TEXT   PRIMARY KEY,
    generation BIGINT NOT NULL
);
INSERT INTO generations (topic, generation) VALUES ('keys', 0);
