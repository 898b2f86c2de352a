-- What is shown of sightings: those of one client, one day and one place are one row with their count, so that nobody fills the
-- list of a card with repeats. The checks themselves stay in `sightings`. `check_id` is that of the row's first check, by which lists
-- are ordered: it stays when the row counts another one. Of version 0.1 the client is not known; its organization takes its place.
CREATE TABLE sighting_days (
    listing_id BYTES NOT NULL,
    client_id BYTES NOT NULL,
    -- Since 1970-01-01, in Beijing.
    day BIGINT NOT NULL,
    -- Empty: none was told, or the client has named too many on this day.
    site TEXT NOT NULL,
    purpose TEXT NOT NULL,
    verdict TEXT NOT NULL,
    organization_id BYTES NOT NULL,
    check_id BYTES NOT NULL,
    checks BIGINT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (listing_id, client_id, day, site, purpose, verdict)
);
NO_TIME_LIMIT;
INSERT INTO sighting_days
    SELECT listing_id, organization_id, day, site, purpose, verdict, organization_id, check_id, checks, first_seen_at, last_seen_at
    FROM (
        SELECT listing_id, organization_id, day, site, purpose, verdict, check_id,
            ROW_NUMBER() OVER (PARTITION BY listing_id, organization_id, day, site, purpose, verdict ORDER BY check_id) AS nth,
            COUNT(*) OVER (PARTITION BY listing_id, organization_id, day, site, purpose, verdict) AS checks,
            MIN(seen_at) OVER (PARTITION BY listing_id, organization_id, day, site, purpose, verdict) AS first_seen_at,
            MAX(seen_at) OVER (PARTITION BY listing_id, organization_id, day, site, purpose, verdict) AS last_seen_at
        FROM (
            SELECT listing_id, organization_id, (seen_at + 28800000) / 86400000 AS day, COALESCE(site, '') AS site, purpose, verdict,
                check_id, seen_at
            FROM sightings) AS every
    ) AS of_day
    WHERE nth = 1;
CREATE INDEX sighting_days_by_check ON sighting_days (listing_id, check_id);
CREATE INDEX sighting_days_by_time ON sighting_days (seen_at);
