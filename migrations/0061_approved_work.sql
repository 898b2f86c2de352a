-- What is still to be done of a request that was approved, until when a node does it, and what came of it.
ALTER TABLE admin_requests ADD COLUMN work TEXT;
ALTER TABLE admin_requests ADD COLUMN taken_until BIGINT;
ALTER TABLE admin_requests ADD COLUMN done_at BIGINT;
ALTER TABLE admin_requests ADD COLUMN outcome TEXT;
