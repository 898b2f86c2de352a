-- What finds the rows that have outlived their time without reading the others. The indexes of large tables are built for longer
-- than a statement may otherwise take.
NO_TIME_LIMIT;

-- Each report stands in exactly one of these three.
CREATE INDEX loss_reports_by_end ON loss_reports (card_valid_until)
    WHERE state <> 'withdrawn' AND card_valid_until IS NOT NULL;
CREATE INDEX loss_reports_without_end ON loss_reports (reported_at)
    WHERE state <> 'withdrawn' AND card_valid_until IS NULL;
CREATE INDEX loss_reports_withdrawn ON loss_reports (closed_at) WHERE state = 'withdrawn';
CREATE INDEX replacements_by_time ON replacements (recorded_at);
CREATE INDEX found_cards_by_close ON found_cards (closed_at);
CREATE INDEX found_cards_by_report ON found_cards (matched_report_id);
CREATE INDEX replacement_applications_by_close ON replacement_applications (closed_at);
CREATE INDEX replacement_applications_refused ON replacement_applications (applied_at)
    WHERE state = 'refused' AND closed_at IS NULL;
CREATE INDEX misuse_reports_by_resolution ON misuse_reports (resolved_at);
CREATE INDEX temporary_certificates_by_end ON temporary_certificates (expires_at);
CREATE INDEX idempotency_by_time ON idempotency (created_at);
CREATE INDEX revoked_tokens_by_time ON revoked_tokens (revoked_at);

-- When a node last began to delete what has outlived its time, and when that was last brought to its end: one node does it for all.
CREATE TABLE retention (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    begun_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL
);
INSERT INTO retention (id, begun_at, finished_at) VALUES (1, 0, 0);
