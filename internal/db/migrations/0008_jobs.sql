-- Work that is too much for one transaction and is done a step at a time.
-- owner: job
CREATE TABLE job (
	id         {{blob}} PRIMARY KEY,
	tenant_id  {{blob}} NOT NULL,
	kind       TEXT NOT NULL,
	state      TEXT NOT NULL, -- running, paused, cancelled, completed, failed
	spec       TEXT NOT NULL, -- JSON: what its kind has to know; never changes
	cursor     {{blob}}, -- how far it has come; NULL: it has not begun
	done       {{bigint}} NOT NULL,
	skipped    {{bigint}} NOT NULL, -- passed over
	total      {{bigint}} NOT NULL, -- done and skipped when it is over; -1: not known
	failures   {{bigint}} NOT NULL, -- of its step, in a row
	error      TEXT NOT NULL, -- the last of them
	due_at     {{bigint}} NOT NULL, -- when its next step may be tried
	created_at {{bigint}} NOT NULL,
	updated_at {{bigint}} NOT NULL,
	ended_at   {{bigint}} -- NULL until it is completed or cancelled
){{strict}};
CREATE INDEX job_running ON job (tenant_id, id, due_at) WHERE state = 'running';
CREATE INDEX job_open ON job (tenant_id, kind) WHERE ended_at IS NULL;
CREATE INDEX job_kind ON job (tenant_id, kind, id);
CREATE INDEX job_ended ON job (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX job_state ON job (kind, state);

-- The deliveries that a publish left to a job to make, a row for each
-- subscription; it goes when they are made.
-- owner: webhook
CREATE TABLE spool (
	tenant_id       {{blob}} NOT NULL,
	job_id          {{blob}} NOT NULL,
	subscription_id {{blob}} NOT NULL,
	events          {{blob}} NOT NULL, -- a bit for each of the job's events, the lowest of the first byte first: whether it matched
	PRIMARY KEY (tenant_id, job_id, subscription_id)
){{clustered}};
