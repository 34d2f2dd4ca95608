-- What happened in programs, each with its cause.
-- Not clustered, as is explained at the table of codes.
-- owner: fact
CREATE TABLE fact (
	tenant_id    {{blob}} NOT NULL,
	id           {{blob}} NOT NULL,
	type         TEXT NOT NULL,
	subject_kind TEXT NOT NULL, -- what it is about: person, referral, reward …
	subject_id   {{blob}} NOT NULL,
	version      {{bigint}} NOT NULL, -- of the subject, after the change; 0: it has none
	cause        {{blob}}, -- the fact that led to it; NULL: somebody outside did
	actor        TEXT NOT NULL,
	data         TEXT NOT NULL, -- JSON: the subject as it was then
	at           {{bigint}} NOT NULL, -- when it took effect
	recorded_at  {{bigint}} NOT NULL,
	undone_by    {{blob}}, -- the fact that took it back; NULL: it holds
	PRIMARY KEY (tenant_id, id)
){{strict}};
CREATE INDEX fact_subject ON fact (tenant_id, subject_id, id);
CREATE INDEX fact_cause ON fact (tenant_id, cause, id) WHERE cause IS NOT NULL;
CREATE INDEX fact_undone ON fact (tenant_id, undone_by, id) WHERE undone_by IS NOT NULL;
