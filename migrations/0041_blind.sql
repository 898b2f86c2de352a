-- By which blind keys the entries of rows of the feed are made: none while nobody checks blindly. While `blind_behind` is not 0
-- an import writes listings without their entries, and nobody can check blindly before the next key has its base.
ALTER TABLE feed_head ADD COLUMN blind_version BIGINT;
ALTER TABLE feed_head ADD COLUMN blind_version_from BIGINT;
ALTER TABLE feed_head ADD COLUMN blind_behind BIGINT NOT NULL DEFAULT 0;

-- The blind keys. The seed is sealed, so that every node has it by its seal key; it goes when audits are over.
CREATE TABLE blind_keys (
    epoch BIGINT NOT NULL PRIMARY KEY,
    sealed_seed BYTES,
    public_key BYTES NOT NULL,
    begun_at BIGINT NOT NULL,
    ended_at BIGINT,
    -- Of its base, as soon as that is complete.
    base_seq BIGINT,
    base_bytes BIGINT,
    manifest BYTES,
    -- Which node builds it, and when that last said so.
    builder BYTES,
    building_at BIGINT
);
-- Bases, in pieces: all nodes give out the same bytes.
CREATE TABLE blind_pieces (
    epoch BIGINT NOT NULL,
    place BIGINT NOT NULL,
    bytes BYTES NOT NULL,
    PRIMARY KEY (epoch, place)
);
