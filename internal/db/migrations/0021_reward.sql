-- What people were given.
-- Not clustered, as is explained at the table of codes.
-- owner: engine/reward
CREATE TABLE reward (
	tenant_id     {{blob}} NOT NULL,
	id            {{blob}} NOT NULL,
	version       {{bigint}} NOT NULL,
	effect        {{blob}} NOT NULL, -- hash of rule, person and cause: there is one reward for it, ever
	placed        {{blob}} NOT NULL, -- where its cause stands among what happened
	program_id    {{blob}}, -- NULL: given by hand
	rule          TEXT NOT NULL,
	rule_version  {{bigint}} NOT NULL,
	person_id     {{blob}} NOT NULL,
	referral_id   {{blob}},
	audience      TEXT NOT NULL, -- as what the person gets it: referrer, referred …
	kind          TEXT NOT NULL,
	amount        {{bigint}} NOT NULL, -- minor units; of percent: basis points
	unit          TEXT NOT NULL,
	name          TEXT NOT NULL,
	source        TEXT NOT NULL,
	def           TEXT NOT NULL, -- which coupon or pool of codes it is from
	code          TEXT NOT NULL, -- of a pool
	details       TEXT NOT NULL, -- JSON object; empty: none
	state         TEXT NOT NULL, -- pending, available, redeemed, expired, cancelled, refused
	held          {{bool}} NOT NULL, -- somebody has still to decide
	given_at      {{bigint}} NOT NULL,
	due_at        {{bigint}}, -- not available before
	available_at  {{bigint}},
	expires_at    {{bigint}},
	expires       TEXT NOT NULL, -- how long after it became available; empty: never
	zone          TEXT NOT NULL, -- of days and months in that
	cancelled_at  {{bigint}},
	cancel_reason TEXT NOT NULL,
	against       {{bigint}} NOT NULL, -- what it is cancelled for, as bits; see reward.against
	fixed         {{bool}} NOT NULL, -- can't be cancelled by hand
	redeemed      {{bigint}} NOT NULL,
	clawback      TEXT NOT NULL, -- what becomes of what was spent if it is taken back
	lot           TEXT NOT NULL, -- what the ledger has of it
	timed         {{bool}} NOT NULL, -- the timer of its expiry is set
	limit_scope   TEXT NOT NULL, -- of the limit that it counts against; empty: none
	limit_window  {{bigint}} NOT NULL,
	limit_taken   TEXT NOT NULL, -- JSON: what it takes of it
	cause         {{blob}}, -- the fact that it was given
	updated_at    {{bigint}} NOT NULL,
	PRIMARY KEY (tenant_id, id)
){{strict}};
CREATE UNIQUE INDEX reward_effect ON reward (tenant_id, effect);
CREATE INDEX reward_person ON reward (tenant_id, person_id, id);
CREATE INDEX reward_referral ON reward (tenant_id, referral_id, id) WHERE referral_id IS NOT NULL;
CREATE INDEX reward_refused ON reward (tenant_id, limit_scope, limit_window, placed) WHERE state = 'refused';
CREATE INDEX reward_limited ON reward (tenant_id, limit_scope, limit_window, placed) WHERE limit_scope <> '' AND state <> 'refused';
