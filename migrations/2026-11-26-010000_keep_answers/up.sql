-- What a request for a link with an Idempotency-Key was answered, to be answered again for a day.
CREATE TABLE kept_answers (
    partner TEXT NOT NULL,
    name TEXT NOT NULL,
    -- HMAC-SHA-256 of the body under a secret that is not in this file, so that nobody can guess the body from it.
    body_mac BYTEA NOT NULL,
    -- JSON. No link stands in it.
    answer TEXT NOT NULL,
    kept_at BIGINT NOT NULL,
    PRIMARY KEY (partner, name)
);
CREATE INDEX kept_answers_by_age ON kept_answers (kept_at);
