-- Which replacement made an alert: when its start turns out to be wrong, those who were told by it are told so.
ALTER TABLE alerts ADD COLUMN replacement_id BYTES;
CREATE INDEX alerts_by_replacement ON alerts (replacement_id);

-- The start of validity that a correction took away. The hash of an entry that has one covers it.
ALTER TABLE audit ADD COLUMN old_start TEXT;

-- Between which ids the reports of a piece are: ids begin with their time, so an undoing reads what was reported meanwhile and no more.
ALTER TABLE import_pieces ADD COLUMN first_report BYTES;
ALTER TABLE import_pieces ADD COLUMN last_report BYTES;
