-- What happens later. A row goes in the transaction that does it.
-- owner: timer
CREATE TABLE timer (
	tenant_id {{blob}} NOT NULL,
	kind      TEXT NOT NULL, -- what happens then
	ref       {{blob}} NOT NULL, -- to what
	id        {{blob}} NOT NULL,
	due_at    {{bigint}} NOT NULL, -- when it happens, however late it is done
	try_at    {{bigint}} NOT NULL, -- when it may be done: due_at, or later after a failure
	data      {{blob}}, -- what its handler has to know besides
	failures  {{bigint}} NOT NULL, -- in a row
	error     TEXT NOT NULL, -- the last of them
	parked_at {{bigint}}, -- when it was given up until somebody resumes it; NULL: it waits
	PRIMARY KEY (tenant_id, kind, ref, id)
){{clustered}};
CREATE INDEX timer_due ON timer (tenant_id, try_at, id) WHERE parked_at IS NULL;
CREATE INDEX timer_parked ON timer (tenant_id, id) WHERE parked_at IS NOT NULL;
