-- Temporary identification certificates. The credential itself is not kept, only what revokes and lists it.
CREATE TABLE temporary_certificates (
    certificate_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES NOT NULL REFERENCES organizations (organization_id),
    lookup_key BYTES NOT NULL,
    key_version BIGINT NOT NULL,
    sealed_digest BYTES NOT NULL,
    purpose TEXT NOT NULL,
    office TEXT NOT NULL,
    journey_on TEXT,
    issued_at BIGINT NOT NULL,
    valid_from BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT,
    revoked_by_office TEXT
);
CREATE INDEX temporary_certificates_by_lookup_key ON temporary_certificates (lookup_key);
