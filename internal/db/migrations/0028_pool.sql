-- Supplies of codes that tenants have uploaded, to be given as rewards.
-- owner: engine/pool
CREATE TABLE pool (
	tenant_id  {{blob}} NOT NULL,
	key        TEXT NOT NULL, -- that rules name it by
	id         {{blob}} NOT NULL,
	added      {{bigint}} NOT NULL, -- how many codes it ever had
	given      {{bigint}} NOT NULL, -- how many of them somebody has
	numbered   {{bigint}} NOT NULL, -- the largest ordinal that was tried
	reached    {{bigint}} NOT NULL, -- the ordinal of the last code that was given
	created_at {{bigint}} NOT NULL,
	PRIMARY KEY (tenant_id, key)
){{clustered}};

-- owner: engine/pool
CREATE TABLE pool_code (
	tenant_id {{blob}} NOT NULL,
	pool      TEXT NOT NULL, -- its key
	ordinal   {{bigint}} NOT NULL, -- in which order they are given; there are gaps
	code      TEXT NOT NULL,
	reward_id {{blob}}, -- who has it; NULL: nobody
	given_at  {{bigint}},
	PRIMARY KEY (tenant_id, pool, ordinal)
){{clustered}};
CREATE UNIQUE INDEX pool_code_text ON pool_code (tenant_id, pool, code);

-- Rewards that wait for a code.
-- owner: engine/pool
CREATE TABLE pool_waiting (
	tenant_id {{blob}} NOT NULL,
	pool      TEXT NOT NULL, -- its key; there may be no such pool yet
	reward_id {{blob}} NOT NULL,
	PRIMARY KEY (tenant_id, pool, reward_id)
){{clustered}};
