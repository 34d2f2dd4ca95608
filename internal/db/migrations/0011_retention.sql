-- What is needed to let records go once they are old.
-- owner: tenant
ALTER TABLE tenant ADD COLUMN retention_days {{bigint}} NOT NULL DEFAULT 0; -- 0: as long as the server keeps records
-- owner: tenant
ALTER TABLE tenant ADD COLUMN body_retention_days {{bigint}} NOT NULL DEFAULT 0; -- 0: as long as the server keeps bodies

-- Made anew: a key goes with the first of its events, and is found by it.
-- owner: webhook
CREATE TABLE idempotency_key_anew (
	tenant_id   {{blob}} NOT NULL,
	key         TEXT NOT NULL,
	event_id    {{blob}} NOT NULL, -- the first of the events
	fingerprint {{blob}} NOT NULL, -- SHA-256 of the request
	answers     {{blob}} NOT NULL, -- for each event its id (12 bytes) and the number of its deliveries (4)
	PRIMARY KEY (tenant_id, key)
){{clustered}};
INSERT INTO idempotency_key_anew (tenant_id, key, event_id, fingerprint, answers)
	SELECT tenant_id, key, substr(answers, 1, 12), fingerprint, answers FROM idempotency_key;
DROP TABLE idempotency_key;
ALTER TABLE idempotency_key_anew RENAME TO idempotency_key;
CREATE INDEX idempotency_key_event ON idempotency_key (tenant_id, event_id);

-- The rows that stay for the deliveries that name them.
-- owner: webhook
CREATE INDEX subscription_deleted ON subscription (id) WHERE deleted_at IS NOT NULL;
