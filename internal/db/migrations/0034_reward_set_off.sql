-- What of a reward's amount paid for another one that was taken back after it was spent; below zero: what came back to it of such.
-- owner: engine/reward
ALTER TABLE reward ADD COLUMN set_off {{bigint}} NOT NULL DEFAULT 0;
