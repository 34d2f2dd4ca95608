-- Tables of a tenant's data that were asked for.
-- owner: engine/export
CREATE TABLE export (
	tenant_id    {{blob}} NOT NULL,
	id           {{blob}} NOT NULL,
	job_id       {{blob}} NOT NULL, -- that writes it
	type         TEXT NOT NULL, -- what its rows are
	format       TEXT NOT NULL, -- CSV
	name         TEXT NOT NULL,
	requester    TEXT NOT NULL,
	params       TEXT NOT NULL, -- JSON: which rows are wanted
	status       TEXT NOT NULL, -- PENDING, COMPLETED, ABORTED, EXPIRED
	created_at   {{bigint}} NOT NULL,
	completed_at {{bigint}}, -- NULL until it is completed
	expires_at   {{bigint}}, -- NULL until it is completed
	row_count    {{bigint}} NOT NULL, -- without the header; 0 until it is completed
	bytes        {{bigint}} NOT NULL, -- 0 until it is completed
	chunks       {{bigint}} NOT NULL, -- 0 until it is completed
	PRIMARY KEY (tenant_id, id)
){{clustered}};

-- The file of an export, in pieces of at most 256 KiB.
-- owner: engine/export
CREATE TABLE export_chunk (
	tenant_id {{blob}} NOT NULL,
	export_id {{blob}} NOT NULL,
	ordinal   {{bigint}} NOT NULL, -- from 0
	content   {{blob}} NOT NULL,
	PRIMARY KEY (tenant_id, export_id, ordinal)
){{strict}};
