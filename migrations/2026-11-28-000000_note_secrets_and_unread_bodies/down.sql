ALTER TABLE deliveries DROP COLUMN body_sha256;
ALTER TABLE deliveries DROP COLUMN body_length;
ALTER TABLE deliveries DROP COLUMN secret;
