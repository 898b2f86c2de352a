-- What an organization did on a calendar day in Beijing, by the site it named. Sums only: no check, client, purpose, reference or
-- hour can be told from them. site: `(none)` where none was named, `(other)` beyond the bound of sites.
CREATE TABLE usage_counts (
    organization_id BYTES NOT NULL REFERENCES organizations (organization_id),
    on_day TEXT NOT NULL,
    site TEXT NOT NULL,
    not_listed BIGINT NOT NULL,
    card_listed BIGINT NOT NULL,
    other_card_listed BIGINT NOT NULL,
    number_listed BIGINT NOT NULL,
    invalid BIGINT NOT NULL,
    limited BIGINT NOT NULL,
    unavailable BIGINT NOT NULL,
    batches BIGINT NOT NULL,
    receipts_verified BIGINT NOT NULL,
    loss_reports BIGINT NOT NULL,
    misuse_reports BIGINT NOT NULL,
    PRIMARY KEY (organization_id, on_day, site)
);
CREATE INDEX usage_counts_by_day ON usage_counts (on_day);

-- How far each process has added up: what it sends again after a commit that was not confirmed is added once.
CREATE TABLE usage_flushes (
    process_id BYTES NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    flushed_at BIGINT NOT NULL
);
