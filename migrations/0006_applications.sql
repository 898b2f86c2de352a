-- Applications for a new card, and the temporary cards that are issued meanwhile. Of what the rules asked only the ground is
-- kept that they gave.
CREATE TABLE replacement_applications (
    application_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES NOT NULL REFERENCES organizations (organization_id),
    lookup_key BYTES NOT NULL,
    key_version BIGINT NOT NULL,
    sealed_digest BYTES NOT NULL,
    state TEXT NOT NULL,
    ground TEXT NOT NULL,
    reason TEXT NOT NULL,
    applied_at_office TEXT NOT NULL,
    household_office TEXT NOT NULL,
    applied_at BIGINT NOT NULL,
    closed_at BIGINT,
    closed_by_office TEXT,
    replacement_id BYTES
);
CREATE INDEX replacement_applications_by_lookup_key ON replacement_applications (lookup_key);

CREATE TABLE temporary_cards (
    temporary_card_id BYTES NOT NULL PRIMARY KEY,
    application_id BYTES NOT NULL UNIQUE REFERENCES replacement_applications (application_id),
    state TEXT NOT NULL,
    card_valid_from TEXT NOT NULL,
    card_valid_until TEXT NOT NULL,
    office TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    lost_at BIGINT,
    returned_at BIGINT,
    returned_to_office TEXT
);
