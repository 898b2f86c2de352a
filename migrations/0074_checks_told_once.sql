-- A check that found several records of a number is counted under each of them. To its person it is told once: of how many checks a row is the
-- first one's, by the order of the records' ids. None: it was not counted, before this version.
ALTER TABLE sighting_days ADD COLUMN own_checks BIGINT;
