-- What a tenant's messages look like: the draft that it edits, and the version that
-- is in use.
-- owner: engine/message
CREATE TABLE theme (
	tenant_id  {{blob}} PRIMARY KEY,
	schema     TEXT NOT NULL, -- JSON: which variables there are; empty: those of the built-in theme
	version    TEXT NOT NULL, -- the one in use; empty: nothing was published, the built-in theme is
	publishing TEXT NOT NULL, -- the version that a job is trying; empty: none is
	log        TEXT NOT NULL -- JSON: what the latest publication has said so far
){{clustered}};

-- The draft, for each locale.
-- owner: engine/message
CREATE TABLE theme_draft (
	tenant_id {{blob}} NOT NULL,
	locale    TEXT NOT NULL, -- such as de or en_GB; empty: for everybody else
	variables TEXT NOT NULL, -- a JSON object
	templates TEXT NOT NULL, -- a JSON object by type of message
	PRIMARY KEY (tenant_id, locale)
){{clustered}};

-- What was published, or is about to be. A version never changes.
-- owner: engine/message
CREATE TABLE theme_version (
	tenant_id  {{blob}} NOT NULL,
	version    TEXT NOT NULL, -- eight letters and digits
	content    TEXT NOT NULL, -- JSON: the schema, and the draft of every locale, as they were then
	created_at {{bigint}} NOT NULL,
	PRIMARY KEY (tenant_id, version)
){{clustered}};

-- What people were written.
-- owner: engine/message
CREATE TABLE message (
	tenant_id  {{blob}} NOT NULL,
	id         {{blob}} NOT NULL,
	person_id  {{blob}} NOT NULL,
	type       TEXT NOT NULL,
	subject    TEXT NOT NULL,
	message    TEXT NOT NULL, -- HTML, or plain text if its template is
	created_at {{bigint}} NOT NULL,
	cause      {{blob}} NOT NULL, -- the fact that led to it; zeros: none
	PRIMARY KEY (tenant_id, person_id, id)
){{clustered}};
CREATE UNIQUE INDEX message_id ON message (tenant_id, id);
