-- How the tokens of a client are bound to their holder (RFC 8705, RFC 9449), and since when all of them are revoked.
ALTER TABLE clients ADD COLUMN bound TEXT NOT NULL DEFAULT 'none';
ALTER TABLE clients ADD COLUMN tokens_revoked_at BIGINT;
-- When a credential ends by itself; what a certificate is known by: its SHA-256, or the name that an authority vouches for.
ALTER TABLE client_credentials ADD COLUMN ends_at BIGINT;
ALTER TABLE client_credentials ADD COLUMN thumbprint BYTES;
ALTER TABLE client_credentials ADD COLUMN subject TEXT;
