-- Which rewards were redeemed as a whole, since they are no amounts in the ledger.
-- owner: engine/reward
CREATE TABLE reward_redemption (
	tenant_id {{blob}} NOT NULL,
	ref       TEXT NOT NULL, -- what it was redeemed under: the caller's key, or a place of the reward
	reward_id {{blob}} NOT NULL,
	PRIMARY KEY (tenant_id, ref)
){{clustered}};
CREATE UNIQUE INDEX reward_redemption_reward ON reward_redemption (tenant_id, reward_id);
