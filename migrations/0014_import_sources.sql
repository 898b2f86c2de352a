-- What an import brought, in pieces of the feed: each report keeps the sequence of its last change, so those that are still as the
-- import left them are found by it, and an undoing reads no more.
CREATE TABLE import_pieces (
    import_id BYTES NOT NULL,
    first_sequence BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    PRIMARY KEY (import_id, first_sequence)
);

-- The rows of sources that list all they know again and again. Source and row are keyed fingerprints.
CREATE TABLE import_rows (
    source_id BYTES NOT NULL,
    row_fingerprint BYTES NOT NULL,
    report_id BYTES NOT NULL,
    PRIMARY KEY (source_id, row_fingerprint)
);
CREATE INDEX import_rows_by_report ON import_rows (report_id);
