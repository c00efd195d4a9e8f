CREATE TABLE plain_users (
    -- UUIDv7, so that lists ordered by it are in the order of registration.
    id TEXT NOT NULL PRIMARY KEY,
    partner TEXT NOT NULL,
    user_id TEXT NOT NULL,
    external_user_id TEXT NOT NULL,
    country TEXT NOT NULL,
    redirect_uri TEXT,
    attempt BIGINT NOT NULL CHECK (attempt >= 1),
    status TEXT NOT NULL
        CHECK (status IN ('pending', 'submitted', 'in_review', 'verified', 'rejected')),
    -- What an event that waits for confirmation says the status is.
    held TEXT CHECK (held IN ('submitted', 'in_review', 'verified', 'rejected')),
    source TEXT NOT NULL CHECK (source IN ('link', 'webhook', 'provider', 'manual')),
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
    -- From here on what looks at the provider remember; kyc/looks.rs says what each is for.
    hint_seq BIGINT NOT NULL DEFAULT 0,
    hint TEXT CHECK (hint IN ('in_review', 'verified', 'rejected')),
    hinted_at BIGINT,
    pull_ticket BIGINT NOT NULL DEFAULT 0,
    applied_ticket BIGINT NOT NULL DEFAULT 0,
    step BIGINT NOT NULL DEFAULT 4,
    lane TEXT NOT NULL DEFAULT 'sweep' CHECK (lane IN ('news', 'repeat', 'sweep')),
    -- When the next look is due; absent where the provider is never asked.
    due_at BIGINT,
    looked_at BIGINT,
    -- The provider's last word of this attempt, as it came.
    provider_word TEXT,
    unconfirmed_since BIGINT,
    -- Looks in a row that brought nothing usable.
    failures BIGINT NOT NULL DEFAULT 0,
    UNIQUE (partner, user_id),
    UNIQUE (partner, external_user_id)
);
INSERT INTO plain_users
SELECT
    id, partner, user_id, external_user_id, country, redirect_uri, attempt, status, held, source, version, kyc_link,
    link_created_at, created_at, updated_at, decided_at, overridden, conflict, confirmed_at, hint_seq, hint, hinted_at,
    pull_ticket, applied_ticket, step, lane, due_at, looked_at, provider_word, unconfirmed_since, failures
FROM users ORDER BY id;

CREATE TABLE plain_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    partner TEXT NOT NULL,
    -- users.id of whom it was matched with.
    user_key TEXT,
    attempt BIGINT,
    external_user_id TEXT,
    family TEXT,
    event TEXT,
    signature BYTEA NOT NULL,
    -- The exact bytes; absent for families other than KYC, whose bodies carry people's names.
    body BYTEA,
    outcome TEXT NOT NULL
        CHECK (outcome IN ('applied', 'repeated', 'stale', 'held', 'unmatched', 'ignored', 'unreadable')),
    repeats BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    last_received_at BIGINT NOT NULL
);
INSERT INTO plain_deliveries
SELECT
    id, partner, user_key, attempt, external_user_id, family, event, signature, body, outcome, repeats, received_at,
    last_received_at
FROM deliveries ORDER BY id;

CREATE TABLE plain_transitions (
    partner TEXT NOT NULL,
    seq BIGINT NOT NULL,
    user_key TEXT NOT NULL,
    -- users.version that the change made.
    version BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    from_status TEXT,
    to_status TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('link', 'webhook', 'provider', 'manual')),
    event TEXT,
    delivery_id TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (partner, seq),
    UNIQUE (user_key, version)
);
INSERT INTO plain_transitions
SELECT
    partner, seq, user_key,
    version, attempt, from_status, to_status, source, event, delivery_id, at
FROM transitions ORDER BY partner, seq;

-- The last sequence number given out, for each partner.
CREATE TABLE feeds (
    partner TEXT NOT NULL PRIMARY KEY,
    last_seq BIGINT NOT NULL
);
INSERT INTO feeds SELECT partner, MAX(seq) FROM transitions GROUP BY partner;

DROP TABLE strays;
DROP TABLE transitions;
DROP TABLE deliveries;
DROP TABLE users;
ALTER TABLE plain_users RENAME TO users;
ALTER TABLE plain_deliveries RENAME TO deliveries;
ALTER TABLE plain_transitions RENAME TO transitions;
CREATE INDEX users_by_registration ON users (partner, id);
CREATE INDEX users_by_due ON users (partner, lane, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_by_user ON deliveries (user_key) WHERE user_key IS NOT NULL;
CREATE INDEX deliveries_without_user ON deliveries (partner, external_user_id) WHERE user_key IS NULL;
