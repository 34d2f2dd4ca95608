-- Event types that tenants register, in the standard dialect.
-- owner: webhook
CREATE TABLE event_type (
	tenant_id    {{blob}} NOT NULL,
	name         TEXT NOT NULL,
	version      {{bigint}} NOT NULL, -- the newest, which holds
	schema_bytes {{bigint}} NOT NULL, -- of the newest version
	archived_at  {{bigint}}, -- NULL: it is registered
	PRIMARY KEY (tenant_id, name)
){{clustered}};

-- owner: webhook
CREATE TABLE event_type_version (
	tenant_id   {{blob}} NOT NULL,
	name        TEXT NOT NULL,
	version     {{bigint}} NOT NULL, -- from 1
	description TEXT NOT NULL,
	schema      TEXT NOT NULL, -- JSON Schema of the data; empty: any
	sample      TEXT NOT NULL, -- of the data, JSON; empty: none
	created_at  {{bigint}} NOT NULL,
	PRIMARY KEY (tenant_id, name, version)
){{clustered}};
