ALTER TABLE ledger_balance ADD COLUMN stamp {{bigint}} NOT NULL DEFAULT 0; -- of the last transaction
ALTER TABLE ledger_txn ADD COLUMN stamp {{bigint}} NOT NULL DEFAULT 0; -- when it was, in milliseconds, and later than the wallet's one before; 0: it was not noted
