-- The programs of tenants.
-- owner: engine/program
CREATE TABLE program (
	tenant_id     {{blob}} NOT NULL,
	id            {{blob}} NOT NULL,
	key           TEXT NOT NULL,
	kind          TEXT NOT NULL,
	name          TEXT NOT NULL,
	status        TEXT NOT NULL, -- draft, active, paused, ended
	starts_at     {{bigint}},
	ends_at       {{bigint}},
	zone          TEXT NOT NULL, -- of its days, weeks, months
	unit          TEXT NOT NULL,
	settings      TEXT NOT NULL, -- JSON, as the kind has them
	rules_version {{bigint}} NOT NULL, -- of rule_set
	version       {{bigint}} NOT NULL,
	created_at    {{bigint}} NOT NULL,
	updated_at    {{bigint}} NOT NULL,
	PRIMARY KEY (tenant_id, id)
){{clustered}};
CREATE UNIQUE INDEX program_key ON program (tenant_id, key);

-- The rules of programs, in all versions.
-- owner: engine/program
CREATE TABLE rule_set (
	tenant_id  {{blob}} NOT NULL,
	program_id {{blob}} NOT NULL,
	version    {{bigint}} NOT NULL,
	rules      TEXT NOT NULL, -- JSON
	created_at {{bigint}} NOT NULL, -- since when they hold
	PRIMARY KEY (tenant_id, program_id, version)
){{clustered}};

-- Who is in which program.
-- owner: engine/program
CREATE TABLE membership (
	tenant_id  {{blob}} NOT NULL,
	person_id  {{blob}} NOT NULL,
	program_id {{blob}} NOT NULL,
	id         {{blob}} NOT NULL,
	joined_at  {{bigint}} NOT NULL,
	PRIMARY KEY (tenant_id, person_id, program_id)
){{clustered}};
CREATE UNIQUE INDEX membership_program ON membership (tenant_id, program_id, id);
