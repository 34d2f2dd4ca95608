-- Which subscriptions are to events about the webhooks themselves, so that they
-- are found without reading the others.
-- owner: webhook
ALTER TABLE subscription ADD COLUMN operational {{bool}} NOT NULL DEFAULT FALSE;
CREATE INDEX subscription_operational ON subscription (tenant_id, id) WHERE operational AND deleted_at IS NULL;
