-- The signs that somebody was sent by a member: each click, each code that was typed.
-- owner: engine/attribution
CREATE TABLE touch (
	tenant_id     {{blob}} NOT NULL,
	id            {{blob}} NOT NULL,
	code          TEXT NOT NULL, -- folded; empty: somebody decided it without one
	program_id    {{blob}} NOT NULL,
	membership_id {{blob}} NOT NULL, -- the referrer's; zeros: nobody's, which only a decision says
	method        TEXT NOT NULL, -- code, cookie, link, manual
	engagement    TEXT NOT NULL,
	share         TEXT NOT NULL,
	cookie_id     TEXT NOT NULL, -- of the browser; empty: it sent none
	ip            TEXT NOT NULL,
	user_agent    TEXT NOT NULL,
	url           TEXT NOT NULL,
	at            {{bigint}} NOT NULL,
	person_id     {{blob}}, -- NULL: it isn't known whose it is
	PRIMARY KEY (tenant_id, id)
){{clustered}};
CREATE INDEX touch_code ON touch (tenant_id, code, at, id);
CREATE INDEX touch_cookie ON touch (tenant_id, cookie_id, at, id) WHERE cookie_id <> '';
CREATE INDEX touch_person ON touch (tenant_id, person_id, at, id) WHERE person_id IS NOT NULL;
CREATE INDEX touch_nobody ON touch (tenant_id, at) WHERE person_id IS NULL;

-- Who gets the credit for a person in a program.
-- owner: engine/attribution
CREATE TABLE attribution (
	tenant_id     {{blob}} NOT NULL,
	program_id    {{blob}} NOT NULL,
	person_id     {{blob}} NOT NULL,
	membership_id {{blob}} NOT NULL, -- the referrer's; zeros: somebody decided that nobody gets it
	method        TEXT NOT NULL, -- code, cookie, link, manual
	touch_id      {{blob}} NOT NULL,
	policy        TEXT NOT NULL, -- JSON: by which it was decided
	at            {{bigint}} NOT NULL,
	PRIMARY KEY (tenant_id, program_id, person_id)
){{clustered}};
