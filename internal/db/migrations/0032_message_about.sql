-- What a message is about: nobody is written the same about the same twice, and what
-- was written about somebody who is forgotten is found by it.
-- owner: engine/message
ALTER TABLE message ADD COLUMN about {{blob}}; -- a referral, a reward or a limit; NULL: nothing that is asked for
CREATE UNIQUE INDEX message_about ON message (tenant_id, about, type, person_id) WHERE about IS NOT NULL;
