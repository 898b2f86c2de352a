-- Devices of desks and stations: the code by which a page registers its key, once, and what becomes of the device.
CREATE TABLE pairings (
    pairing_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES NOT NULL,
    scopes TEXT NOT NULL,
    site TEXT NOT NULL,
    name TEXT,
    numbers TEXT,
    created_at BIGINT NOT NULL,
    -- Until when the code is good; keyed hashes of its first half and of all of it, none once it is used up; how often somebody has
    -- guessed at it.
    expires_at BIGINT NOT NULL,
    name_mark BYTES,
    code_mark BYTES,
    guesses BIGINT NOT NULL,
    -- 1: a demo's, whose code is good for any number of devices.
    is_lasting BIGINT NOT NULL,
    -- The client that the device is, and since when.
    client_id BYTES,
    paired_at BIGINT,
    -- What its PIN is proven by, sealed; how often it was missed since it was right; since when the device is locked.
    pin_key BYTES,
    pins_missed BIGINT NOT NULL,
    locked_at BIGINT,
    ended_at BIGINT
);
CREATE INDEX pairings_by_organization ON pairings (organization_id, pairing_id);
CREATE INDEX pairings_by_name ON pairings (name_mark);
CREATE UNIQUE INDEX pairings_by_client ON pairings (client_id);
