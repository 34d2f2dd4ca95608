-- Made anew, so that messages are appended, and only their places are kept in the order
-- of people: clustered, each was written to a page of its own. A million of them take
-- SQLite several seconds, and as much log as they are large.
-- owner: engine/message
CREATE TABLE message_anew (
	tenant_id  {{blob}} NOT NULL,
	id         {{blob}} NOT NULL,
	person_id  {{blob}} NOT NULL,
	type       TEXT NOT NULL,
	subject    TEXT NOT NULL,
	message    TEXT NOT NULL, -- HTML, or plain text if its template is
	created_at {{bigint}} NOT NULL,
	cause      {{blob}} NOT NULL, -- the fact that led to it; zeros: none
	about      {{blob}}, -- a referral, a reward or a limit; NULL: nothing that is asked for
	PRIMARY KEY (tenant_id, person_id, id)
){{strict}};
INSERT INTO message_anew (tenant_id, id, person_id, type, subject, message, created_at, cause, about)
	SELECT tenant_id, id, person_id, type, subject, message, created_at, cause, about FROM message;
DROP TABLE message;
ALTER TABLE message_anew RENAME TO message;
CREATE UNIQUE INDEX message_about ON message (tenant_id, about, type, person_id) WHERE about IS NOT NULL;
