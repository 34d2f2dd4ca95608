-- The servers that share this database. Each life of one has a row and a number;
-- numbers rise in the order of commits. All times are by the database's clock.
-- owner: node
CREATE TABLE node (
	id         {{bigint}} PRIMARY KEY, -- the number; never given twice
	name       TEXT NOT NULL, -- for people
	lease      {{bigint}} NOT NULL, -- microseconds
	joined_at  {{bigint}} NOT NULL,
	expires_at {{bigint}} NOT NULL, -- when it may be buried, unless it is renewed
	left_at    {{bigint}} -- NULL: it lives. Set by itself or by whoever buried it, and for good
){{strict}};

-- What has changed of what servers keep in memory: a number for each topic and
-- tenant, counted up in the transaction that makes the change.
-- owner: node
CREATE TABLE revision (
	topic      TEXT NOT NULL,
	tenant_id  {{blob}} NOT NULL, -- zeros: it concerns no tenant, or all of them
	number     {{bigint}} NOT NULL,
	changed_at {{bigint}} NOT NULL, -- by the database's clock
	PRIMARY KEY (topic, tenant_id)
){{clustered}};
CREATE INDEX revision_changed ON revision (changed_at);
