-- An import stores each run in the order of its lookup keys. After a rotation of the pepper it must go on in the order it began.
ALTER TABLE imports ADD COLUMN key_version BIGINT NOT NULL DEFAULT 1;
