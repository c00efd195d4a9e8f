-- A verdict that a webhook set is unconfirmed until a check agrees with it (kyc/verification.rs). In a database from before,
-- imports and overrides count as confirmed. A verdict that a webhook set and no check has confirmed counts as applied at the
-- moment of the upgrade: the program writes that time at its next start, because a migration has no clock.

CREATE TABLE confirmed_users (
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
    lane TEXT NOT NULL DEFAULT 'sweep'
        CHECK (lane = 'unconfirmed' OR lane = 'news' OR lane = 'young' OR lane = 'repeat' OR lane = 'sweep'),
    -- When the next check is due; absent where the provider is never asked.
    due_at BIGINT,
    looked_at BIGINT,
    -- The provider's last word of this attempt, as it came.
    provider_word TEXT,
    -- Since when the provider has had no verdict of a verified user.
    no_verdict_since BIGINT,
    -- Checks in a row that brought nothing usable.
    failures BIGINT NOT NULL DEFAULT 0,
    -- deliveries.id and transitions.seq of the last ones.
    last_delivery TEXT,
    last_transition BIGINT,
    -- Whether a verdict about the user was ever delivered or read.
    heard BOOLEAN NOT NULL DEFAULT FALSE,
    -- What is known against a verdict that a webhook set and no check has confirmed.
    unconfirmed TEXT CHECK (unconfirmed = 'believed' OR unconfirmed = 'timed_out' OR unconfirmed = 'denied'),
    -- When that verdict was applied; absent after the migration until the program starts.
    unconfirmed_at BIGINT,
    after_review BOOLEAN NOT NULL DEFAULT FALSE,
    -- Why the provider's last answer was unusable; absent once one is usable.
    unusable TEXT,
    -- When the current attempt opened.
    opened_at BIGINT NOT NULL,
    -- How many links of the current attempt the provider was asked for, and when last.
    links_asked BIGINT NOT NULL DEFAULT 0,
    link_asked_at BIGINT,
    -- When the provider first named no session while the current attempt was about to end.
    no_session_at BIGINT,
    UNIQUE (partner, user_id),
    UNIQUE (partner, external_user_id)
);
INSERT INTO confirmed_users (
    id, partner, user_id, external_user_id, country, redirect_uri, attempt, status, held, source, version, kyc_link,
    link_created_at, created_at, updated_at, decided_at, overridden, conflict, confirmed_at, hint_seq, hint,
    hinted_at, pull_ticket, applied_ticket, step, lane, due_at, looked_at, provider_word, no_verdict_since, failures,
    last_delivery, last_transition, heard, unconfirmed, opened_at, links_asked, link_asked_at
)
SELECT
    users.id, users.partner, users.user_id, users.external_user_id, users.country, users.redirect_uri, users.attempt,
    users.status, users.held, users.source, users.version, users.kyc_link, users.link_created_at, users.created_at,
    users.updated_at, users.decided_at, users.overridden, users.conflict, users.confirmed_at, users.hint_seq,
    users.hint, users.hinted_at, users.pull_ticket, users.applied_ticket, users.step, users.lane, users.due_at,
    users.looked_at, users.provider_word, users.unconfirmed_since, users.failures, users.last_delivery,
    users.last_transition,
    users.status = 'verified' OR users.status = 'rejected' OR users.attempt > 1
        OR users.id IN (SELECT user_key FROM deliveries
            WHERE user_key IS NOT NULL AND (event = 'VERIFIED_USER' OR event = 'REJECTED_KYC')),
    CASE WHEN (users.status = 'verified' OR users.status = 'rejected') AND users.confirmed_at IS NULL AND NOT users.overridden
        AND users.id NOT IN (
            SELECT user_key FROM transitions
            WHERE attempt = 1 AND from_status IS NULL AND (to_status = 'verified' OR to_status = 'rejected'))
        THEN 'believed' END,
    COALESCE(opened.at, users.created_at),
    -- How many links were asked for is not known, so that it may have been several.
    CASE WHEN users.link_created_at IS NULL THEN 0 ELSE 2 END,
    users.link_created_at
FROM users
LEFT JOIN (
    SELECT user_key, MAX(at) AS at FROM transitions WHERE from_status IS NULL AND attempt > 1 GROUP BY user_key
) AS opened ON opened.user_key = users.id AND users.attempt > 1
ORDER BY users.id;

-- The users who read `verified` unconfirmed, and those whom a check denied within the last hour: what the cap counts.
CREATE TABLE unconfirmed (
    partner TEXT NOT NULL,
    -- users.id
    user_key TEXT NOT NULL,
    applied_at BIGINT NOT NULL,
    -- When a check found no verdict.
    denied_at BIGINT,
    PRIMARY KEY (partner, user_key)
) WITHOUT ROWID;
INSERT INTO unconfirmed SELECT partner, id, 0, NULL FROM confirmed_users WHERE status = 'verified' AND unconfirmed = 'believed';

-- Until the program has written those times.
INSERT INTO heartbeats SELECT 'undated_verdicts', 0 WHERE EXISTS (SELECT 1 FROM confirmed_users WHERE unconfirmed IS NOT NULL);

-- The policy that each partner had when the service last started.
CREATE TABLE trust_policies (
    partner TEXT NOT NULL PRIMARY KEY,
    policy TEXT NOT NULL CHECK (policy = 'never' OR policy = 'on_conflict' OR policy = 'before_final')
);

-- An attempt may end without a session: the provider said twice that there is none.
CREATE TABLE noted_attempts (
    user_key TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    session_id TEXT,
    -- By the provider's clock; absent where it could not be read.
    session_created_at BIGINT,
    PRIMARY KEY (user_key, attempt)
);
INSERT INTO noted_attempts SELECT user_key, attempt, session_id, session_created_at FROM attempts;

DROP TABLE attempts;
ALTER TABLE noted_attempts RENAME TO attempts;
DROP TABLE users;
ALTER TABLE confirmed_users RENAME TO users;
CREATE INDEX users_by_registration ON users (partner, id);
CREATE INDEX users_by_due ON users (partner, lane, due_at);
