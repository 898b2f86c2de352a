-- The epoch of the feed in which the registry log and the blind keys in force began. In any other one, after a restore or a promotion,
-- they are over: what they say may be of rows that this store no longer has.
ALTER TABLE feed_head ADD COLUMN log_epoch TEXT;
