-- How endpoints have fared since their last success, of those of which there is
-- something to say: a healthy one has no row.
-- owner: webhook
CREATE TABLE endpoint_health (
	subscription_id {{blob}} PRIMARY KEY,
	failing         {{bool}} NOT NULL,
	health          TEXT NOT NULL -- JSON; see webhook.Health
){{clustered}};

-- Counts how often an endpoint got a new chance: what was judged before says
-- nothing any more.
-- owner: webhook
ALTER TABLE subscription ADD COLUMN generation {{bigint}} NOT NULL DEFAULT 0;
-- Counts subscriptions without reading them; deleted_at is there so that it does.
CREATE INDEX subscription_status ON subscription (status, deleted_at) WHERE deleted_at IS NULL;
