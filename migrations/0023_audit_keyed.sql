-- A second hash of each entry, under a key that the database does not hold, and from what kind of address the act came. None in
-- entries of before.
ALTER TABLE audit ADD COLUMN keyed_hash BYTES;
ALTER TABLE audit ADD COLUMN origin TEXT;

-- Which persons an entry is about: keyed hashes of their numbers, under a secret that no rotation of peppers changes. The entry's hash
-- covers them.
CREATE TABLE audit_subjects (
    seq BIGINT NOT NULL,
    subject_tag BYTES NOT NULL,
    PRIMARY KEY (seq, subject_tag)
);
CREATE INDEX audit_subjects_by_tag ON audit_subjects (subject_tag, seq);

-- The database itself refuses to change or to remove one: replaced as in the audit log's first migration.
SUBJECTS_ARE_APPEND_ONLY;

-- Entries of before have no tags: they are found by the ids of records. The log may be long.
NO_TIME_LIMIT;
CREATE INDEX audit_by_subject ON audit (subject);

-- By which issuer nodes serve from this store: what a command signs in its name.
CREATE TABLE service (
    id BIGINT NOT NULL PRIMARY KEY,
    issuer TEXT NOT NULL
);
