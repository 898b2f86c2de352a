-- An import writes its reports in the order of their lookup keys, in which their ends and times come at random. An index by day dirties
-- a page of its own for nearly every report; one by month has a few hundred pages, each written at its end.
NO_TIME_LIMIT;

DROP INDEX loss_reports_by_end;
DROP INDEX loss_reports_without_end;
-- YYYY-MM
CREATE INDEX loss_reports_by_month_of_end ON loss_reports (substr(card_valid_until, 1, 7))
    WHERE state <> 'withdrawn' AND card_valid_until IS NOT NULL;
-- 30 days in milliseconds
CREATE INDEX loss_reports_without_end_by_month ON loss_reports ((reported_at / 2592000000))
    WHERE state <> 'withdrawn' AND card_valid_until IS NULL;

-- What is open is not looked for by when it closed: with its NULLs in the index SQLite takes it where another finds less.
DROP INDEX replacement_applications_by_close;
CREATE INDEX replacement_applications_by_close ON replacement_applications (closed_at) WHERE closed_at IS NOT NULL;
