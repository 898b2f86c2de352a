-- What a client of an operator has asked for and another one must approve: the request as it was sent, which holds no secret.
CREATE TABLE admin_requests (
    request_id BYTES NOT NULL PRIMARY KEY,
    organization_id BYTES NOT NULL,
    client_id BYTES NOT NULL,
    act TEXT NOT NULL,
    -- The client that the act changes.
    target BYTES,
    body TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    approved_at BIGINT,
    approved_by BYTES,
    -- What came of it.
    subject BYTES
);
CREATE INDEX clients_by_organization ON clients (organization_id, client_id);
