-- A webhook costs mostly the pages that it touches and the statements that are parsed for it. So
-- - what it writes is appended and has no index by user: each row of a user names the one before it, and the user the last;
-- - no index is partial, because with one SQLite parses a statement on that table anew each time it is bound;
-- - no check says IN, for which SQLite builds an index of the words each time;
-- - deliveries and transitions have no row numbers of their own, which would make their key a second tree to write to
--   (PostgreSQL knows no WITHOUT ROWID and needs none);
-- - the last number of a partner's transitions is read off its last transition.

CREATE TABLE chained_users (
    -- UUIDv7, so that lists ordered by it are in the order of registration.
    id TEXT NOT NULL PRIMARY KEY,
    partner TEXT NOT NULL,
    user_id TEXT NOT NULL,
    external_user_id TEXT NOT NULL,
    country TEXT NOT NULL,
    redirect_uri TEXT,
    attempt BIGINT NOT NULL CHECK (attempt >= 1),
    status TEXT NOT NULL
        CHECK (status = 'pending' OR status = 'submitted' OR status = 'in_review' OR status = 'verified' OR status = 'rejected'),
    -- What an event that waits for confirmation says the status is.
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
    -- From here on what looks at the provider remember; kyc/looks.rs says what each is for.
    hint_seq BIGINT NOT NULL DEFAULT 0,
    hint TEXT CHECK (hint = 'in_review' OR hint = 'verified' OR hint = 'rejected'),
    hinted_at BIGINT,
    pull_ticket BIGINT NOT NULL DEFAULT 0,
    applied_ticket BIGINT NOT NULL DEFAULT 0,
    step BIGINT NOT NULL DEFAULT 4,
    lane TEXT NOT NULL DEFAULT 'sweep' CHECK (lane = 'news' OR lane = 'repeat' OR lane = 'sweep'),
    -- When the next look is due; absent where the provider is never asked.
    due_at BIGINT,
    looked_at BIGINT,
    -- The provider's last word of this attempt, as it came.
    provider_word TEXT,
    unconfirmed_since BIGINT,
    -- Looks in a row that brought nothing usable.
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
    link_created_at, created_at, updated_at, decided_at, overridden, conflict, confirmed_at, hint_seq, hint, hinted_at,
    pull_ticket, applied_ticket, step, lane, due_at, looked_at, provider_word, unconfirmed_since, failures,
    (SELECT MAX(id) FROM deliveries WHERE user_key = users.id),
    (SELECT MAX(seq) FROM transitions WHERE user_key = users.id)
FROM users ORDER BY id;

CREATE TABLE chained_deliveries (
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
        CHECK (outcome = 'applied' OR outcome = 'repeated' OR outcome = 'stale' OR outcome = 'held' OR outcome = 'unmatched' OR outcome = 'ignored' OR outcome = 'unreadable'),
    repeats BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    last_received_at BIGINT NOT NULL,
    -- deliveries.id of the delivery of the same user before this one.
    previous TEXT
) WITHOUT ROWID;
INSERT INTO chained_deliveries
SELECT
    id, partner, user_key, attempt, external_user_id, family, event, signature, body, outcome, repeats, received_at,
    last_received_at,
    (SELECT MAX(earlier.id) FROM deliveries AS earlier
     WHERE earlier.user_key = deliveries.user_key AND earlier.id < deliveries.id)
FROM deliveries ORDER BY id;

CREATE TABLE chained_transitions (
    partner TEXT NOT NULL,
    seq BIGINT NOT NULL,
    user_key TEXT NOT NULL,
    -- transitions.seq of the transition of the same user before this one.
    previous BIGINT,
    -- users.version that the change made.
    version BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    from_status TEXT,
    to_status TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source = 'link' OR source = 'webhook' OR source = 'provider' OR source = 'manual'),
    event TEXT,
    delivery_id TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (partner, seq)
) WITHOUT ROWID;
INSERT INTO chained_transitions
SELECT
    partner, seq, user_key,
    (SELECT MAX(earlier.seq) FROM transitions AS earlier
     WHERE earlier.user_key = transitions.user_key AND earlier.version < transitions.version),
    version, attempt, from_status, to_status, source, event, delivery_id, at
FROM transitions ORDER BY partner, seq;

-- Deliveries that belong to no user, by whom they are about.
CREATE TABLE strays (
    partner TEXT NOT NULL,
    -- Empty where the delivery names nobody.
    external_user_id TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    PRIMARY KEY (partner, external_user_id, delivery_id)
);
INSERT INTO strays SELECT partner, COALESCE(external_user_id, ''), id FROM deliveries WHERE user_key IS NULL;

DROP TABLE feeds;
DROP TABLE transitions;
DROP TABLE deliveries;
DROP TABLE users;
ALTER TABLE chained_users RENAME TO users;
ALTER TABLE chained_deliveries RENAME TO deliveries;
ALTER TABLE chained_transitions RENAME TO transitions;
CREATE INDEX users_by_registration ON users (partner, id);
CREATE INDEX users_by_due ON users (partner, lane, due_at);
