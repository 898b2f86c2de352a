-- The day by which an import judges its records. Kept from its beginning, so that one that goes on after midnight takes and
-- refuses the same records in the same order.
ALTER TABLE imports ADD COLUMN judged_on TEXT;
