-- By what else people are known, and their latest browsers.
ALTER TABLE person ADD COLUMN linked TEXT NOT NULL DEFAULT ''; -- JSON: further identities; empty: none
ALTER TABLE person ADD COLUMN devices TEXT NOT NULL DEFAULT ''; -- JSON: cookies of browsers before the one last seen; empty: none
