-- Who at a device asked for a withdrawal that a second client must confirm: the audit log names both.
ALTER TABLE pending_withdrawals ADD COLUMN person TEXT;
