-- Several nodes on one store. Every column has a default, so that nodes of the version before go on beside new ones.

-- What each node knows: writers wait for it. And the newest pepper it holds: no pepper is taken into use before every node has it.
ALTER TABLE nodes ADD COLUMN confirmed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN pepper_version BIGINT NOT NULL DEFAULT 0;

-- The pepper that new rows are keyed with, and while rows are being re-keyed the one that old rows still have.
ALTER TABLE feed_head ADD COLUMN key_version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE feed_head ADD COLUMN key_version_from BIGINT;
