ALTER TABLE account ADD COLUMN code TEXT NOT NULL DEFAULT ''; -- by which its people came; empty: none was said
CREATE INDEX account_code ON account (tenant_id, code) WHERE code <> ''; -- to forget whose it is
