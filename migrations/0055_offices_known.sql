-- Offices as people know them: what a code stands for, and how to reach who works there. Said by the operator.
CREATE TABLE offices (
    office TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    reach TEXT NOT NULL
);
