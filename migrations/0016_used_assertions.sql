-- Assertions by which clients proved who they are (RFC 7523), so that none is good for a second token at any node: SHA-256 of the
-- client and the assertion's jti. Each is kept until it has expired by itself.
CREATE TABLE used_assertions (
    assertion BYTES NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_assertions_by_end ON used_assertions (expires_at);
