-- Whether a person of the operator is let in here, whatever their provider says: not now, or never again.
ALTER TABLE persons ADD COLUMN suspended_at BIGINT;
ALTER TABLE persons ADD COLUMN ended_at BIGINT;
