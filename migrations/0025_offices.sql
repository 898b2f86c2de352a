-- How many withdrawals a client has made in a day. The log may be long.
NO_TIME_LIMIT;
CREATE INDEX audit_by_client ON audit (client_id, action, at);

-- How the codes of an organization's offices begin, with spaces between them; none: those of its region. Whether it ends reports of others.
ALTER TABLE organizations ADD COLUMN offices TEXT NOT NULL DEFAULT '';
ALTER TABLE organizations ADD COLUMN ends_others BIGINT NOT NULL DEFAULT 0;

-- Version 0.1 knew no operators: who ran the service was an auditor with the scope admin.
UPDATE organizations SET kind = 'operator' WHERE kind = 'auditor' AND EXISTS (
    SELECT 1 FROM clients WHERE clients.organization_id = organizations.organization_id
    AND clients.disabled_at IS NULL AND clients.scopes LIKE '%admin%'
);

-- Withdrawals that wait for a second client of the organization. One that comes with the return of a found card keeps what that takes.
CREATE TABLE pending_withdrawals (
    report_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES NOT NULL,
    client_id BYTES NOT NULL,
    office TEXT NOT NULL,
    reason TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    found_card_id BYTES,
    card_valid_from TEXT,
    holder_verified_by TEXT
);
CREATE INDEX pending_withdrawals_by_found_card ON pending_withdrawals (found_card_id);

-- What a client is called; since when it, or its organization, is suspended, and since when the organization is ended. When a client was
-- last seen, and how many of its requests limits have refused.
ALTER TABLE clients ADD COLUMN name TEXT;
ALTER TABLE clients ADD COLUMN suspended_at BIGINT;
ALTER TABLE clients ADD COLUMN last_used_at BIGINT;
ALTER TABLE clients ADD COLUMN refused BIGINT NOT NULL DEFAULT 0;
ALTER TABLE organizations ADD COLUMN suspended_at BIGINT;
ALTER TABLE organizations ADD COLUMN ended_at BIGINT;
