-- Each restore of a back-up into this store: from when what it holds is, and the epoch that began with it. As long as that epoch lasts
-- nodes say so when they start: what was reported between the back-up and the restore is missing.
CREATE TABLE restores (
    epoch TEXT NOT NULL PRIMARY KEY,
    former_epoch TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    backed_up_at BIGINT NOT NULL,
    restored_at BIGINT NOT NULL
);
