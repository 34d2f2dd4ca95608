-- The people that lists show, without those who were forgotten: of these there may be
-- any number in between, and a list passes over as many as its offset says.
CREATE INDEX person_listed ON person (tenant_id, id) WHERE deleted_at IS NULL;
