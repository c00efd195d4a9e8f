-- The label of the webhook secret that verified the delivery.
ALTER TABLE deliveries ADD COLUMN secret TEXT;
-- What is noted of a body that cannot be read, instead of its bytes: they may hold anything.
ALTER TABLE deliveries ADD COLUMN body_length BIGINT;
ALTER TABLE deliveries ADD COLUMN body_sha256 BYTEA;
UPDATE deliveries SET body_length = LENGTH(body), body = NULL WHERE outcome = 'unreadable';
