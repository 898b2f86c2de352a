-- Checks whose organization wants to hear if that card is listed soon after. The number itself is not kept, nor anything to
-- re-key a watch with: it ends before a pepper that it was keyed by is thrown away.
CREATE TABLE watches (
    watch_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES NOT NULL REFERENCES organizations (organization_id),
    lookup_key BYTES NOT NULL,
    key_version BIGINT NOT NULL,
    card_valid_from TEXT,
    ends_at BIGINT NOT NULL
);
CREATE INDEX watches_by_lookup_key ON watches (lookup_key);
CREATE INDEX watches_by_end ON watches (ends_at);

-- An alert names the check that asked for it, and nobody.
CREATE TABLE alerts (
    seq BIGINT NOT NULL PRIMARY KEY,
    alert_id BYTES NOT NULL UNIQUE,
    organization_id BYTES NOT NULL REFERENCES organizations (organization_id),
    check_id BYTES NOT NULL,
    kind TEXT NOT NULL,
    listed_at BIGINT NOT NULL
);
CREATE INDEX alerts_by_organization ON alerts (organization_id, seq);

CREATE TABLE webhooks (
    webhook_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES NOT NULL REFERENCES organizations (organization_id),
    url TEXT NOT NULL,
    sealed_secret BYTES NOT NULL,
    created_at BIGINT NOT NULL,
    failing_since BIGINT,
    disabled_at BIGINT
);
CREATE INDEX webhooks_by_organization ON webhooks (organization_id);

CREATE TABLE deliveries (
    alert_id BYTES NOT NULL,
    webhook_id BYTES NOT NULL REFERENCES webhooks (webhook_id),
    attempts BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    PRIMARY KEY (alert_id, webhook_id)
);
CREATE INDEX deliveries_by_time ON deliveries (next_at);
