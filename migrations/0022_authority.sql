-- Who stood behind a client or a command, and why. The hash of an entry that has them covers them.
ALTER TABLE audit ADD COLUMN person TEXT;
ALTER TABLE audit ADD COLUMN os_user TEXT;
ALTER TABLE audit ADD COLUMN reason TEXT;
