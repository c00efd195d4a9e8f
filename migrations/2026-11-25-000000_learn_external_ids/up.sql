-- What was learnt of users as they were created at the provider: by which id its webhooks will name each of them. It is
-- asked when a user is registered by its user_id alone; from then on users.external_user_id stands.
CREATE TABLE learnt_ids (
    partner TEXT NOT NULL,
    user_id TEXT NOT NULL,
    external_user_id TEXT NOT NULL,
    PRIMARY KEY (partner, user_id)
);
