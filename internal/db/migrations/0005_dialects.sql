-- What the dialects of other products need of subscriptions and events.
-- owner: webhook
ALTER TABLE subscription ADD COLUMN filter TEXT NOT NULL DEFAULT ''; -- JSON; empty: every event of its types
-- owner: webhook
ALTER TABLE event ADD COLUMN subject_version {{bigint}} NOT NULL DEFAULT 0; -- 0: its publisher named none
