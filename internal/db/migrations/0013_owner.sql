-- Who sends a delivery, where several nodes share the database.
-- owner: webhook
ALTER TABLE delivery ADD COLUMN owner {{bigint}} NOT NULL DEFAULT 0; -- the number of the node that holds it; 0: none does

-- Which of two states of a subscription is the later one.
-- owner: webhook
ALTER TABLE subscription ADD COLUMN version {{bigint}} NOT NULL DEFAULT 0; -- of the tenant's subscriptions at its last change
CREATE INDEX subscription_changed ON subscription (tenant_id, version);
