-- The registry log (decision 055): a Merkle tree over the rows of the feed, one for each epoch of the blind keys.
-- What a leaf is made of is blind: its bytes tell nothing without the key of its epoch.
CREATE TABLE log_leaves (
    -- That of the row of the feed. The leaf's place in its tree is seq - s0 - 1.
    seq SEQUENCE_KEY,
    epoch BIGINT NOT NULL,
    entry BYTES NOT NULL,
    -- While two keys live: the row's bytes under the older one.
    older BYTES
);

-- One row an epoch. Who changes it holds its lock, so that no two nodes extend one tree.
CREATE TABLE log_head (
    epoch BIGINT NOT NULL PRIMARY KEY,
    origin TEXT NOT NULL,
    -- The sequence at which the epoch began.
    s0 BIGINT NOT NULL,
    -- How many leaves the newest checkpoint has, and the note itself; empty before the first.
    size BIGINT NOT NULL,
    note TEXT NOT NULL,
    signed_at BIGINT NOT NULL,
    -- The newest one that enough witnesses have cosigned, and since when one waits for that.
    cosigned TEXT,
    cosigned_size BIGINT NOT NULL,
    waiting_since BIGINT,
    -- 1: the next epoch has begun, and its first leaf commits to the note.
    ended BIGINT NOT NULL
);

-- Tiles of C2SP tlog-tiles, full ones and the right edge.
CREATE TABLE log_tiles (
    epoch BIGINT NOT NULL,
    level BIGINT NOT NULL,
    tile BIGINT NOT NULL,
    hashes BYTES NOT NULL,
    PRIMARY KEY (epoch, level, tile)
);
