-- The people that tenants know.
-- Not clustered, as is explained at the table of codes.
-- owner: engine/person
CREATE TABLE person (
	tenant_id    {{blob}} NOT NULL,
	id           {{blob}} NOT NULL,
	version      {{bigint}} NOT NULL,
	scheme       TEXT NOT NULL, -- by which identity it was first known
	key          TEXT NOT NULL,
	account      TEXT NOT NULL, -- the key of the account; empty: none
	email        TEXT NOT NULL,
	first_name   TEXT NOT NULL,
	last_name    TEXT NOT NULL,
	locale       TEXT NOT NULL,
	country      TEXT NOT NULL,
	image_url    TEXT NOT NULL,
	fields       TEXT NOT NULL, -- JSON object; empty: none
	first_ip     TEXT NOT NULL,
	last_ip      TEXT NOT NULL,
	device       TEXT NOT NULL,
	unreferable  {{bool}} NOT NULL,
	blocked_at   {{bigint}},
	deleted_at   {{bigint}}, -- what was known of it is removed then
	created_at   {{bigint}} NOT NULL,
	updated_at   {{bigint}} NOT NULL,
	email_folded {{blob}}, -- UTF-8 in small letters, which a search looks at; NULL: none
	name_folded  {{blob}},
	PRIMARY KEY (tenant_id, id)
){{strict}};
CREATE INDEX person_account ON person (tenant_id, account, id) WHERE account <> '';
CREATE INDEX person_email ON person (tenant_id, email_folded) WHERE email_folded IS NOT NULL;
CREATE INDEX person_name ON person (tenant_id, name_folded) WHERE name_folded IS NOT NULL;

-- What people are known by.
-- Not clustered, as is explained at the table of codes.
-- owner: engine/person
CREATE TABLE identity (
	tenant_id {{blob}} NOT NULL,
	scheme    TEXT NOT NULL, -- native, or a dialect's name
	key       TEXT NOT NULL,
	person_id {{blob}} NOT NULL,
	PRIMARY KEY (tenant_id, scheme, key)
){{strict}};
CREATE INDEX identity_person ON identity (tenant_id, person_id);

-- How many people a tenant has, in parts that are counted apart.
-- owner: engine/person
CREATE TABLE person_count (
	tenant_id {{blob}} NOT NULL,
	shard     {{bigint}} NOT NULL,
	people    {{bigint}} NOT NULL,
	PRIMARY KEY (tenant_id, shard)
){{clustered}};

-- Accounts of which more is known than who belongs to them.
-- owner: engine/person
CREATE TABLE account (
	tenant_id  {{blob}} NOT NULL,
	key        TEXT NOT NULL,
	id         {{blob}} NOT NULL,
	state      TEXT NOT NULL, -- trial, free, paid, cancelled
	currency   TEXT NOT NULL,
	details    TEXT NOT NULL, -- JSON object; empty: none
	version    {{bigint}} NOT NULL,
	created_at {{bigint}} NOT NULL,
	updated_at {{bigint}} NOT NULL,
	PRIMARY KEY (tenant_id, key)
){{clustered}};
