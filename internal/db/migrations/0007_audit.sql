-- Who changed what. An entry is written in the transaction of its change, and
-- never altered. It goes once it is older than the operator keeps entries.
-- owner: audit
CREATE TABLE audit_entry (
	id         {{blob}} PRIMARY KEY,
	tenant_id  {{blob}} NOT NULL, -- whose thing it was; zeros: the operator's own. Stays when the tenant is deleted
	at         {{bigint}} NOT NULL,
	action     TEXT NOT NULL, -- see audit.Action
	object_id  TEXT NOT NULL, -- what was changed, as its id is shown
	fields     TEXT NOT NULL, -- what changed about it, JSON; never a secret
	actor      TEXT NOT NULL, -- see audit.ActorKind
	via        TEXT NOT NULL, -- where the actor came in: api, console, a dialect; empty: nowhere
	key_id     {{blob}}, -- of the actor; NULL: it has none
	key_hint   TEXT NOT NULL,
	key_name   TEXT NOT NULL, -- as it was then
	address    TEXT NOT NULL, -- empty: not known
	request_id TEXT NOT NULL -- empty: there was no request
){{strict}};
-- An index for each filter, with the order of the list behind it.
CREATE INDEX audit_entry_tenant ON audit_entry (tenant_id, id);
CREATE INDEX audit_entry_tenant_action ON audit_entry (tenant_id, action, id);
CREATE INDEX audit_entry_action ON audit_entry (action, id);
CREATE INDEX audit_entry_object ON audit_entry (object_id, id);
CREATE INDEX audit_entry_key ON audit_entry (key_id, id) WHERE key_id IS NOT NULL;
