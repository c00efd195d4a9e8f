-- Runs unchanged on SQLite and PostgreSQL: text ids and times made by the program, no auto-increment, no now().
-- Times are microseconds since 1970-01-01T00:00:00Z.

-- One person of one partner.
CREATE TABLE users (
    -- UUIDv7, so that lists ordered by it are in the order of registration.
    id TEXT NOT NULL PRIMARY KEY,
    partner TEXT NOT NULL,
    user_id TEXT NOT NULL,
    external_user_id TEXT NOT NULL,
    country TEXT NOT NULL,
    redirect_uri TEXT,
    attempt BIGINT NOT NULL CHECK (attempt >= 1),
    status TEXT NOT NULL CHECK (status IN ('pending', 'submitted', 'in_review', 'verified', 'rejected')),
    -- What an event that waits for confirmation says the status is.
    held TEXT CHECK (held IN ('submitted', 'in_review', 'verified', 'rejected')),
    source TEXT NOT NULL CHECK (source IN ('link', 'webhook', 'provider', 'manual')),
    version BIGINT NOT NULL CHECK (version >= 1),
    kyc_link TEXT,
    link_created_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    decided_at BIGINT,
    UNIQUE (partner, user_id),
    UNIQUE (partner, external_user_id)
);

CREATE INDEX users_by_registration ON users (partner, id);

-- One signed webhook, or several that were byte for byte the same and had the same outcome.
CREATE TABLE deliveries (
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

CREATE INDEX deliveries_by_user ON deliveries (user_key) WHERE user_key IS NOT NULL;
CREATE INDEX deliveries_without_user ON deliveries (partner, external_user_id) WHERE user_key IS NULL;

-- Append-only: every change of a status as readers see it. The sequence has no gaps and is in commit order.
CREATE TABLE transitions (
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

-- The last sequence number given out, for each partner.
CREATE TABLE feeds (
    partner TEXT NOT NULL PRIMARY KEY,
    last_seq BIGINT NOT NULL
);

-- What the readiness check writes, to know that the store takes writes.
CREATE TABLE heartbeats (
    name TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL
);
