-- What this database is for, by name, written at the first start: `environment` is that of the provider.
CREATE TABLE stamps (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
