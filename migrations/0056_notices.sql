-- What a portal is told about a report that it filed: the card was handed in, or shown. A row for each endpoint until it is delivered. Of one
-- found card, report or first check of an entry there is one.
CREATE TABLE notices (
    source_id BYTES NOT NULL,
    webhook_id BYTES NOT NULL,
    notice_id BYTES NOT NULL,
    kind TEXT NOT NULL,
    report_id BYTES NOT NULL,
    made_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    PRIMARY KEY (source_id, webhook_id)
);
CREATE INDEX notices_due ON notices (next_at);
CREATE INDEX notices_by_report ON notices (report_id);
