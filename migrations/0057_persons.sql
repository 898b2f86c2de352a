-- Persons of the operator, as nodes have met them. Who may do what is in their provider: a role here is the last one that was met, with the
-- group that gave it; none where an act was noted first.
CREATE TABLE persons (
    person_id BYTES NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT,
    group_name TEXT,
    first_seen_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    -- What they did last, and when: the audit log has all of it, by their name alone.
    last_act TEXT,
    last_act_at BIGINT
);
