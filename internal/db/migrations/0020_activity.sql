-- What people did, as it was reported.
-- Not clustered, as is explained at the table of codes.
-- owner: engine/activity
CREATE TABLE activity (
	tenant_id   {{blob}} NOT NULL,
	id          {{blob}} NOT NULL, -- in the order in which they came in
	key         TEXT, -- the reporter's; NULL: none
	type        TEXT NOT NULL,
	person_id   {{blob}} NOT NULL,
	fields      TEXT NOT NULL, -- JSON object; empty: none
	occurred_at {{bigint}} NOT NULL,
	received_at {{bigint}} NOT NULL,
	fact_id     {{blob}} NOT NULL, -- that it was tracked
	undone_at   {{bigint}}, -- it counts no more
	PRIMARY KEY (tenant_id, id)
){{strict}};
CREATE UNIQUE INDEX activity_key ON activity (tenant_id, key) WHERE key IS NOT NULL;
CREATE INDEX activity_person ON activity (tenant_id, person_id, id);
CREATE INDEX activity_of_type ON activity (tenant_id, person_id, type, occurred_at);
