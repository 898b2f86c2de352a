-- Cards that were handed in.
CREATE TABLE found_cards (
    found_card_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES NOT NULL REFERENCES organizations (organization_id),
    lookup_key BYTES NOT NULL,
    key_version BIGINT NOT NULL,
    sealed_digest BYTES NOT NULL,
    state TEXT NOT NULL,
    card_valid_from TEXT,
    found_on TEXT NOT NULL,
    found_at_region TEXT NOT NULL,
    office TEXT NOT NULL,
    contact_key BYTES,
    contact_sealed BYTES,
    matched_report_id BYTES,
    registered_at BIGINT NOT NULL,
    -- The head of the feed at that moment: replacements with a later sequence were recorded while the card lay there.
    registered_sequence BIGINT NOT NULL,
    closed_at BIGINT,
    closed_by_office TEXT,
    holder_verified_by TEXT,
    transferred_to TEXT
);
CREATE INDEX found_cards_by_lookup_key ON found_cards (lookup_key);
-- What reports are matched to as they come in, a batch at a time: most cards of the table are not held any more.
CREATE INDEX found_cards_held ON found_cards (lookup_key) WHERE state = 'held';
