-- Append-only: what admins had done about a user without setting its status.
CREATE TABLE acts (
    -- UUIDv7, by the time of the act.
    id TEXT NOT NULL PRIMARY KEY,
    user_key TEXT NOT NULL,
    admin TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind = 'confirm' OR kind = 'refold'),
    -- The delivery that was folded again.
    delivery_id TEXT,
    at BIGINT NOT NULL
);
CREATE INDEX acts_by_user ON acts (user_key);
