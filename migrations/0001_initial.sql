-- One schema for SQLite and PostgreSQL. Two words are replaced before it runs (src/store/schema.rs):
--   BYTES         BLOB or BYTEA
--   SEQUENCE_KEY  the primary key of the feed, clustered where the database can
-- Instants are milliseconds since the Unix epoch, dates are YYYY-MM-DD, ids are the 16 bytes of a UUIDv7.
-- No number and no digest stands here in the plain: lookup_key is keyed, sealed_digest is encrypted, and both keys live elsewhere.

-- The feed orders every change; its head is the one row that all writers update last, so that commit order is sequence order.
CREATE TABLE feed_head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL,
    epoch TEXT NOT NULL
);

CREATE TABLE feed (
    seq SEQUENCE_KEY,
    kind TEXT NOT NULL,
    subject BYTES NOT NULL
);

-- A store recognises its keys by these values and learns nothing of them.
CREATE TABLE key_checks (
    purpose TEXT NOT NULL,
    version BIGINT NOT NULL,
    value BYTES NOT NULL,
    PRIMARY KEY (purpose, version)
);

CREATE TABLE organizations (
    organization_id BYTES NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    region TEXT NOT NULL,
    rate TEXT,
    created_at BIGINT NOT NULL
);

CREATE TABLE clients (
    client_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES NOT NULL REFERENCES organizations (organization_id),
    scopes TEXT NOT NULL,
    rate TEXT,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT
);

-- At most two live secrets or keys a client, so that they rotate without a gap.
CREATE TABLE client_credentials (
    credential_id BYTES NOT NULL PRIMARY KEY,
    client_id BYTES NOT NULL REFERENCES clients (client_id),
    kind TEXT NOT NULL,
    secret_hash BYTES,
    jwk TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX client_credentials_by_client ON client_credentials (client_id);

CREATE TABLE revoked_tokens (
    token_hash BYTES NOT NULL PRIMARY KEY,
    revoked_at BIGINT NOT NULL
);

CREATE TABLE loss_reports (
    report_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES REFERENCES organizations (organization_id),
    lookup_key BYTES NOT NULL,
    key_version BIGINT NOT NULL,
    sealed_digest BYTES NOT NULL,
    state TEXT NOT NULL,
    card_valid_from TEXT,
    card_valid_until TEXT,
    reason TEXT NOT NULL,
    lost_on TEXT,
    reporter TEXT NOT NULL,
    office TEXT NOT NULL,
    channel TEXT NOT NULL,
    contact_key BYTES,
    contact_sealed BYTES,
    reported_at BIGINT NOT NULL,
    closed_at BIGINT,
    closed_by_office TEXT,
    withdrawal_reason TEXT,
    sequence BIGINT NOT NULL
);
CREATE INDEX loss_reports_by_lookup_key ON loss_reports (lookup_key);

CREATE TABLE replacements (
    replacement_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES NOT NULL REFERENCES organizations (organization_id),
    lookup_key BYTES NOT NULL,
    key_version BIGINT NOT NULL,
    sealed_digest BYTES NOT NULL,
    card_valid_from TEXT NOT NULL,
    office TEXT NOT NULL,
    recorded_at BIGINT NOT NULL,
    sequence BIGINT NOT NULL
);
CREATE INDEX replacements_by_lookup_key ON replacements (lookup_key);

-- The first answer to a request with an Idempotency-Key; key and request are keyed fingerprints.
CREATE TABLE idempotency (
    request_key BYTES NOT NULL PRIMARY KEY,
    request_hash BYTES NOT NULL,
    status BIGINT NOT NULL,
    location TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- How far the import of a file got, so that it goes on where it stopped; the file is known by a keyed fingerprint.
CREATE TABLE imports (
    file_fingerprint BYTES NOT NULL PRIMARY KEY,
    lines_done BIGINT NOT NULL,
    records_done BIGINT NOT NULL,
    -- The day by which the records are judged, kept from the beginning: one that goes on after midnight refuses the same ones.
    judged_on TEXT,
    finished_at BIGINT
);

-- Nodes that may hold a lease. A node beats by counting up; one that stands still is marked with -1, then removed.
CREATE TABLE nodes (
    node_id BYTES NOT NULL PRIMARY KEY,
    beat BIGINT NOT NULL
);
