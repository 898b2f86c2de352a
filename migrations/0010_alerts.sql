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

-- Whether there are any that a given pepper keyed, without reading them.
CREATE INDEX watches_by_key_version ON watches (key_version);

-- An alert names the check that asked for it, and nobody. Its sequence counts the alerts of its organization without a gap.
CREATE TABLE alerts (
    alert_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES NOT NULL REFERENCES organizations (organization_id),
    seq BIGINT NOT NULL,
    check_id BYTES NOT NULL,
    kind TEXT NOT NULL,
    listing_kind TEXT NOT NULL,
    listed_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX alerts_by_organization ON alerts (organization_id, seq);
CREATE INDEX alerts_by_time ON alerts (listed_at);

-- How far an organization's alerts have been counted. It outlives them, so that no number is given twice.
CREATE TABLE alert_heads (
    organization_id BYTES NOT NULL PRIMARY KEY REFERENCES organizations (organization_id),
    seq BIGINT NOT NULL
);

-- Where an organization wants to be told. failing_since: of the first failure since the last delivery.
CREATE TABLE webhooks (
    webhook_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES NOT NULL REFERENCES organizations (organization_id),
    url TEXT NOT NULL,
    sealed_secret BYTES NOT NULL,
    old_sealed_secret BYTES,
    old_secret_until BIGINT,
    created_at BIGINT NOT NULL,
    failing_since BIGINT,
    disabled_at BIGINT
);
CREATE INDEX webhooks_by_organization ON webhooks (organization_id);

-- What is still to be told. next_at moves with each claim of a node, and tells its claim from a later one.
CREATE TABLE deliveries (
    alert_id BYTES NOT NULL,
    webhook_id BYTES NOT NULL REFERENCES webhooks (webhook_id),
    attempts BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    PRIMARY KEY (alert_id, webhook_id)
);
CREATE INDEX deliveries_by_time ON deliveries (next_at);
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_id);
