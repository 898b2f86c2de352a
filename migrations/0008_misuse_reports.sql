-- What organizations report of cards that were misused. Narrative and note are sealed, each under a key of its own.
CREATE TABLE misuse_reports (
    misuse_report_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES NOT NULL REFERENCES organizations (organization_id),
    lookup_key BYTES NOT NULL,
    key_version BIGINT NOT NULL,
    sealed_digest BYTES NOT NULL,
    state TEXT NOT NULL,
    kind TEXT NOT NULL,
    check_id BYTES,
    observed_at BIGINT NOT NULL,
    site TEXT,
    narrative_key BYTES,
    narrative_sealed BYTES,
    reported_at BIGINT NOT NULL,
    resolved_at BIGINT,
    resolved_by BYTES,
    resolved_by_office TEXT,
    outcome TEXT,
    note_key BYTES,
    note_sealed BYTES
);
CREATE INDEX misuse_reports_by_lookup_key ON misuse_reports (lookup_key);
CREATE INDEX misuse_reports_by_state ON misuse_reports (state, misuse_report_id);
