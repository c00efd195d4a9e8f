-- How many links the provider was asked for, on the last day (UTC, since 1970) on which it was.
CREATE TABLE new_links (
    user_key TEXT NOT NULL PRIMARY KEY,
    day BIGINT NOT NULL,
    made BIGINT NOT NULL
);
