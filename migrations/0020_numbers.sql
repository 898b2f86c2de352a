-- How many guests a client declares for a day (none: what the settings say), and whether it may send digests. Since when and why it
-- is held, and when it was released last.
ALTER TABLE clients ADD COLUMN numbers TEXT;
ALTER TABLE clients ADD COLUMN digests TEXT NOT NULL DEFAULT 'taken';
ALTER TABLE clients ADD COLUMN held_at BIGINT;
ALTER TABLE clients ADD COLUMN held_for TEXT;
ALTER TABLE clients ADD COLUMN released_at BIGINT;

-- Whose watch it is: their number is bounded for each client.
ALTER TABLE watches ADD COLUMN client_id BYTES;
CREATE INDEX watches_by_client ON watches (client_id, ends_at);

-- Whether limits of numbers refuse. A store that has keys already is of before there were such limits: there they count and tell.
CREATE TABLE numbers_mode (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    mode TEXT NOT NULL
);
INSERT INTO numbers_mode (id, mode)
    SELECT 1, CASE WHEN EXISTS (SELECT 1 FROM key_checks) THEN 'observe' ELSE 'enforce' END;
