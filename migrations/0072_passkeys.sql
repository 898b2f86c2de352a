-- Passkeys of persons of the operator, where no provider knows them: what a signature is verified by, and whose it is.
CREATE TABLE passkeys (
    credential_id BYTES NOT NULL PRIMARY KEY,
    person_id BYTES NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    -- The public key, which never changes; and the counter, which does.
    static_state BYTES NOT NULL,
    dynamic_state BYTES NOT NULL,
    made_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX passkeys_by_person ON passkeys (person_id, credential_id);
-- Links by which a person makes one, by keyed hashes of their codes: each is good once, until then.
CREATE TABLE passkey_invitations (
    code_mark BYTES NOT NULL PRIMARY KEY,
    person_id BYTES NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
-- What browsers were asked and have not answered yet: taken once, by one node.
CREATE TABLE passkey_ceremonies (
    ceremony_id BYTES NOT NULL PRIMARY KEY,
    -- The invitation that a passkey is made by; none: somebody signs in.
    code_mark BYTES,
    state BYTES NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX passkey_ceremonies_by_end ON passkey_ceremonies (expires_at, ceremony_id);
