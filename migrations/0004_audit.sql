-- Who wrote or read records of persons. Rows are only ever added; each one's hash covers the one before, in the order of seq.
-- The subject is the id of a record, never a number.
CREATE TABLE audit (
    seq SEQUENCE_KEY,
    at BIGINT NOT NULL,
    organization_id BYTES,
    client_id BYTES,
    action TEXT NOT NULL,
    subject BYTES,
    hash BYTES NOT NULL
);

-- The database itself refuses to change or to remove an entry: replaced by each database's statements (src/store/schema.rs).
AUDIT_IS_APPEND_ONLY;
