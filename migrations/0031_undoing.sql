-- Which report made an alert: when it turns out to be nobody's, those who were told by it are told so.
ALTER TABLE alerts ADD COLUMN report_id BYTES;
CREATE INDEX alerts_by_report ON alerts (report_id);

-- Replacements that were taken back list nothing: they stand apart, where no look-up of a listing meets them, of whichever version the node is.
CREATE TABLE taken_back_replacements (
    replacement_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES NOT NULL,
    lookup_key BYTES NOT NULL,
    key_version BIGINT NOT NULL,
    sealed_digest BYTES NOT NULL,
    card_valid_from TEXT NOT NULL,
    office TEXT NOT NULL,
    recorded_at BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    taken_back_at BIGINT NOT NULL
);
CREATE INDEX taken_back_replacements_by_lookup_key ON taken_back_replacements (lookup_key);
CREATE INDEX taken_back_replacements_by_time ON taken_back_replacements (taken_back_at);
