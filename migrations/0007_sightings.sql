-- Checks that found a listing, each under every report (or replacement) that made it listed. No number: the listing has it.
CREATE TABLE sightings (
    listing_id BYTES NOT NULL,
    check_id BYTES NOT NULL,
    organization_id BYTES NOT NULL,
    site TEXT,
    purpose TEXT NOT NULL,
    verdict TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (listing_id, check_id)
);
CREATE INDEX sightings_by_time ON sightings (seen_at);
