-- What else people are looked for by: the name with the first name first, and what
-- they are called within an account.
ALTER TABLE person ADD COLUMN called_folded {{blob}}; -- as name_folded, with the first name first; NULL: there are not both
-- From what is folded already, since databases make small letters in other ways. Where
-- a name has other bytes there it waits until the person changes.
UPDATE person SET called_folded =
	CAST(substr(name_folded, octet_length(last_name) + 2) || ' ' || substr(name_folded, 1, octet_length(last_name)) AS {{blob}})
	WHERE first_name <> '' AND last_name <> '' AND length(name_folded) = octet_length(last_name) + 1 + octet_length(first_name);
CREATE INDEX person_called ON person (tenant_id, called_folded) WHERE called_folded IS NOT NULL;

ALTER TABLE identity ADD COLUMN in_account TEXT; -- of a key that is an account, a slash and a name there: the name; NULL: it is another key, or both are the same
UPDATE identity SET in_account = substr(key, length(rtrim(key, replace(key, '/', ''))) + 1)
	WHERE length(key) = length(replace(key, '/', '')) + 1;
UPDATE identity SET in_account = NULL WHERE in_account = '' OR key = in_account || '/' || in_account;
CREATE INDEX identity_in_account ON identity (tenant_id, in_account, person_id) WHERE in_account IS NOT NULL;
