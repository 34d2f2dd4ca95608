-- What happened to the wallets of people, in double entry: each transaction concerns
-- one wallet, and its postings add up to zero.
-- owner: engine/ledger
CREATE TABLE ledger_txn (
	tenant_id        {{blob}} NOT NULL,
	id               {{blob}} NOT NULL,
	ref              TEXT NOT NULL, -- what it is for, by a name that is never used again
	kind             TEXT NOT NULL, -- see ledger.Kind
	cause            {{blob}} NOT NULL, -- the fact that led to it; zeros: none
	at               {{bigint}} NOT NULL, -- when it took effect
	person_id        {{blob}} NOT NULL,
	wallet           TEXT NOT NULL,
	unit             TEXT NOT NULL,
	available_before {{bigint}} NOT NULL,
	available_after  {{bigint}} NOT NULL,
	version          {{bigint}} NOT NULL, -- of the wallet, after it: 1, 2, 3 …
	owed             {{bigint}} NOT NULL, -- by how much it changed what is withheld from later credits
	PRIMARY KEY (tenant_id, id)
){{clustered}};
CREATE UNIQUE INDEX ledger_txn_ref ON ledger_txn (tenant_id, ref);
CREATE UNIQUE INDEX ledger_txn_wallet ON ledger_txn (tenant_id, person_id, wallet, version);

-- owner: engine/ledger
CREATE TABLE ledger_posting (
	tenant_id {{blob}} NOT NULL,
	txn_id    {{blob}} NOT NULL,
	ordinal   {{bigint}} NOT NULL, -- from 0
	account   TEXT NOT NULL, -- see ledger.Account
	amount    {{bigint}} NOT NULL, -- minor units of the transaction's unit; never 0
	lot_id    {{blob}}, -- the lot of a wallet that it changed; NULL: none, it is debt or another account
	PRIMARY KEY (tenant_id, txn_id, ordinal)
){{clustered}};

-- What was credited, each credit by itself: what is left of it and until when.
-- owner: engine/ledger
CREATE TABLE ledger_lot (
	tenant_id  {{blob}} NOT NULL,
	id         {{blob}} NOT NULL, -- of what it was given for: a reward, or else its transaction
	person_id  {{blob}} NOT NULL,
	wallet     TEXT NOT NULL,
	unit       TEXT NOT NULL,
	source     TEXT NOT NULL, -- the account that it came from, and goes back to
	amount     {{bigint}} NOT NULL, -- that was given
	remaining  {{bigint}} NOT NULL, -- that can still be spent, or is pending
	expired    {{bigint}} NOT NULL, -- that was taken because its time was over
	seq        {{bigint}} NOT NULL, -- the version of the wallet with which it was opened; 0: it is pending
	expires_at {{bigint}} NOT NULL, -- the largest number: never
	revoked_by {{blob}}, -- the transaction that took it back; NULL: none
	PRIMARY KEY (tenant_id, id)
){{clustered}};
-- The order in which lots are spent.
CREATE INDEX ledger_lot_open ON ledger_lot (tenant_id, person_id, wallet, expires_at, seq) WHERE remaining > 0;

-- owner: engine/ledger
CREATE TABLE ledger_balance (
	tenant_id {{blob}} NOT NULL,
	person_id {{blob}} NOT NULL,
	wallet    TEXT NOT NULL,
	unit      TEXT NOT NULL,
	available {{bigint}} NOT NULL, -- what open lots have left, less the debt
	pending   {{bigint}} NOT NULL, -- what pending lots hold
	debt      {{bigint}} NOT NULL, -- what later credits pay first; there is none while a lot has something left
	owed      {{bigint}} NOT NULL, -- what is withheld from later credits
	version   {{bigint}} NOT NULL, -- how many transactions there were
	PRIMARY KEY (tenant_id, person_id, wallet)
){{clustered}};
