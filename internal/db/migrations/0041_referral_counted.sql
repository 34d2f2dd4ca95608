-- The referrals that rules count, in the order in which they are counted: by when they
-- began, and by what has converted them.
CREATE INDEX referral_started ON referral (tenant_id, referrer_id, program_id, id) WHERE referrer_moderation = 'approved';
CREATE INDEX referral_converted ON referral (tenant_id, referrer_id, program_id, converted_by, id) WHERE referrer_moderation = 'approved' AND converted_by IS NOT NULL;
