-- Who has signed in to the console. A session goes once it was not used for half a
-- day.
-- owner: session
CREATE TABLE console_session (
	hash      {{blob}} PRIMARY KEY, -- SHA-256 of the token in its cookie
	tenant_id {{blob}} NOT NULL, -- zeros: the operator's
	key_id    {{blob}} NOT NULL, -- with which it began; zeros: the operator's
	proof     {{blob}} NOT NULL, -- recognises the operator's key by the token; empty otherwise
	used_at   {{bigint}} NOT NULL, -- to the minute
	unseen    {{blob}} NOT NULL, -- what was made, and is to be shown once; zeros: nothing
	notice    TEXT NOT NULL, -- what the next page of something says; empty: nothing
	notice_of {{blob}} NOT NULL -- of what
){{clustered}};
CREATE INDEX console_session_key ON console_session (tenant_id, key_id, used_at);
CREATE INDEX console_session_used ON console_session (used_at);

-- Links that sign the operator in, once.
-- owner: session
CREATE TABLE console_link (
	hash       {{blob}} PRIMARY KEY, -- SHA-256 of its token
	good_until {{bigint}} NOT NULL
){{clustered}};
