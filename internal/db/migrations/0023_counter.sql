-- How much of a limit is used, in each window of it.
-- owner: engine/counter
CREATE TABLE counter (
	tenant_id    {{blob}} NOT NULL,
	scope        TEXT NOT NULL, -- what is counted
	period       TEXT NOT NULL, -- see counter.Window
	window_start {{bigint}} NOT NULL, -- 0 where there is one window only
	used         {{bigint}} NOT NULL,
	version      {{bigint}} NOT NULL, -- how often it was changed
	reached      {{bigint}} NOT NULL, -- the version with which the cap was reached; 0: it was not
	PRIMARY KEY (tenant_id, scope, period, window_start)
){{clustered}};

-- What was taken within a rolling window, which loses it again in time.
-- owner: engine/counter
CREATE TABLE counter_take (
	tenant_id {{blob}} NOT NULL,
	scope     TEXT NOT NULL,
	period    TEXT NOT NULL,
	at        {{bigint}} NOT NULL,
	version   {{bigint}} NOT NULL, -- of the counter, with which it was taken
	amount    {{bigint}} NOT NULL, -- that was not given back
	PRIMARY KEY (tenant_id, scope, period, at, version)
){{clustered}};
