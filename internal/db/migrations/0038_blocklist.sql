-- Whom tenants don't want to be referred, or to refer.
-- Not clustered, as is explained at the table of codes.
-- owner: engine/blocklist
CREATE TABLE blocklist (
	tenant_id  {{blob}} NOT NULL,
	name       TEXT NOT NULL, -- what it is found by: its kind, a colon, and its value in the normal form
	id         {{blob}} NOT NULL,
	kind       TEXT NOT NULL, -- email, domain, ip, device
	reason     TEXT NOT NULL, -- empty: none was given
	created_at {{bigint}} NOT NULL,
	expires_at {{bigint}}, -- NULL: never
	PRIMARY KEY (tenant_id, name)
){{strict}};
CREATE UNIQUE INDEX blocklist_id ON blocklist (tenant_id, id);
CREATE INDEX blocklist_kind ON blocklist (tenant_id, kind, id);
CREATE INDEX blocklist_expiry ON blocklist (expires_at) WHERE expires_at IS NOT NULL;

-- How many entries a tenant has of which shape. It bounds the list, and tells what
-- there is to look for.
-- owner: engine/blocklist
CREATE TABLE blocklist_shape (
	tenant_id {{blob}} NOT NULL,
	family    TEXT NOT NULL, -- email, domain, device, ipv4, ipv6
	bits      {{bigint}} NOT NULL, -- how long the prefix of a network is; 0: it is none
	entries   {{bigint}} NOT NULL,
	PRIMARY KEY (tenant_id, family, bits)
){{clustered}};
