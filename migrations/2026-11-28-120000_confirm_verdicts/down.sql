CREATE TABLE chained_users (
    id TEXT NOT NULL PRIMARY KEY,
    partner TEXT NOT NULL,
    user_id TEXT NOT NULL,
    external_user_id TEXT NOT NULL,
    country TEXT NOT NULL,
    redirect_uri TEXT,
    attempt BIGINT NOT NULL CHECK (attempt >= 1),
    status TEXT NOT NULL
        CHECK (status = 'pending' OR status = 'submitted' OR status = 'in_review' OR status = 'verified' OR status = 'rejected'),
    -- What an event that waits for a check says the status is.
    held TEXT CHECK (held = 'submitted' OR held = 'in_review' OR held = 'verified' OR held = 'rejected'),
    source TEXT NOT NULL CHECK (source = 'link' OR source = 'webhook' OR source = 'provider' OR source = 'manual'),
    version BIGINT NOT NULL CHECK (version >= 1),
    kyc_link TEXT,
    link_created_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    decided_at BIGINT,
    overridden BOOLEAN NOT NULL DEFAULT FALSE,
    conflict BOOLEAN NOT NULL DEFAULT FALSE,
    -- When the provider last agreed with the status.
    confirmed_at BIGINT,
    -- From here on what checks remember; kyc/looks.rs says what each is for.
    hint_seq BIGINT NOT NULL DEFAULT 0,
    hint TEXT CHECK (hint = 'in_review' OR hint = 'verified' OR hint = 'rejected'),
    hinted_at BIGINT,
    pull_ticket BIGINT NOT NULL DEFAULT 0,
    applied_ticket BIGINT NOT NULL DEFAULT 0,
    step BIGINT NOT NULL DEFAULT 4,
    lane TEXT NOT NULL DEFAULT 'sweep' CHECK (lane = 'news' OR lane = 'repeat' OR lane = 'sweep'),
    -- When the next check is due; absent where the provider is never asked.
    due_at BIGINT,
    looked_at BIGINT,
    -- The provider's last word of this attempt, as it came.
    provider_word TEXT,
    unconfirmed_since BIGINT,
    -- Checks in a row that brought nothing usable.
    failures BIGINT NOT NULL DEFAULT 0,
    -- deliveries.id and transitions.seq of the last ones.
    last_delivery TEXT,
    last_transition BIGINT,
    UNIQUE (partner, user_id),
    UNIQUE (partner, external_user_id)
);
INSERT INTO chained_users
SELECT
    id, partner, user_id, external_user_id, country, redirect_uri, attempt, status, held, source, version, kyc_link,
    link_created_at, created_at, updated_at, decided_at, overridden, conflict, confirmed_at, hint_seq, hint,
    hinted_at, pull_ticket, applied_ticket, step, CASE WHEN lane = 'unconfirmed' THEN 'news' WHEN lane = 'young' THEN
    'sweep' ELSE lane END, due_at, looked_at, provider_word, no_verdict_since, failures, last_delivery,
    last_transition
FROM users ORDER BY id;

CREATE TABLE known_attempts (
    user_key TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    session_id TEXT NOT NULL,
    -- By the provider's clock; absent where it could not be read.
    session_created_at BIGINT,
    PRIMARY KEY (user_key, attempt)
);
INSERT INTO known_attempts
SELECT user_key, attempt, session_id, session_created_at FROM attempts WHERE session_id IS NOT NULL;

DELETE FROM heartbeats WHERE name = 'undated_verdicts';
DROP TABLE trust_policies;
DROP TABLE unconfirmed;
DROP TABLE attempts;
ALTER TABLE known_attempts RENAME TO attempts;
DROP TABLE users;
ALTER TABLE chained_users RENAME TO users;
CREATE INDEX users_by_registration ON users (partner, id);
CREATE INDEX users_by_due ON users (partner, lane, due_at);
