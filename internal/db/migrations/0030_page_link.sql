-- The latest link by which somebody was led back to the own page, who has at most one.
-- owner: referral
CREATE TABLE page_link (
	tenant_id  {{blob}} NOT NULL,
	person_id  {{blob}} NOT NULL,
	hash       {{blob}}, -- SHA-256 of its secret, which is nowhere; NULL: it was used
	created_at {{bigint}} NOT NULL,
	PRIMARY KEY (tenant_id, person_id)
){{clustered}};
