-- What this store is for: production or a sandbox. Told at its first start and never changed. A store that has keys already is of
-- before there were sandboxes.
CREATE TABLE environment (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL
);
INSERT INTO environment (id, name) SELECT 1, 'production' WHERE EXISTS (SELECT 1 FROM key_checks);
