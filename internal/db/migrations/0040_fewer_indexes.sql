-- Indexes that another one serves for, or that nothing is asked by.
DROP INDEX referral_sent; -- referral_referrer, a program at a time
DROP INDEX membership_program;

-- A touch names its code by what has nobody's name in it, so it need not be found when
-- who has it is forgotten. A million of them take SQLite several seconds, and as much log
-- as they are large.
DROP INDEX touch_code;
UPDATE touch SET code = coalesce((SELECT c.short FROM code c WHERE c.tenant_id = touch.tenant_id AND c.folded = touch.code), '');
ALTER TABLE touch RENAME COLUMN code TO short;
