-- What looks at the provider remember of a user. kyc/looks.rs says what each is for.
ALTER TABLE users ADD COLUMN overridden BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE users ADD COLUMN conflict BOOLEAN NOT NULL DEFAULT FALSE;
-- When the provider last agreed with the status.
ALTER TABLE users ADD COLUMN confirmed_at BIGINT;
ALTER TABLE users ADD COLUMN hint_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN hint TEXT CHECK (hint IN ('in_review', 'verified', 'rejected'));
ALTER TABLE users ADD COLUMN hinted_at BIGINT;
ALTER TABLE users ADD COLUMN pull_ticket BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN applied_ticket BIGINT NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN step BIGINT NOT NULL DEFAULT 4;
ALTER TABLE users ADD COLUMN lane TEXT NOT NULL DEFAULT 'sweep' CHECK (lane IN ('news', 'repeat', 'sweep'));
-- When the next look is due; absent where the provider is never asked.
ALTER TABLE users ADD COLUMN due_at BIGINT;
ALTER TABLE users ADD COLUMN looked_at BIGINT;
-- The provider's last word of this attempt, as it came.
ALTER TABLE users ADD COLUMN provider_word TEXT;
ALTER TABLE users ADD COLUMN unconfirmed_since BIGINT;
-- Looks in a row that brought nothing usable.
ALTER TABLE users ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;

CREATE INDEX users_by_due ON users (partner, lane, due_at) WHERE due_at IS NOT NULL;

-- The latest session of the provider's that is known of each attempt.
CREATE TABLE attempts (
    user_key TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    session_id TEXT NOT NULL,
    -- By the provider's clock; absent where it could not be read.
    session_created_at BIGINT,
    PRIMARY KEY (user_key, attempt)
);

-- Append-only: every time an admin set a status by hand.
CREATE TABLE overrides (
    id TEXT NOT NULL PRIMARY KEY,
    user_key TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    admin TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- What readers were shown before and after.
    from_status TEXT NOT NULL,
    to_status TEXT NOT NULL,
    at BIGINT NOT NULL
);

CREATE INDEX overrides_by_user ON overrides (user_key);

-- Where catching up after a standstill of the service has got to; a partner without a row has caught up.
CREATE TABLE catch_ups (
    partner TEXT NOT NULL PRIMARY KEY,
    -- When the service was last seen alive before the standstill, and when it came back.
    gap_from BIGINT NOT NULL,
    gap_to BIGINT NOT NULL,
    -- Whether the provider's own list of failed webhooks has been read.
    ledger_read BOOLEAN NOT NULL,
    -- users.id of the last user who was looked at.
    cursor TEXT NOT NULL
);
