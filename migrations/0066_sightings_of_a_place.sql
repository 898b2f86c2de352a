-- What one client saw on one day at one place is one row, whatever it said it checked for and was answered: a row for each purpose and each
-- verdict let one client fill the list of a card. The row has the strongest verdict and the purpose of the last check.
ALTER TABLE sighting_days RENAME TO sighting_days_before;
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
    PRIMARY KEY (listing_id, client_id, day, site)
);
NO_TIME_LIMIT;
INSERT INTO sighting_days
    SELECT listing_id, client_id, day, site, purpose, verdict, organization_id, check_id, checks, first_seen_at, last_seen_at
    FROM (
        SELECT listing_id, client_id, day, site, purpose, organization_id,
            ROW_NUMBER() OVER (PARTITION BY listing_id, client_id, day, site ORDER BY seen_at DESC, check_id DESC) AS nth,
            -- `card_listed` is before `number_listed`, and says more.
            MIN(verdict) OVER (PARTITION BY listing_id, client_id, day, site) AS verdict,
            FIRST_VALUE(check_id) OVER (PARTITION BY listing_id, client_id, day, site ORDER BY check_id) AS check_id,
            CAST(SUM(checks) OVER (PARTITION BY listing_id, client_id, day, site) AS BIGINT) AS checks,
            MIN(first_seen_at) OVER (PARTITION BY listing_id, client_id, day, site) AS first_seen_at,
            MAX(seen_at) OVER (PARTITION BY listing_id, client_id, day, site) AS last_seen_at
        FROM sighting_days_before
    ) AS of_place
    WHERE nth = 1;
DROP TABLE sighting_days_before;
CREATE INDEX sighting_days_by_check ON sighting_days (listing_id, check_id);
CREATE INDEX sighting_days_by_time ON sighting_days (seen_at);
