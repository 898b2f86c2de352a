-- Which person asked for what another must approve, and which one approved it, where an issuer of persons vouches for them.
ALTER TABLE admin_requests ADD COLUMN person_id BYTES;
ALTER TABLE admin_requests ADD COLUMN person TEXT;
ALTER TABLE admin_requests ADD COLUMN approved_person TEXT;
-- Who refused it, when.
ALTER TABLE admin_requests ADD COLUMN refused_at BIGINT;
ALTER TABLE admin_requests ADD COLUMN refused_by BYTES;
ALTER TABLE admin_requests ADD COLUMN refused_person TEXT;
