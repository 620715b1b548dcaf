-- Responses that clients asked to be kept. Text and BIGINT only: the subset SQLite and
-- Postgres share. Times are unix seconds.
CREATE TABLE responses (
    principal   TEXT   NOT NULL,           -- key_…: nobody else finds it
    id          TEXT   NOT NULL,           -- resp_…
    previous_id TEXT,                      -- the response it goes on from
    response    TEXT   NOT NULL,           -- the object, JSON
    input       TEXT   NOT NULL,           -- the request's own items, JSON
    bytes       BIGINT NOT NULL,           -- of both
    created_s   BIGINT NOT NULL,
    expires_s   BIGINT NOT NULL,
    PRIMARY KEY (principal, id)
);
CREATE INDEX responses_by_expiry ON responses (expires_s);
CREATE INDEX responses_by_age ON responses (created_s, bytes);
