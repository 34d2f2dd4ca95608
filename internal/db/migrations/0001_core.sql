-- owner: tenant
CREATE TABLE tenant (
	id         {{blob}} PRIMARY KEY,
	alias      TEXT NOT NULL,
	live       {{bool}} NOT NULL,
	created_at {{bigint}} NOT NULL,
	updated_at {{bigint}} NOT NULL,
	deleted_at {{bigint}} -- set: the row is kept for the records that name it
){{strict}};
CREATE UNIQUE INDEX tenant_alias ON tenant (alias) WHERE deleted_at IS NULL;

-- owner: tenant
CREATE TABLE api_key (
	id         {{blob}} PRIMARY KEY,
	tenant_id  {{blob}} NOT NULL,
	name       TEXT NOT NULL,
	scopes     TEXT NOT NULL, -- space-separated
	hint       TEXT NOT NULL, -- the first characters of the key, to recognise it by
	hash       {{blob}} NOT NULL UNIQUE, -- SHA-256 of the key
	created_at {{bigint}} NOT NULL,
	expires_at {{bigint}},
	revoked_at {{bigint}}
){{strict}};
CREATE INDEX api_key_tenant ON api_key (tenant_id, id);

-- owner: tenant
CREATE TABLE admin_key (
	hash       {{blob}} PRIMARY KEY,
	created_at {{bigint}} NOT NULL
){{strict}};

-- owner: secret
CREATE TABLE master_key (
	id       {{bigint}} PRIMARY KEY,
	verifier {{blob}} NOT NULL -- a known text, sealed: tells whether a key is the right one
){{strict}};

-- owner: webhook
CREATE TABLE subscription (
	id          {{blob}} PRIMARY KEY,
	tenant_id   {{blob}} NOT NULL,
	dialect     TEXT NOT NULL,
	url         TEXT NOT NULL,
	event_types TEXT NOT NULL, -- JSON array; empty: all types
	description TEXT NOT NULL,
	policy      TEXT NOT NULL, -- JSON
	sealed      {{blob}} NOT NULL, -- JSON of secrets, headers and credentials, encrypted
	status      TEXT NOT NULL, -- enabled, disabled
	reason      TEXT NOT NULL, -- why it is disabled; empty otherwise
	cancelling  {{bool}} NOT NULL, -- its pending deliveries are being cancelled
	created_at  {{bigint}} NOT NULL,
	updated_at  {{bigint}} NOT NULL,
	deleted_at  {{bigint}}
){{strict}};
CREATE INDEX subscription_tenant ON subscription (tenant_id, id) WHERE deleted_at IS NULL;
CREATE INDEX subscription_cancelling ON subscription (id) WHERE cancelling;

-- Counts the changes of a tenant's subscriptions, so that whoever holds a copy
-- of them can tell whether it is the current one.
-- owner: webhook
CREATE TABLE subscription_version (
	tenant_id {{blob}} PRIMARY KEY,
	version   {{bigint}} NOT NULL
){{strict}};

-- owner: webhook
CREATE TABLE event (
	tenant_id   {{blob}} NOT NULL,
	id          {{blob}} NOT NULL,
	dialect     TEXT NOT NULL,
	type        TEXT NOT NULL,
	occurred_at {{bigint}} NOT NULL,
	traceparent TEXT NOT NULL,
	body        {{blob}} -- exactly as it is sent; NULL once expunged
){{strict}};
CREATE UNIQUE INDEX event_id ON event (tenant_id, id);
CREATE INDEX event_type ON event (tenant_id, type, id);

-- owner: webhook
CREATE TABLE idempotency_key (
	tenant_id   {{blob}} NOT NULL,
	key         TEXT NOT NULL,
	fingerprint {{blob}} NOT NULL, -- SHA-256 of the request
	answers     {{blob}} NOT NULL, -- for each event its id (12 bytes) and the number of its deliveries (4)
	PRIMARY KEY (tenant_id, key)
){{clustered}};

-- The queue. A delivery is named by its event and its subscription.
-- owner: webhook
CREATE TABLE delivery (
	tenant_id       {{blob}} NOT NULL,
	event_id        {{blob}} NOT NULL,
	subscription_id {{blob}} NOT NULL,
	status          {{bigint}} NOT NULL, -- see webhook.Status
	attempts        {{bigint}} NOT NULL, -- made so far
	step            {{bigint}} NOT NULL, -- attempts made since the schedule began
	epoch           {{bigint}} NOT NULL, -- changes with every intervention; an outcome of an older epoch decides nothing
	next_at         {{bigint}}, -- when it is due; NULL once it has ended
	updated_at      {{bigint}} NOT NULL,
	response_status {{bigint}} NOT NULL, -- of the last attempt; 0: there was no answer
	reason          TEXT NOT NULL, -- of the last attempt, or why it ended
	PRIMARY KEY (tenant_id, event_id, subscription_id)
){{clustered}};
-- 0: its first attempt is due; 1: a further one is. Apart, so that late retries
-- never stand before first attempts.
CREATE INDEX delivery_due ON delivery (subscription_id, status, next_at) WHERE status <= 1;
CREATE INDEX delivery_subscription ON delivery (subscription_id, event_id);
CREATE INDEX delivery_ended_badly ON delivery (tenant_id, status, event_id) WHERE status > 2;
CREATE INDEX delivery_held ON delivery (subscription_id) WHERE status = 5;

-- owner: webhook
CREATE TABLE attempt (
	tenant_id       {{blob}} NOT NULL,
	event_id        {{blob}} NOT NULL,
	subscription_id {{blob}} NOT NULL,
	number          {{bigint}} NOT NULL, -- from 1
	started_at      {{bigint}} NOT NULL,
	timing          TEXT NOT NULL, -- microseconds: dns connect tls first_byte total
	response_status {{bigint}} NOT NULL, -- 0: there was no answer
	verdict         TEXT NOT NULL,
	reason          TEXT NOT NULL,
	error           TEXT NOT NULL,
	headers         TEXT NOT NULL, -- of the response, JSON; empty where there is none
	body            {{blob}}, -- the first 16 KiB of the response
	PRIMARY KEY (tenant_id, event_id, subscription_id, number)
){{clustered}};
