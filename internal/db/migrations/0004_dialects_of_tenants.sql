-- How a tenant speaks the dialects, and the keys that belong to that.
-- owner: tenant
ALTER TABLE tenant ADD COLUMN dialects TEXT NOT NULL DEFAULT ''; -- those that it speaks, space-separated; empty: all

-- What a tenant chose. What is missing has its default.
-- owner: tenant
CREATE TABLE dialect_setting (
	tenant_id {{blob}} NOT NULL,
	dialect   TEXT NOT NULL,
	name      TEXT NOT NULL,
	value     TEXT NOT NULL,
	PRIMARY KEY (tenant_id, dialect, name)
){{clustered}};

-- Made anew, since a key that is revoked no longer stands in the way of one with
-- the same value.
-- owner: tenant
CREATE TABLE api_key_anew (
	id         {{blob}} PRIMARY KEY,
	tenant_id  {{blob}} NOT NULL,
	dialect    TEXT NOT NULL, -- whose API it opens; empty: the native one
	name       TEXT NOT NULL,
	scopes     TEXT NOT NULL, -- space-separated
	hint       TEXT NOT NULL, -- the first characters of the key, to recognise it by
	hash       {{blob}} NOT NULL, -- SHA-256; of a dialect's key together with where it is valid
	sealed     {{blob}}, -- the key, encrypted, where the dialect signs with it; else NULL
	created_at {{bigint}} NOT NULL,
	expires_at {{bigint}},
	revoked_at {{bigint}}
){{strict}};
INSERT INTO api_key_anew (id, tenant_id, dialect, name, scopes, hint, hash, created_at, expires_at, revoked_at)
	SELECT id, tenant_id, '', name, scopes, hint, hash, created_at, expires_at, revoked_at FROM api_key;
DROP TABLE api_key;
ALTER TABLE api_key_anew RENAME TO api_key;
CREATE INDEX api_key_tenant ON api_key (tenant_id, id);
CREATE UNIQUE INDEX api_key_hash ON api_key (hash) WHERE revoked_at IS NULL;
CREATE INDEX api_key_signing ON api_key (tenant_id, dialect, created_at) WHERE sealed IS NOT NULL AND revoked_at IS NULL;

-- The server's own keys, whose public halves are published.
-- owner: jwks
CREATE TABLE jwk (
	id         {{blob}} PRIMARY KEY,
	sealed     {{blob}}, -- PKCS #8, encrypted; NULL once it is retired: nothing is signed with it again
	public     {{blob}} NOT NULL, -- PKCS #1
	created_at {{bigint}} NOT NULL,
	retired_at {{bigint}} -- NULL: the current one, which signs
){{strict}};
