-- What people type, or links carry, to say who sent them: one namespace for each
-- tenant. Rows are never removed, so that a code is never given to somebody else.
-- The table is not clustered: where it is, SQLite, which has no statistics, reads all
-- codes of a tenant rather than the index of a membership.
-- owner: engine/code
CREATE TABLE code (
	tenant_id     {{blob}} NOT NULL,
	folded        TEXT NOT NULL, -- the code as codes are compared
	text          TEXT NOT NULL, -- the code as it was issued
	short         TEXT NOT NULL, -- nine characters of base58, which share links are made from
	kind          TEXT NOT NULL, -- referral, partner, coupon
	program_id    {{blob}} NOT NULL,
	membership_id {{blob}} NOT NULL, -- zeros: it is nobody's
	person_id     {{blob}} NOT NULL, -- zeros: it is nobody's, or a team's
	is_primary    {{bool}} NOT NULL, -- the one of its membership that is shown
	active        {{bool}} NOT NULL,
	created_at    {{bigint}} NOT NULL,
	PRIMARY KEY (tenant_id, folded)
){{strict}};
CREATE UNIQUE INDEX code_short ON code (short);
CREATE INDEX code_membership ON code (tenant_id, membership_id);
CREATE INDEX code_person ON code (tenant_id, person_id);
