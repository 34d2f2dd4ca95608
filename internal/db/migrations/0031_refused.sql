-- Which of what a limit has refused would fit.
-- owner: engine/reward
ALTER TABLE reward ADD COLUMN limit_fits {{bigint}} NOT NULL DEFAULT 9223372036854775807; -- the most that may be used for it to be allowed; the default: not known
DROP INDEX reward_refused;
CREATE INDEX reward_refused ON reward (tenant_id, limit_scope, limit_window, placed, limit_fits) WHERE state = 'refused';
