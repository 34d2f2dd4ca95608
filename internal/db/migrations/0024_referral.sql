-- Who was referred by whom.
-- Not clustered, as is explained at the table of codes.
-- owner: referral
CREATE TABLE referral (
	tenant_id           {{blob}} NOT NULL,
	id                  {{blob}} NOT NULL,
	version             {{bigint}} NOT NULL,
	program_id          {{blob}} NOT NULL,
	program_key         TEXT NOT NULL,
	referrer_id         {{blob}} NOT NULL,
	referred_id         {{blob}} NOT NULL,
	code                TEXT NOT NULL, -- by which it came to be
	engagement          TEXT NOT NULL, -- the share link; empty: none
	share               TEXT NOT NULL,
	method              TEXT NOT NULL, -- code, cookie, link, manual
	touch_id            {{blob}},
	state               TEXT NOT NULL, -- started, converted, ended
	started_at          {{bigint}} NOT NULL,
	converted_at        {{bigint}},
	ended_at            {{bigint}},
	end_reason          TEXT NOT NULL,
	referrer_moderation TEXT NOT NULL, -- pending, approved, denied
	referred_moderation TEXT NOT NULL,
	moderated_at        {{bigint}},
	auto_moderated_at   {{bigint}},
	by_hand             {{bool}} NOT NULL, -- somebody has decided
	signals             TEXT NOT NULL, -- JSON list; empty: none
	ip                  TEXT NOT NULL, -- of the referred person then
	device              TEXT NOT NULL,
	email               TEXT NOT NULL, -- normalised
	converted_by        {{blob}},
	PRIMARY KEY (tenant_id, id)
){{strict}};
CREATE UNIQUE INDEX referral_referred ON referral (tenant_id, referred_id, program_id);
CREATE INDEX referral_referrer ON referral (tenant_id, referrer_id, program_id, id);
CREATE INDEX referral_sent ON referral (tenant_id, referrer_id, id);

-- How many referrals a tenant has, in parts that are counted apart.
-- owner: referral
CREATE TABLE referral_count (
	tenant_id {{blob}} NOT NULL,
	shard     {{bigint}} NOT NULL,
	referrals {{bigint}} NOT NULL,
	PRIMARY KEY (tenant_id, shard)
){{clustered}};
